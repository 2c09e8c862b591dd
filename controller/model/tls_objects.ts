/** Whom Gateways trust: the parts of `objects.ts` about TLS beyond the certificates of listeners. */
import type { Labels, ObjectMeta } from "./objects.ts";

/** An object with certificates of authorities. */
export interface CaRef {
  group: string;
  kind: string;
  name: string;
  /** Only where references may leave their namespace. */
  namespace?: string;
}

export interface FrontendValidation {
  caCertificateRefs: CaRef[];
  mode: "AllowValidOnly" | "AllowInsecureFallback";
}

/** What HTTPS listeners ask of clients; a port's own entry takes the place of the default. */
export interface FrontendTls {
  default: { validation?: FrontendValidation };
  perPort?: { port: number; tls: { validation?: FrontendValidation } }[];
}

/** A Service, or one port of it by name, in the policy's own namespace. */
export interface PolicyTarget {
  group: string;
  kind: string;
  name: string;
  sectionName?: string;
}

export interface SubjectAltNameSpec {
  type: "Hostname" | "URI";
  /** The one that `type` names. */
  hostname?: string;
  uri?: string;
}

export interface BackendTlsPolicy {
  kind: "BackendTLSPolicy";
  meta: ObjectMeta;
  spec: {
    targetRefs: PolicyTarget[];
    validation: {
      /** Either these or `wellKnownCACertificates`. */
      caCertificateRefs?: CaRef[];
      wellKnownCACertificates?: string;
      hostname: string;
      subjectAltNames?: SubjectAltNameSpec[];
    };
    options?: Labels;
  };
}
