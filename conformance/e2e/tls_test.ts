/**
 * TLS beyond certificates of listeners, through the whole stack: BackendTLSPolicy with the Gateway's
 * own certificate, client certificates, and authorities that change while traffic flows.
 */
import { assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { startTlsOrigin } from "../../shared/dataplane/upstream/testing_tls_origin.ts";
import type { SelfSigned } from "../../shared/secrets/self_signed.ts";
import { testAuthority } from "../../shared/secrets/testing_authority.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { manifest, streamGateway } from "./stream_manifests.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.tls;
const HTTPS = PORTS.tls + 1;
const API = "gateway.networking.k8s.io/v1";
const metadata = (name: string) => ({ name, namespace: "e2e" });
const caRefs = (name: string) => [{ group: "", kind: "ConfigMap", name }];

function authorities(name: string, certificates: string): string {
  return stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: metadata(name),
    data: { "ca.crt": certificates },
  });
}

const GATEWAY = manifest(streamGateway(
  [
    { name: "http", protocol: "HTTP", port: HTTP },
    {
      name: "https",
      protocol: "HTTPS",
      port: HTTPS,
      tls: { certificateRefs: [{ name: "listener" }] },
    },
  ],
  {
    tls: {
      backend: { clientCertificateRef: { name: "own" } },
      frontend: { default: { validation: { caCertificateRefs: caRefs("clients") } } },
    },
  },
));

const ROUTE = stringify({
  apiVersion: API,
  kind: "HTTPRoute",
  metadata: metadata("secure"),
  spec: {
    parentRefs: [{ name: "edge" }],
    rules: [{ backendRefs: [{ name: "secure", port: 443 }] }],
  },
});

const POLICY = stringify({
  apiVersion: API,
  kind: "BackendTLSPolicy",
  metadata: metadata("secure"),
  spec: {
    targetRefs: [{ group: "", kind: "Service", name: "secure", sectionName: "btls" }],
    validation: { hostname: "abc.example.com", caCertificateRefs: caRefs("backends") },
  },
});

function service(port: number): string {
  return [{
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata("secure"),
    spec: { ports: [{ name: "btls", port: 443, appProtocol: "HTTPS" }] },
  }, {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { ...metadata("secure-1"), labels: { "kubernetes.io/service-name": "secure" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["127.0.0.1"] }],
    ports: [{ name: "btls", port }],
  }].map((object) => stringify(object)).join("---\n");
}

/** Reason of a condition of the policy, for its one ancestor. */
async function policyReason(edge: GatewayUnderTest, type: string): Promise<string | undefined> {
  const { objects } = await edge.status();
  const [ancestor] = objects["BackendTLSPolicy/e2e/secure"]?.ancestors ?? [];
  return ancestor?.conditions?.find((condition) => condition.type === type)?.reason;
}

const plain = async () => (await get({ port: HTTP }, { host: "shop.example.com" })).status;

/** Over TLS, with or without a certificate: the status, or that there was no answer. */
async function secured(
  port: number,
  { trust, client }: { trust: string; client?: SelfSigned },
): Promise<number | "refused"> {
  using http = Deno.createHttpClient({
    caCerts: [trust],
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
  });
  try {
    const response = await fetch(`https://localhost:${port}/`, { client: http });
    await response.body?.cancel();
    return response.status;
  } catch {
    return "refused";
  }
}

for (const [bus, workers] of [["nats", 1], ["file", 2]] as const) {
  Deno.test(`TLS to backends and from clients holds through the stack (${bus}, ${workers} workers)`, async () => {
    const ours = await testAuthority("ours");
    const theirs = await testAuthority("theirs");
    const identity = await ours.issue({ dns: ["abc.example.com"] });
    const own = await ours.issue({ dns: ["gateway.example.com"] });
    const client = await ours.issue({ dns: ["client.example.com"] });
    const stranger = await theirs.issue({ dns: ["client.example.com"] });
    const origin = await startTlsOrigin({ identity, clientAuthority: ours.certificate });
    try {
      await withGateway({
        bus,
        settings: { ...loadSettings({ env: { get: () => undefined } }), workers },
        files: {
          gateway: GATEWAY,
          route: ROUTE,
          policy: POLICY,
          service: service(origin.port),
          own: tlsSecret("own", own),
          listener: tlsSecret("listener", await ours.issue({ dns: ["localhost"] })),
          backends: authorities("backends", ours.certificate),
          clients: authorities("clients", ours.certificate),
        },
      }, async (edge) => {
        await edge.ready();
        assertEquals(await plain(), 200);
        assertEquals(origin.names[0], "abc.example.com");
        assertEquals(origin.clients[0], own.certificate.trim());
        assertEquals(await policyReason(edge, "Accepted"), "Accepted");

        const trust = ours.certificate;
        assertEquals(await secured(HTTPS, { trust, client }), 200);
        assertEquals(await secured(HTTPS, { trust, client: stranger }), "refused");
        assertEquals(await secured(HTTPS, { trust }), "refused");

        await edge.save("backends", authorities("backends", theirs.certificate));
        await eventually("the backend is not trusted any more", async () => await plain() === 502);
        assertEquals(await policyReason(edge, "Accepted"), "Accepted");
        await edge.save("backends", authorities("backends", ""));
        await eventually("there is nobody to trust", async () => await plain() === 500);
        await eventually(
          "the policy says so",
          async () =>
            await policyReason(edge, "Accepted") === "NoValidCACertificate" &&
            await policyReason(edge, "ResolvedRefs") === "InvalidCACertificateRef",
        );
        await edge.save("backends", authorities("backends", ours.certificate));
        await eventually("the backend is trusted again", async () => await plain() === 200);

        const both = `${theirs.certificate}\n${ours.certificate}`;
        await edge.save("clients", authorities("clients", both));
        await eventually(
          "the stranger is none any more",
          async () => await secured(HTTPS, { trust, client: stranger }) === 200,
        );
        await edge.save("clients", authorities("clients", theirs.certificate));
        await eventually(
          "the client is one now",
          async () => await secured(HTTPS, { trust, client }) === "refused",
        );
        assertEquals(await secured(HTTPS, { trust, client: stranger }), 200);

        const metrics = await edge.metrics();
        const refused = [...metrics].find(([name]) => name.includes('"tls_client_certificate"'));
        assertEquals((refused?.[1] ?? 0) > 0, true);
      });
    } finally {
      await origin.close();
    }
  });
}
