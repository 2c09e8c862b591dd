/** Manifests on disk, compiled as the controller would. */
import { compile } from "../compile/compile.ts";
import type { CompileResult } from "../compile/compile.ts";
import type { Problem } from "../source/batch.ts";
import { loadManifests } from "../source/files/files_source.ts";
import { ObjectStore } from "../store/store.ts";
import type { ClusterView } from "../store/view.ts";

export interface CompiledManifests {
  view: ClusterView;
  result: CompileResult;
  problems: Problem[];
}

/** Reads and compiles. Throws when a path cannot be read. */
export async function compileManifests(
  paths: readonly string[],
  options: { controllerName?: string } = {},
): Promise<CompiledManifests> {
  const store = new ObjectStore();
  const problems: Problem[] = [];
  for (const path of paths) {
    const batch = await loadManifests(path);
    store.apply(batch);
    problems.push(...batch.problems);
  }
  const view = store.view();
  return { view, result: compile(view, options), problems };
}
