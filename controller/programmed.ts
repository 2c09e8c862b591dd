/**
 * When may a Gateway say Programmed? When every ready proxy acknowledged a version that contains
 * the Gateway's generation. Latched per generation: a proxy that restarts does not take it back;
 * only a fleet without any ready proxy does, after a grace.
 */

/** What a ready proxy has in force: scope → version. */
export type ReadyVersions = readonly ReadonlyMap<string, number>[];

/** Milliseconds without a ready proxy until Programmed turns false. */
const GRACE = 30_000;

interface ScopeProgress {
  scope: string;
  generation: number;
  /** First version that contains it; undefined until published. */
  version: number | undefined;
  programmed: boolean;
}

/** Names a scope's Gateway (no part), or a part of it. */
export function latchKey(scope: string, part = ""): string {
  return part === "" ? scope : `${scope} ${part}`;
}

export class ProgrammedLatch {
  /** By scope, or by scope and part: an object beside the Gateway with a generation of its own. */
  readonly #scopes = new Map<string, ScopeProgress>();
  /** Monotonic milliseconds since when no proxy is ready; undefined while one is. */
  #noneSince: number | undefined;

  /**
   * A publish put `generation` of a scope's Gateway into `version`; or that of a `part` of it, such
   * as a ListenerSet, by its object key.
   */
  published(scope: string, generation: number, version: number, part = ""): void {
    const key = latchKey(scope, part);
    const progress = this.#scopes.get(key);
    if (progress !== undefined && progress.generation === generation) {
      progress.version ??= version;
      return;
    }
    // The version is an upper bound when the generation changed nothing that is served.
    this.#scopes.set(key, { scope, generation, version, programmed: false });
  }

  /** Everything but these {@linkcode latchKey}s is forgotten. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#scopes.keys()) if (!keys.has(key)) this.#scopes.delete(key);
  }

  /** Takes the acknowledgements. Returns true when some answer is different now. */
  update(ready: ReadyVersions, now: number): boolean {
    if (ready.length > 0) this.#noneSince = undefined;
    else this.#noneSince ??= now;
    const lost = this.#noneSince !== undefined && now - this.#noneSince >= GRACE;
    let changed = false;
    for (const progress of this.#scopes.values()) {
      const { scope } = progress;
      const before = progress.programmed;
      const wanted = progress.version;
      if (lost) progress.programmed = false;
      else if (wanted !== undefined && ready.length > 0) {
        const all = ready.every((versions) => (versions.get(scope) ?? 0) >= wanted);
        if (all) progress.programmed = true;
      }
      changed ||= before !== progress.programmed;
    }
    return changed;
  }

  /**
   * Monotonic milliseconds at which {@linkcode ProgrammedLatch.update} has to be asked again though
   * no proxy says anything: the end of the grace. Undefined while nothing can change by itself.
   */
  get due(): number | undefined {
    const any = [...this.#scopes.values()].some(({ programmed }) => programmed);
    return this.#noneSince === undefined || !any ? undefined : this.#noneSince + GRACE;
  }

  /** The answer for a Gateway at a generation; undefined = not known yet. */
  programmed(scope: string, generation: number, part = ""): boolean | undefined {
    const progress = this.#scopes.get(latchKey(scope, part));
    if (progress === undefined || progress.generation !== generation) return undefined;
    return progress.programmed;
  }
}
