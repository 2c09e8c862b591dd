/** A snapshot that verified but does not make sense; names the resource and what is wrong. */
export class TableError extends Error {
  override name = "TableError";
  constructor(readonly resource: string, problem: string) {
    super(`${resource}: ${problem}`);
  }
}
