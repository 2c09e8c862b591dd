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
  generation: number;
  /** First version that contains it; undefined until published. */
  version: number | undefined;
  programmed: boolean;
}

export class ProgrammedLatch {
  readonly #scopes = new Map<string, ScopeProgress>();
  /** Monotonic milliseconds since when no proxy is ready; undefined while one is. */
  #noneSince: number | undefined;

  /** A publish put `generation` of a scope's Gateway into `version`. */
  published(scope: string, generation: number, version: number): void {
    const progress = this.#scopes.get(scope);
    if (progress !== undefined && progress.generation === generation) {
      progress.version ??= version;
      return;
    }
    // The version is an upper bound when the generation changed nothing that is served.
    this.#scopes.set(scope, { generation, version, programmed: false });
  }

  /** Scopes that are gone are forgotten. */
  retain(scopes: ReadonlySet<string>): void {
    for (const scope of this.#scopes.keys()) if (!scopes.has(scope)) this.#scopes.delete(scope);
  }

  /** Takes the acknowledgements. Returns true when some answer is different now. */
  update(ready: ReadyVersions, now: number): boolean {
    if (ready.length > 0) this.#noneSince = undefined;
    else this.#noneSince ??= now;
    const lost = this.#noneSince !== undefined && now - this.#noneSince >= GRACE;
    let changed = false;
    for (const [scope, progress] of this.#scopes) {
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
  programmed(scope: string, generation: number): boolean | undefined {
    const progress = this.#scopes.get(scope);
    if (progress === undefined || progress.generation !== generation) return undefined;
    return progress.programmed;
  }
}
