/** Manifests that are in no file: read once. */
import type { Batch } from "../batch.ts";
import { ManifestSet } from "./manifest_set.ts";

/** The objects of a text, as a source would give them. `name` stands in for the file. */
export function loadInline(text: string, name: string): Batch {
  const set = new ManifestSet({ now: Date.now });
  set.setFile(name, text, { removals: "apply" });
  return set.take();
}
