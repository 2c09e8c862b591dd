/**
 * The part of `@std/yaml` that the project uses, over `npm:yaml`. See `assert.ts` beside this file
 * for why. Code that needs line numbers of a document uses `yaml` itself
 * (`controller/source/files`).
 */
import { parse as parseYaml, parseAllDocuments, stringify as stringifyYaml } from "yaml";

/** Parses one YAML document. Throws a `SyntaxError` with line and column when it is malformed. */
export function parse(content: string): unknown {
  try {
    return parseYaml(content);
  } catch (error) {
    throw new SyntaxError((error as Error).message, { cause: error });
  }
}

/** Every document of a stream. Throws for the first that is not YAML. */
export function parseAll(content: string): unknown[] {
  return [...parseAllDocuments(content)].map((document) => {
    const [error] = document.errors ?? [];
    if (error !== undefined) throw new SyntaxError(error.message, { cause: error });
    return document.toJS();
  });
}

/** Options of {@linkcode stringify}; the names are those of `@std/yaml`. */
export interface StringifyOptions {
  /** Sort the keys of every object. Default `false`. */
  sortKeys?: boolean;
  /** Fold lines longer than this; `-1` never folds. Default 80. */
  lineWidth?: number;
}

/** Writes `data` as one YAML document. */
export function stringify(data: unknown, options: StringifyOptions = {}): string {
  return stringifyYaml(data, {
    sortMapEntries: options.sortKeys ?? false,
    lineWidth: options.lineWidth === undefined ? 80 : Math.max(options.lineWidth, 0),
    aliasDuplicateObjects: false,
  });
}
