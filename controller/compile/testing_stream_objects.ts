/** Random TCPRoutes, TLSRoutes and UDPRoutes; see `testing_objects.ts`. */
import fc from "fast-check";
import type { BackendTarget, KubeObject, ParentRef } from "../model/objects.ts";
import { meta, pick } from "./testing_arbitraries.ts";

/** Names that other routes have as well: the kind alone tells them apart. */
export function streamRoutes({ backendTarget, parentRefs }: {
  backendTarget: fc.Arbitrary<BackendTarget>;
  parentRefs: fc.Arbitrary<ParentRef[]>;
}) {
  const names = ["r1", "r2"];
  const backendRef = fc.tuple(backendTarget, fc.constantFrom(0, 1, 5))
    .map(([target, weight]) => ({ ...target, weight }));
  const rule = fc.record({ backendRefs: fc.array(backendRef, { minLength: 1, maxLength: 3 }) });
  const spec = { parentRefs, rules: fc.tuple(rule) };
  const hostnames = pick<string[]>(["a.example.com"], ["*.example.com", "other.org"]);
  return {
    TCPRoute: fc.record({
      kind: fc.constant("TCPRoute" as const),
      meta: meta("TCPRoute", { names }),
      spec: fc.record(spec),
    }) satisfies fc.Arbitrary<KubeObject>,
    TLSRoute: fc.record({
      kind: fc.constant("TLSRoute" as const),
      meta: meta("TLSRoute", { names }),
      spec: fc.record({ ...spec, hostnames }),
    }) satisfies fc.Arbitrary<KubeObject>,
    UDPRoute: fc.record({
      kind: fc.constant("UDPRoute" as const),
      meta: meta("UDPRoute", { names }),
      spec: fc.record(spec),
    }) satisfies fc.Arbitrary<KubeObject>,
  };
}
