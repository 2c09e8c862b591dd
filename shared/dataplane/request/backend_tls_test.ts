import { assertEquals } from "@std/assert";
import { testAuthority } from "../../secrets/testing_authority.ts";
import type { BackendTls } from "../../snapshot/schema.ts";
import { answeringOrigin, startOrigin } from "../upstream/testing_origin.ts";
import {
  startHttp2TlsOrigin,
  startTlsOrigin,
  type TlsOrigin,
  type TlsOriginOptions,
} from "../upstream/testing_tls_origin.ts";
import { type CoreOptions, mirrorTo, type TestCore, testCore, to } from "./testing_core.ts";

const ours = await testAuthority("ours");
const theirs = await testAuthority("theirs");
const identity = await ours.issue({
  dns: ["abc.example.com", "other.example.com"],
  uris: ["spiffe://abc.example.com/test-identity"],
});

const CA = "ca/d/ours";
const ABC: BackendTls = { serverName: "abc.example.com", trust: [CA] };

/** A core whose only backend speaks TLS. */
async function withBackend(
  run: (core: TestCore, origin: TlsOrigin) => Promise<void>,
  options: { core?: Partial<CoreOptions>; origin?: Partial<TlsOriginOptions> } = {},
): Promise<void> {
  const origin = await startTlsOrigin({ identity, ...options.origin });
  const core = testCore({ rules: [{}], backends: { a: origin.port }, tls: ABC, ...options.core });
  core.trust.set({ slot: CA, certificates: ours.certificate });
  try {
    await run(core, origin);
  } finally {
    core.close();
    await origin.close();
  }
}

/** Status, and the reason in the access log. */
async function outcome(core: TestCore): Promise<[number, unknown]> {
  const { status } = await core.ask();
  const line = (await core.log()).at(-1);
  return [status, line?.reason];
}

Deno.test("a backend with TLS is asked under its server name, and its connection is used again", async () => {
  await withBackend(async (core, origin) => {
    const answer = await core.ask({ target: "/x", authority: "front.example.com" });
    assertEquals([answer.status, answer.body], [200, "GET /x HTTP/1.1"]);
    assertEquals((await core.ask()).status, 200);
    assertEquals(origin.names, ["abc.example.com"], "one connection, SNI of the policy");
    assertEquals(origin.clients, [""]);
    assertEquals(core.client.connections(), 1);
  });
});

Deno.test("a backend that cannot prove its name gets no byte of the request: 502", async () => {
  const tls = { ...ABC, serverName: "mismatch.example.com" };
  await withBackend(async (core, origin) => {
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
    assertEquals(origin.requests, []);
    assertEquals(core.client.connections(), 0);
    assertEquals([...core.stats.upstreamErrors], [["tls_identity", 1]]);
  }, { core: { tls } });
});

Deno.test("a backend of another authority gets no byte of the request: 502", async () => {
  await withBackend(async (core, origin) => {
    core.trust.set({ slot: CA, certificates: theirs.certificate });
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
    assertEquals(origin.requests, []);
  });
});

Deno.test("the authorities that everybody knows vouch for nobody of ours", async () => {
  const { trust: _, ...wellKnown } = ABC;
  await withBackend(async (core) => {
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
  }, { core: { tls: wellKnown } });
});

Deno.test("one of several authorities is enough, in one bundle or in several", async () => {
  await withBackend(async (core) => {
    core.trust.set({ slot: CA, certificates: theirs.certificate + "\n" + ours.certificate });
    assertEquals((await core.ask()).status, 200);
  });
  const second = "ca/d/second";
  await withBackend(async (core) => {
    core.trust.set({ slot: CA, certificates: theirs.certificate });
    core.trust.set({ slot: second, certificates: ours.certificate });
    assertEquals((await core.ask()).status, 200);
  }, { core: { tls: { ...ABC, trust: [CA, second] } } });
});

Deno.test("subjectAltNames take the place of the server name: any one, DNS or URI", async () => {
  const cases: [BackendTls["subjectAltNames"], number][] = [
    [[{ type: "dns", value: "abc.example.com" }], 200],
    [[{ type: "dns", value: "dce.example.com" }], 502],
    [[{ type: "uri", value: "spiffe://abc.example.com/test-identity" }], 200],
    [[{ type: "uri", value: "spiffe://def.example.com/test-identity" }], 502],
    [[{ type: "uri", value: "spiffe://no/one" }, { type: "dns", value: "abc.example.com" }], 200],
    [[{ type: "uri", value: "spiffe://no/one" }, { type: "dns", value: "def.example.com" }], 502],
  ];
  for (const [subjectAltNames = [], status] of cases) {
    const tls: BackendTls = { serverName: "sni.example.com", trust: [CA], subjectAltNames };
    await withBackend(async (core, origin) => {
      assertEquals((await core.ask()).status, status, JSON.stringify(subjectAltNames));
      if (status === 200) assertEquals(origin.names, ["sni.example.com"]);
    }, { core: { tls } });
  }
});

Deno.test("an expired certificate is not trusted", async () => {
  const past = new Date(Date.now() - 60_000);
  const expired = await ours.issue({ dns: ["abc.example.com"], notAfter: past });
  await withBackend(async (core) => {
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
  }, { origin: { identity: expired } });
});

Deno.test("a plaintext backend is never spoken to in plaintext when TLS is asked for", async () => {
  const heads: string[] = [];
  const complaining = startOrigin(async (connection) => {
    await connection.conn.read(new Uint8Array(1));
    await connection.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    await connection.gone();
  });
  const waiting = answeringOrigin((head) => {
    heads.push(head);
    return "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  });
  const cases = [
    [complaining, 502, "upstream_tls_handshake"],
    [waiting, 504, "upstream_connect_timeout"],
  ] as const;
  for (const [origin, status, reason] of cases) {
    const limits = { connectTimeout: 200 };
    const core = testCore({ rules: [{}], backends: { a: origin.port }, tls: ABC, limits });
    core.trust.set({ slot: CA, certificates: ours.certificate });
    try {
      assertEquals(await outcome(core), [status, reason]);
    } finally {
      core.close();
      await origin.close();
    }
  }
  assertEquals(heads, []);
});

Deno.test("without its authorities a backend gets no connection at all: 503", async () => {
  await withBackend(async (core, origin) => {
    core.trust.delete(CA);
    assertEquals(await outcome(core), [503, "upstream_tls_incomplete"]);
    assertEquals(origin.names, []);
    core.trust.set({ slot: CA, certificates: ours.certificate });
    assertEquals((await core.ask()).status, 200);
  });
});

Deno.test("authorities that change count for the next request, also with connections open", async () => {
  await withBackend(async (core, origin) => {
    assertEquals((await core.ask()).status, 200);
    core.trust.set({ slot: CA, certificates: theirs.certificate });
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
    assertEquals(core.client.connections(), 0, "what the old authorities vouched for is closed");
    core.trust.set({ slot: CA, certificates: ours.certificate });
    assertEquals((await core.ask()).status, 200);
    assertEquals((await core.ask()).status, 200);
    assertEquals(core.client.connections(), 1, "and kept again");
    assertEquals(origin.requests.length, 3);
  });
});

Deno.test("over HTTP/2 as well, authorities that change count for the next request", async () => {
  const origin = await startHttp2TlsOrigin(identity);
  const core = testCore({ rules: [{}], backends: { a: origin.port }, protocol: "h2c", tls: ABC });
  try {
    for (const [authority, status] of [[ours, 200], [theirs, 502], [ours, 200]] as const) {
      core.trust.set({ slot: CA, certificates: authority.certificate });
      assertEquals((await core.ask()).status, status);
      assertEquals((await core.ask()).status, status);
    }
    assertEquals(origin.requests.length, 4);
  } finally {
    core.close();
    await origin.close();
  }
});

Deno.test("every connection is verified anew: no session is resumed", async () => {
  await withBackend(async (core, origin) => {
    assertEquals((await core.ask({ headers: [] })).status, 200);
    assertEquals(origin.names.length, 1);
    core.client.setRetired({ address: "127.0.0.1", port: origin.port }, true);
    core.trust.set({ slot: CA, certificates: theirs.certificate });
    // The same name at the same address, which a session could be resumed for.
    assertEquals(await outcome(core), [502, "upstream_tls_identity"]);
  });
});

Deno.test("the Gateway's certificate is shown to backends, and changes with its Secret", async () => {
  const slot = "cert/d/client";
  const client = await theirs.issue({ dns: ["gateway.example.com"] });
  const renewed = await theirs.issue({ dns: ["gateway.example.com"] });
  await withBackend(async (core, origin) => {
    assertEquals(await outcome(core), [503, "upstream_tls_incomplete"], "never without it");
    assertEquals(origin.clients, []);
    for (const [index, { certificate, key }] of [client, renewed].entries()) {
      core.certificates.set({ slot, chain: certificate, key, fingerprint: `sha256:${index}` });
      assertEquals((await core.ask()).status, 200);
    }
    assertEquals(origin.clients, [client, renewed].map(({ certificate }) => certificate.trim()));
  }, {
    core: { clientCertificate: slot },
    origin: { clientAuthority: theirs.certificate },
  });
});

Deno.test("a backend that wants a certificate and gets none ends the exchange", async () => {
  await withBackend(async (core, origin) => {
    const { status } = await core.ask();
    assertEquals(status, 502);
    assertEquals(origin.requests, []);
  }, { origin: { clientAuthority: theirs.certificate } });
});

Deno.test("HTTP/2 over TLS is agreed on by ALPN, and is not spoken without", async () => {
  const origin = await startHttp2TlsOrigin(identity);
  const core = testCore({ rules: [{}], backends: { a: origin.port }, protocol: "h2c", tls: ABC });
  core.trust.set({ slot: CA, certificates: ours.certificate });
  try {
    const answer = await core.ask({ target: "/h2" });
    assertEquals([answer.status, answer.body], [200, "over h2"]);
    assertEquals(origin.requests, ["GET /h2 HTTP/2"]);
  } finally {
    core.close();
    await origin.close();
  }
  await withBackend(async (core, http1) => {
    assertEquals(await outcome(core), [502, "upstream_tls_handshake"]);
    assertEquals(http1.requests, []);
  }, { core: { protocol: "h2c" } });
});

Deno.test("a mirror is sent over TLS as well, or not at all", async () => {
  await withBackend(async (core, origin) => {
    assertEquals((await core.ask({ target: "/m" })).status, 200);
    while (origin.requests.length < 2) await core.ask({ target: "/again" });
    core.trust.delete(CA);
    const before = origin.requests.length;
    await core.ask();
    assertEquals(origin.requests.length, before);
    assertEquals(core.stats.mirrors.get("failed"), 1);
  }, { core: { rules: [{ filters: [mirrorTo("a")], backends: [to("a")] }] } });
});

Deno.test("bodies stream over TLS in both directions", async () => {
  const size = 512 * 1024;
  let received = 0;
  await withBackend(async (core) => {
    const chunk = new Uint8Array(16 * 1024).fill(97);
    let left = size;
    const body = {
      length: size,
      read: () => {
        if (left === 0) return Promise.resolve(null);
        left -= chunk.length;
        return Promise.resolve(chunk);
      },
      cancel: () => {},
    };
    const answer = await core.ask({ method: "POST", body });
    assertEquals([answer.status, answer.body.length, received], [200, size, size]);
  }, {
    origin: {
      script: (socket) => {
        let head = true;
        socket.on("data", (bytes: Uint8Array) => {
          let from = 0;
          if (head) {
            head = false;
            const text = new TextDecoder("latin1").decode(bytes);
            from = text.indexOf("\r\n\r\n") + 4;
            socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
          }
          received += bytes.length - from;
          socket.write(bytes.subarray(from));
        });
      },
    },
  });
});

Deno.test("an upgraded connection over TLS ends one direction after the other", async () => {
  let received = "";
  await withBackend(async (core) => {
    const chunks = ["asked ", "more"];
    const input = {
      length: -1,
      read: () => {
        const chunk = chunks.shift();
        return Promise.resolve(chunk === undefined ? null : new TextEncoder().encode(chunk));
      },
      cancel: () => {},
    };
    const answer = await core.ask({ upgrade: { protocol: "websocket", input } });
    assertEquals([answer.status, answer.response.upgrade], [101, "websocket"]);
    // The backend answers once it has been told that nothing more comes.
    assertEquals([answer.body, received], ["answer", "asked more"]);
    assertEquals(core.client.connections(), 0);
  }, {
    origin: {
      allowHalfOpen: true,
      script: (socket) => {
        let head = true;
        socket.on("data", (bytes: Uint8Array) => {
          const text = new TextDecoder().decode(bytes);
          if (!head) return void (received += text);
          head = false;
          received += text.slice(text.indexOf("\r\n\r\n") + 4);
          socket.write(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n" +
              "connection: upgrade\r\n\r\n",
          );
        });
        socket.on("end", () => socket.end("answer"));
      },
    },
  });
});
