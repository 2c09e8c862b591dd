/** Random parts of objects about TLS; see `testing_objects.ts`. */
import fc from "fast-check";
import { type Gateway, type KubeObject, LIGHT_GROUP } from "../model/objects.ts";
import type { BackendTlsPolicy } from "../model/tls_objects.ts";
import { meta, namespace, often, optional, pick, present } from "./testing_arbitraries.ts";

type PolicyTarget = BackendTlsPolicy["spec"]["targetRefs"][number];
type Validation = BackendTlsPolicy["spec"]["validation"];
type GatewayTls = NonNullable<Gateway["spec"]["tls"]>;

const caRef = fc.record({
  group: fc.constant(""),
  kind: often("ConfigMap", "Service"),
  name: fc.constantFrom("c1", "c2"),
  namespace: fc.option(namespace, { nil: undefined, freq: 2 }),
}).map(present);

const clientValidation = fc.record({
  caCertificateRefs: fc.array(caRef, { minLength: 1, maxLength: 2 }),
  mode: pick<"AllowValidOnly" | "AllowInsecureFallback">("AllowValidOnly", "AllowInsecureFallback"),
});

export const gatewayTls: fc.Arbitrary<GatewayTls> = fc.record({
  frontend: optional(
    fc.record({
      default: fc.record({ validation: optional(clientValidation) }).map(present),
      perPort: optional(
        fc.record({ validation: optional(clientValidation) }).map(present)
          .map((tls) => [{ port: 443, tls }]),
      ),
    }).map(present),
  ),
  backend: optional(fc.record({
    clientCertificateRef: fc.record({
      group: fc.constant(""),
      kind: fc.constant("Secret"),
      name: fc.constantFrom("t1", "t2"),
      namespace: fc.option(namespace, { nil: undefined, freq: 2 }),
    }).map(present),
  })),
}).map(present);

export const backendTlsPolicy: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("BackendTLSPolicy" as const),
  meta: meta("BackendTLSPolicy", { names: ["p1", "p2", "p3"] }),
  spec: fc.record({
    targetRefs: pick<PolicyTarget[]>(
      [{ group: "", kind: "Service", name: "s1" }],
      [{ group: "", kind: "Service", name: "s1", sectionName: "p" }],
      [{ group: "", kind: "Service", name: "s2" }, { group: "", kind: "Service", name: "s1" }],
      [{ group: LIGHT_GROUP, kind: "LightBackend", name: "s1" }],
    ),
    validation: pick<Validation>(
      {
        hostname: "a.example.com",
        caCertificateRefs: [{ group: "", kind: "ConfigMap", name: "c1" }],
      },
      { hostname: "b.example.com", wellKnownCACertificates: "System" },
      { hostname: "b.example.com", wellKnownCACertificates: "example.com/other" },
      {
        hostname: "a.example.com",
        caCertificateRefs: [
          { group: "", kind: "ConfigMap", name: "c1" },
          { group: "", kind: "ConfigMap", name: "c2" },
        ],
        subjectAltNames: [{ type: "URI", uri: "spiffe://x/y" }],
      },
    ),
  }),
});
