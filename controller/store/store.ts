/** The objects that the controller knows. */
import { keyOf, type KubeObject } from "../model/objects.ts";
import type { Batch } from "../source/batch.ts";
import { type ObjectChange, StoredView } from "./view.ts";

/** Owns the current view; the views before it stay as they were. */
export class ObjectStore {
  #view = StoredView.EMPTY;

  /** Applies a change. Returns true when something is different now. */
  apply({ upserts, deletes }: Pick<Batch, "upserts" | "deletes">): boolean {
    const after = new Map<string, KubeObject | undefined>();
    for (const object of upserts) after.set(keyOf(object), object);
    for (const key of deletes) after.set(key, undefined);
    const changes: ObjectChange[] = [];
    for (const [key, object] of after) {
      const before = this.#view.find(key);
      if (before !== object) changes.push({ before, after: object });
    }
    if (changes.length === 0) return false;
    this.#view = this.#view.with(changes);
    return true;
  }

  /** The state now, frozen. The same object until something changes. */
  view(): StoredView {
    return this.#view;
  }
}

/** A view of some objects, for one-shot use. */
export function viewOf(objects: Iterable<KubeObject>): StoredView {
  const store = new ObjectStore();
  store.apply({ upserts: [...objects], deletes: [] });
  return store.view();
}
