import { assertEquals } from "@std/assert";
import { once } from "node:events";
import { connect } from "node:tls";
import { X509Certificate } from "node:crypto";
import { systemClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import type { SelfSigned } from "../../secrets/self_signed.ts";
import { testAuthority } from "../../secrets/testing_authority.ts";
import type { ClientValidation, Resource } from "../../snapshot/schema.ts";
import { DataPlane } from "../data_plane.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { VerifiedClients } from "./client_certificates.ts";

const ours = await testAuthority("ours");
const theirs = await testAuthority("theirs");
const server = await ours.issue({ dns: ["localhost", "second.example.com"] });
const good = await ours.issue({ dns: ["client.example.com"] });
const stranger = await theirs.issue({ dns: ["client.example.com"] });

const SCOPE = "gateway/ns/gw";
const REQUIRE: ClientValidation = { trust: ["ca/ns/ours"], mode: "require" };
const REQUEST: ClientValidation = { trust: ["ca/ns/ours"], mode: "request" };
const REQUIRE_THEIRS: ClientValidation = { trust: ["ca/ns/theirs"], mode: "require" };

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

interface Rig {
  plane: DataPlane;
  /** Declared port → fleet port. */
  ports: Map<number, number>;
  /** Puts listeners in force: declared port → what it asks of clients. */
  serve(listeners: Record<number, ClientValidation | undefined>): void;
  /** Status of the answer to a request, or what became of the connection. */
  ask(port: number, client?: SelfSigned, name?: string): Promise<number | "closed">;
  refused(): Promise<number>;
}

/** A data plane with HTTPS ports 443 and 8443, whose one route redirects. */
async function withRig(run: (rig: Rig) => Promise<void>): Promise<void> {
  const plane = new DataPlane({
    bindAddress: "127.0.0.1",
    limits: { ...DEFAULT_LIMITS, acceptWatchInterval: 0 },
    clock: systemClock,
    random: () => 0,
    log: silentLogger,
    accessLog: null,
  });
  const { certificate: chain, key } = server;
  plane.setCertificate({ slot: "cert/ns/s", chain, key, fingerprint: "1" });
  plane.setTrust({ slot: "ca/ns/ours", certificates: ours.certificate });
  plane.setTrust({ slot: "ca/ns/theirs", certificates: theirs.certificate });
  const ports = new Map([[443, freePort()], [8443, freePort()]]);
  let version = 0;
  const rig: Rig = {
    plane,
    ports,
    serve(listeners) {
      const names = Object.keys(listeners).map((port) => `l${port}`);
      const resources = new Map<string, Resource>(
        Object.entries(listeners).map(([port, clientValidation]) => [`listener/ns/gw/l${port}`, {
          kind: "listener",
          name: `l${port}`,
          port: Number(port),
          protocol: "HTTPS",
          hostname: "",
          certificates: ["cert/ns/s"],
          ...(clientValidation === undefined ? {} : { clientValidation }),
        }]),
      );
      resources.set("httproute/ns/r", {
        kind: "httproute",
        created: 1,
        listeners: names,
        hostnames: [],
        rules: [{
          matches: [{ path: { type: "prefix", value: "/" } }],
          filters: [{ type: "redirect", status: 302, hostname: "answered.example.com" }],
          backends: [],
        }],
      });
      const swap = plane.prepare({
        scope: SCOPE,
        lineage: "test",
        epoch: 1,
        version: ++version,
        digest: "",
        resources,
      });
      swap();
    },
    async ask(port, client, name = "localhost") {
      const socket = connect({
        host: "127.0.0.1",
        port: ports.get(port) ?? 0,
        servername: name,
        ca: ours.certificate,
        checkServerIdentity: () => undefined,
        ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
      });
      let text = "";
      socket.on("error", () => {});
      socket.on("data", (bytes: Uint8Array) => text += new TextDecoder().decode(bytes));
      socket.write("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
      await new Promise((resolve) => socket.once("close", resolve));
      const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
      return status === undefined ? "closed" : Number(status);
    },
    async refused() {
      const { text } = await plane.expose();
      const line = /limit="tls_client_certificate"[^}]*\} (\d+)/.exec(text);
      return Number(line?.[1] ?? 0);
    },
  };
  rig.serve({ 443: undefined, 8443: undefined });
  await plane.setBinds(SCOPE, {
    kind: "bind",
    ports: [...ports].map(([port, fleetPort]) => ({ port, fleetPort })),
  });
  try {
    await run(rig);
  } finally {
    await plane.close();
  }
}

/** Is there a CertificateRequest in what a server says in the clear (RFC 5246 §7.4.4)? */
async function isAsked(port: number): Promise<boolean> {
  const between = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const socket = connect({
    host: "127.0.0.1",
    port: between.addr.port,
    servername: "localhost",
    ca: ours.certificate,
    maxVersion: "TLSv1.2",
  });
  using near = await between.accept();
  using far = await Deno.connect({ hostname: "127.0.0.1", port });
  between.close();
  const toServer = near.readable.pipeTo(far.writable).catch(() => {});
  const said: number[] = [];
  const reader = far.readable.getReader();
  const writer = near.writable.getWriter();
  const toClient = (async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      said.push(...next.value);
      await writer.write(next.value);
    }
  })().catch(() => {});
  await once(socket, "secureConnect");
  socket.destroy();
  await Promise.all([toServer, toClient]);
  const messages: number[] = [];
  let types: number[] = [];
  // Records of type 22 (handshake) come first, whole; each message is type, length, content.
  for (let at = 0; said[at] === 22;) {
    const length = said[at + 3]! * 256 + said[at + 4]!;
    messages.push(...said.slice(at + 5, at + 5 + length));
    at += 5 + length;
  }
  for (let at = 0; at < messages.length;) {
    types = [...types, messages[at]!];
    at += 4 + messages[at + 1]! * 65_536 + messages[at + 2]! * 256 + messages[at + 3]!;
  }
  return types.includes(13);
}

Deno.test("a listener that requires certificates serves clients of its authorities, and nobody else", async () => {
  await withRig(async ({ serve, ask, refused }) => {
    serve({ 443: REQUIRE, 8443: undefined });
    assertEquals(await ask(443, good), 302);
    assertEquals(await ask(443, good, ""), 302, "also without a server name");
    assertEquals(await ask(443, stranger), "closed");
    assertEquals(await ask(443), "closed");
    assertEquals(await refused(), 2);
    assertEquals(await ask(8443), 302, "another port asks for nothing");
    assertEquals(await ask(8443, stranger), 302);
  });
});

Deno.test("expired certificates and those of servers are not let in", async () => {
  const past = new Date(Date.now() - 60_000);
  const expired = await ours.issue({ notAfter: past });
  const serverOnly = await ours.issue({ uses: ["1.3.6.1.5.5.7.3.1"] });
  const forClients = await ours.issue({ uses: ["1.3.6.1.5.5.7.3.2"] });
  await withRig(async ({ serve, ask }) => {
    serve({ 443: REQUIRE });
    assertEquals(await ask(443, expired), "closed");
    assertEquals(await ask(443, serverOnly), "closed");
    assertEquals(await ask(443, forClients), 302);
  });
});

Deno.test("a listener that only asks for certificates lets everybody in", async () => {
  await withRig(async ({ serve, ask, ports }) => {
    serve({ 443: REQUEST, 8443: undefined });
    for (const client of [good, stranger, undefined]) assertEquals(await ask(443, client), 302);
    assertEquals(await isAsked(ports.get(443) ?? 0), true);
    assertEquals(await isAsked(ports.get(8443) ?? 0), false);
  });
});

Deno.test("what is asked of clients changes with the table, on the same socket", async () => {
  await withRig(async ({ serve, ask, plane }) => {
    assertEquals(await ask(443), 302);
    serve({ 443: REQUIRE, 8443: undefined });
    assertEquals(await ask(443), "closed");
    assertEquals(await ask(443, good), 302);
    serve({ 443: REQUIRE_THEIRS, 8443: undefined });
    assertEquals(await ask(443, good), "closed");
    assertEquals(await ask(443, stranger), 302);
    serve({ 443: undefined, 8443: undefined });
    assertEquals(await ask(443), 302);
    assertEquals(plane.complete(), true);
  });
});

Deno.test("authorities change without a new table; without them nobody is let in", async () => {
  await withRig(async ({ serve, ask, plane }) => {
    serve({ 443: REQUIRE, 8443: undefined });
    assertEquals(await ask(443, good), 302);
    plane.setTrust({ slot: "ca/ns/ours", certificates: theirs.certificate });
    assertEquals([await ask(443, good), await ask(443, stranger)], ["closed", 302]);
    plane.removeTrust("ca/ns/ours");
    assertEquals([await ask(443, good), await ask(443, stranger)], ["closed", "closed"]);
    assertEquals(plane.complete(), false, "a proxy without them is not ready");
    plane.setTrust({ slot: "ca/ns/ours", certificates: ours.certificate });
    assertEquals([await ask(443, good), await ask(443, stranger)], [302, "closed"]);
  });
});

Deno.test("a resumed session lets nobody in whom a full handshake would not", async () => {
  await withRig(async ({ serve, plane, ports }) => {
    const client = (of?: SelfSigned) =>
      Deno.createHttpClient({
        caCerts: [ours.certificate],
        // A connection of its own for every request.
        poolMaxIdlePerHost: 0,
        ...(of === undefined ? {} : { cert: of.certificate, key: of.key }),
      });
    const ask = async (port: number, client: Deno.HttpClient) => {
      try {
        const url = `https://localhost:${ports.get(port)}/`;
        const response = await fetch(url, { client, redirect: "manual" });
        await response.body?.cancel();
        return response.status;
      } catch {
        return "closed";
      }
    };
    // Sessions are kept by name: what 8443 gave is offered to 443.
    for (const [before, after] of [[undefined, REQUIRE], [REQUEST, REQUIRE]] as const) {
      serve({ 443: after, 8443: before });
      using nobody = client();
      assertEquals([await ask(8443, nobody), await ask(443, nobody)], [302, "closed"]);
      using strange = client(stranger);
      assertEquals([await ask(8443, strange), await ask(443, strange)], [302, "closed"]);
    }
    serve({ 443: REQUIRE, 8443: REQUIRE_THEIRS });
    using strange = client(stranger);
    assertEquals([await ask(8443, strange), await ask(443, strange)], [302, "closed"]);
    using known = client(good);
    assertEquals([await ask(443, known), await ask(443, known)], [302, 302]);
    plane.setTrust({ slot: "ca/ns/ours", certificates: theirs.certificate });
    assertEquals(await ask(443, known), "closed", "the authority is not trusted any more");
    const both = `${theirs.certificate}\n${ours.certificate}`;
    plane.setTrust({ slot: "ca/ns/ours", certificates: both });
    assertEquals(await ask(443, known), 302, "and is again, beside another");
  });
});

Deno.test("VerifiedClients remembers whom a full handshake verified, under those authorities", async () => {
  const now = Date.now();
  const der = (pem: string) => new X509Certificate(pem).raw;
  const trusted = { key: "k", certificates: [ours.certificate] };
  const middle = await testAuthority("middle");
  const far = der((await middle.issue()).certificate);
  const shown = { certificate: far, authorized: true };
  const clients = new VerifiedClients(2);
  assertEquals(clients.admits({ ...shown, resumed: true }, trusted, now), false);
  assertEquals(clients.admits({ ...shown, resumed: false }, trusted, now), true);
  assertEquals(clients.admits({ ...shown, resumed: true }, trusted, now), true);
  assertEquals(clients.admits({ ...shown, resumed: true }, { ...trusted, key: "l" }, now), false);
  assertEquals(clients.admits({ ...shown, resumed: true }, trusted, now + 24 * 3_600_000), false);
  assertEquals(
    clients.admits({ ...shown, authorized: false, resumed: false }, trusted, now),
    false,
  );
  const none = { certificate: undefined, authorized: true, resumed: false };
  assertEquals(clients.admits(none, trusted, now), false);
  // Issued by one of them: that much is seen at once.
  const direct = { certificate: der(good.certificate), authorized: true, resumed: true };
  assertEquals(clients.admits(direct, trusted, now), true);
  const other = { certificate: der(stranger.certificate), authorized: true, resumed: true };
  assertEquals(clients.admits(other, trusted, now), false);
  const uses = ["1.3.6.1.5.5.7.3.1"];
  const servers = der((await ours.issue({ uses })).certificate);
  assertEquals(clients.admits({ ...direct, certificate: servers }, trusted, now), false);
  // The bound: the oldest is forgotten.
  const third = der((await ours.issue()).certificate);
  assertEquals(clients.admits({ ...direct, certificate: third }, trusted, now), true);
  assertEquals(clients.admits({ ...shown, resumed: true }, trusted, now), false);
});
