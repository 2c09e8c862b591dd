/** Which last-value data resources need before they can serve. */
import { valueSubject } from "../../shared/bus/subjects.ts";
import type { Resource } from "../../shared/snapshot/schema.ts";

/** Subjects of the endpoint sets, certificates and bind map behind resources of `scope`, sorted. */
export function neededSubjects(scope: string, resources: Iterable<Resource>): string[] {
  const subjects = new Set<string>();
  for (const resource of resources) {
    switch (resource.kind) {
      case "cluster":
        subjects.add(valueSubject("endpoints", resource.endpoints));
        for (const slot of resource.tls?.trust ?? []) subjects.add(valueSubject("trust", slot));
        break;
      case "listener":
        subjects.add(valueSubject("bind", scope));
        for (const slot of resource.certificates ?? []) subjects.add(valueSubject("secret", slot));
        for (const slot of resource.clientValidation?.trust ?? []) {
          subjects.add(valueSubject("trust", slot));
        }
        break;
      case "upstream":
        if (resource.clientCertificate !== undefined) {
          subjects.add(valueSubject("secret", resource.clientCertificate));
        }
        break;
      case "httproute":
      case "grpcroute":
      case "tcproute":
      case "tlsroute":
      case "udproute":
      case "scope":
        break;
      default:
        resource satisfies never;
    }
  }
  return [...subjects].sort();
}
