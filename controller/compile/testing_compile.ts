/** What tests of the compilers share. */
import type { CompileResult } from "./compile.ts";

function sorted<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1);
}

/** Everything that leaves a compile, in one text: equal texts, equal results. */
export function resultBytes(result: CompileResult): string {
  return JSON.stringify([
    sorted(result.scopes).map(([scope, { resources, sources }]) => [
      scope,
      sorted(resources),
      sorted(sources),
    ]),
    sorted(result.ports),
    sorted(result.infrastructure),
    sorted(result.endpoints),
    sorted(result.certificates),
    sorted(result.trust),
    sorted(result.statuses),
    sorted(result.diagnostics),
  ]);
}
