/** BackendTLSPolicy, as its schema admitted it. */
import type {
  BackendTlsPolicy,
  CaRef,
  PolicyTarget,
  SubjectAltNameSpec,
} from "../../model/tls_objects.ts";
import { list, object, oneOf, optional, required, string, stringMap } from "./decoder.ts";

const text = string();

export const backendTlsPolicySpec = object<BackendTlsPolicy["spec"]>({
  targetRefs: required(list(object<PolicyTarget>({
    group: required(text),
    kind: required(text),
    name: required(text),
    sectionName: optional(text),
  }))),
  validation: required(object<BackendTlsPolicy["spec"]["validation"]>({
    caCertificateRefs: optional(list(object<Omit<CaRef, "namespace">>({
      group: required(text),
      kind: required(text),
      name: required(text),
    }))),
    wellKnownCACertificates: optional(text),
    hostname: required(text),
    subjectAltNames: optional(list(object<SubjectAltNameSpec>({
      type: required(oneOf("Hostname", "URI")),
      hostname: optional(text),
      uri: optional(text),
    }))),
  })),
  options: optional(stringMap),
});
