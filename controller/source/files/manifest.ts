/** YAML text → documents whose every field knows its line. */
import { type Document, isMap, isScalar, LineCounter, parseAllDocuments } from "yaml";
import type { Path } from "../decode/decoder.ts";
import { fastDocuments } from "./fast_yaml.ts";

export interface Position {
  /** From 1. */
  line: number;
  column: number;
}

export interface ManifestDocument {
  value: unknown;
  /** Where the value at `path` stands, or its nearest parent; with `key`, where its key stands. */
  locate(path: Path, key?: boolean): Position;
  /** Locating means to parse the text again, and keeps no more than the text until then. */
  readonly dear: boolean;
}

export interface Manifest {
  /** Documents that are well-formed; empty ones left out. */
  documents: ManifestDocument[];
  /** One entry per malformed document. */
  errors: (Position & { message: string })[];
}

/** Parses a stream of YAML documents. Never throws: what cannot be read is in `errors`. */
export function parseManifest(text: string): Manifest {
  const values = fastDocuments(text);
  if (values === undefined) return parseWithPositions(text);
  // Several problems of one manifest ask one after the other; later it need not be there any more.
  let parsed: WeakRef<Manifest> | undefined;
  const positions = () => {
    const manifest = parsed?.deref() ?? parseWithPositions(text);
    parsed = new WeakRef(manifest);
    return manifest;
  };
  return {
    errors: [],
    documents: values.map((value, index) => ({
      value,
      dear: true,
      locate: (path, key) =>
        positions().documents[index]?.locate(path, key) ?? { line: 1, column: 1 },
    })),
  };
}

/** The same with the full parser, which knows where everything stands. */
export function parseWithPositions(text: string): Manifest {
  const lines = new LineCounter();
  const manifest: Manifest = { documents: [], errors: [] };
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  let parsed: Document.Parsed[];
  try {
    parsed = documentsOf(text, lines);
  } catch (error) {
    // Nesting too deep for the parser's stack.
    const message = error instanceof Error ? error.message : String(error);
    return { documents: [], errors: [{ line: 1, column: 1, message }] };
  }
  for (const document of parsed) {
    const problem = document.errors[0];
    if (problem !== undefined) {
      const message = problem.message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "");
      manifest.errors.push({ ...at(problem.pos[0]), message: message ?? "malformed YAML" });
      continue;
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: 100 });
      if (value === null || value === undefined) continue;
      manifest.documents.push({
        value,
        dear: false,
        locate: (path, key) => at(offsetOf(document, path, key ?? false)),
      });
    } catch (error) {
      // Aliases that expand without bound, or nesting too deep to walk.
      const message = error instanceof Error ? error.message : String(error);
      manifest.errors.push({ ...at(document.range[0]), message });
    }
  }
  return manifest;
}

function documentsOf(text: string, lineCounter: LineCounter): Document.Parsed[] {
  // An empty stream is an array with a mark; both forms iterate.
  return [...parseAllDocuments(text, {
    lineCounter,
    merge: true,
    prettyErrors: true,
    logLevel: "error",
  })];
}

function offsetOf(document: Document.Parsed, path: Path, key: boolean): number {
  const last = path.at(-1);
  if (key && last !== undefined) {
    const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last);
      if (isScalar(pair?.key) && pair.key.range) return pair.key.range[0];
    }
  }
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    const range = rangeOf(node);
    if (range !== undefined) return range;
  }
  return rangeOf(document.contents) ?? document.range[0];
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
  const { range } = node;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : undefined;
}
