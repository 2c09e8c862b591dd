/** Certificates: a bad one harms its own listener only; a new one needs no new socket. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { listenerCondition, withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually } from "./wait.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";

const HTTP = PORTS.certificates;
const HTTPS = PORTS.certificates + 1;
const HOST = "shop.example.com";
const OTHER = "other.example.org";
const BODIES = ["hello"];

const secure = (serverName: string, ...trust: string[]): Target => ({
  port: HTTPS,
  tls: { serverName, trust },
});

async function withOrigin(test: (port: number) => Promise<void>): Promise<void> {
  const origin = ScriptedBackend.start(answering("hello"));
  try {
    await test(origin.port);
  } finally {
    await origin.stop();
  }
}

/** The listener `bad` beside a good one, its Secret as given; then it is put right. */
async function withBadSecret(
  bad: { certificate: string; key: string; type: "kubernetes.io/tls" | "Opaque" },
  test: (edge: GatewayUnderTest) => Promise<void>,
): Promise<void> {
  const good = await certificateFor(HOST);
  const { key: _, ...withoutKey } = bad;
  await withOrigin((port) =>
    withGateway({
      files: {
        gateway: gateway({
          http: HTTP,
          https: [
            { name: "good", port: HTTPS, hostname: HOST, secret: "good" },
            { name: "bad", port: HTTPS, hostname: OTHER, secret: "bad" },
          ],
        }),
        backend: backend("hello", port),
        route: route({ host: HOST, backend: "hello" }),
        other: route({ host: OTHER, backend: "hello" }),
        good: tlsSecret("good", good),
        bad: tlsSecret("bad", withoutKey),
      },
    }, async (edge) => {
      await edge.ready();
      await test(edge);
      assertEquals((await get({ port: HTTP }, { host: HOST })).status, 200);
      assertEquals((await get(secure(HOST, good.certificate), { host: HOST })).body, "hello");
      await assertRejects(() => RawConnection.open(secure(OTHER, bad.certificate)));
      await underTraffic(secure(HOST, good.certificate), {
        host: HOST,
        bodies: BODIES,
        disturb: async () => {
          await edge.save("bad", tlsSecret("bad", bad));
          await resolvedRefs(edge, "True");
          await eventually("the healed listener serves", async () => {
            const { body } = await get(secure(OTHER, bad.certificate), { host: OTHER });
            return body === "hello";
          });
        },
      });
    })
  );
}

function resolvedRefs(edge: GatewayUnderTest, status: "True" | "False") {
  return eventually(`listener bad has ResolvedRefs ${status}`, async () => {
    const condition = listenerCondition(await edge.status(), "bad", "ResolvedRefs");
    return condition?.status === status && condition;
  });
}

Deno.test("a certificate without key: the other listeners go on, the condition says so, a fix heals", async () => {
  const certificate = await certificateFor(OTHER);
  await withBadSecret({ ...certificate, type: "Opaque" }, async (edge) => {
    const condition = await resolvedRefs(edge, "False");
    assertEquals(condition.reason, "InvalidCertificateRef");
    assertStringIncludes(condition.message, "tls.key");
  });
});

Deno.test("a TLS Secret without key: refused as an API server would, with its file and line", async () => {
  const certificate = await certificateFor(OTHER);
  await withBadSecret({ ...certificate, type: "kubernetes.io/tls" }, async (edge) => {
    const condition = await resolvedRefs(edge, "False");
    assertEquals(condition.reason, "InvalidCertificateRef");
    assertStringIncludes(condition.message, "e2e/bad");
    const { problems: [problem] } = await edge.status();
    assertEquals([problem?.object, problem?.line], ["Secret/e2e/bad", 1]);
    assert(problem?.file.endsWith("/bad.yaml"));
    assertStringIncludes(problem?.message ?? "", "tls.key");
  });
});

Deno.test("a Secret that loses its key keeps the last good one in force", () =>
  withOrigin(async (port) => {
    const tls = await certificateFor(HOST);
    await withGateway({
      files: {
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        backend: backend("hello", port),
        route: route({ host: HOST, backend: "hello" }),
        secret: tlsSecret("tls", tls),
      },
    }, async (edge) => {
      await edge.ready();
      await underTraffic(secure(HOST, tls.certificate), {
        host: HOST,
        bodies: BODIES,
        disturb: async (traffic) => {
          await edge.save("secret", tlsSecret("tls", { certificate: tls.certificate }));
          await eventually("the problem is reported", async () => {
            return (await edge.status()).problems.length === 1;
          });
          await traffic.more(20);
        },
      });
    });
  }));

Deno.test("a Secret with a new certificate: new handshakes get it, open connections go on", () =>
  withOrigin(async (port) => {
    const [before, after] = await Promise.all([certificateFor(HOST), certificateFor(HOST)]);
    await withGateway({
      files: {
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        backend: backend("hello", port),
        route: route({ host: HOST, backend: "hello" }),
        secret: tlsSecret("tls", before),
      },
    }, async (edge) => {
      await edge.ready();
      const open = await RawConnection.open(secure(HOST, before.certificate));
      const ask = async () => {
        await open.get("/", HOST);
        return (await open.response()).body;
      };
      try {
        assertEquals(await ask(), "hello");
        await underTraffic(secure(HOST, before.certificate, after.certificate), {
          host: HOST,
          bodies: BODIES,
          disturb: async () => {
            await edge.save("secret", tlsSecret("tls", after));
            await eventually("a handshake gets the new certificate", async () => {
              (await RawConnection.open(secure(HOST, after.certificate))).close();
              return true;
            });
            await assertRejects(() => RawConnection.open(secure(HOST, before.certificate)));
          },
        });
        assertEquals(await ask(), "hello");
      } finally {
        open.close();
      }
    });
  }));

Deno.test("an HTTPS listener that goes and comes back has its certificate again", async () => {
  const pair = await certificateFor(HOST);
  const target = secure(HOST, pair.certificate);
  const https = [{ name: "tls", port: HTTPS, hostname: HOST, secret: "tls" }];
  await withOrigin((port) =>
    withGateway({
      files: {
        gateway: gateway({ http: HTTP, https }),
        backend: backend("hello", port),
        route: route({ host: HOST, backend: "hello" }),
        tls: tlsSecret("tls", pair),
      },
    }, async (edge) => {
      await edge.ready();
      for (let round = 0; round < 2; round++) {
        assertEquals((await get(target, { host: HOST })).body, "hello");
        await edge.save("gateway", gateway({ http: HTTP }));
        await eventually("the listener is gone", () =>
          get(target, { host: HOST }).then(() => false, () => true));
        await edge.save("gateway", gateway({ http: HTTP, https }));
        await eventually("the listener is back", async () => {
          return (await get(target, { host: HOST }).catch(() =>
            undefined
          ))?.body === "hello";
        });
      }
    })
  );
});

Deno.test("an expired certificate is served on, and its listener says so", () =>
  withOrigin(async (port) => {
    const long = 24 * 3600 * 1000;
    const { certificate, key } = await selfSigned({
      names: [HOST],
      notBefore: new Date(Date.now() - 2 * long),
      notAfter: new Date(Date.now() - long),
    });
    await withGateway({
      files: {
        gateway: gateway({
          http: HTTP,
          https: [{ name: "late", port: HTTPS, hostname: HOST, secret: "late" }],
        }),
        backend: backend("hello", port),
        route: route({ host: HOST, backend: "hello" }),
        secret: tlsSecret("late", { certificate, key }),
      },
    }, async (edge) => {
      await edge.ready();
      const expired = await eventually("the condition is there", async () => {
        const type = "gateway.lightapi.net/CertificateExpired";
        return listenerCondition(await edge.status(), "late", type);
      });
      assertEquals([expired.status, expired.reason], ["True", "Expired"]);
      assertStringIncludes(expired.message, 'Secret "e2e/late" expired at 20');
      // The handshake comes as far as the client's own judgement of the certificate.
      const refused = await assertRejects(() => get(secure(HOST, certificate), { host: HOST }));
      assertStringIncludes(String(refused).toLowerCase(), "expired");
      assertEquals((await get({ port: HTTP }, { host: HOST })).body, "hello");
    });
  }));
