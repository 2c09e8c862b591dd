/**
 * The values of plain YAML, several times faster than with positions: of thousands of manifests all
 * but a few have nothing wrong, and nobody asks where their fields stand.
 */
// @ts-types="npm:@types/js-yaml@4.0.9"
import { CORE_SCHEMA, loadAll } from "js-yaml";

/**
 * What is left to the full parser: anchors, aliases, tags, merge keys, directives, explicit keys,
 * block scalars with their indentation rules, tabs, escapes, numbers in other bases or with
 * underscores. In everything else both parsers read the same.
 */
const NOT_PLAIN = new RegExp(
  [
    "[&!|>\\t%`~\\\\]",
    "<<",
    "(^|\\s)\\?\\s",
    "(^|[\\s,[{:-])\\*",
    "(^|[\\s,[:])[-+]?0[boxBOX]",
    "\\d_|_\\d|-0\\b|(^|[-+\\s,:[])\\.\\d",
    "\\.\\.\\.",
    "^---\\S|\\S---$",
    "\\{\\s*[{[]|[\\]}]\\s*:",
    // What is no comment for want of a space.
    "[\"'\\]},:[{-]#",
    // Collections and quotes that are open at the end of a line.
    "[[{][^\\]}\\n]*$",
    "^[^'\\n]*'([^'\\n]*'[^'\\n]*')*[^'\\n]*$",
    '^[^"\\n]*"([^"\\n]*"[^"\\n]*")*[^"\\n]*$',
  ].join("|"),
  "m",
);

/**
 * The values of all documents, empty ones left out; undefined when the text is not plain, or has a
 * mistake that the full parser explains.
 */
export function fastDocuments(text: string): unknown[] | undefined {
  if (NOT_PLAIN.test(text)) return undefined;
  try {
    const values = loadAll(text, undefined, { schema: CORE_SCHEMA });
    // A separator inside a quoted text of several lines is a mistake, or part of the text.
    if (values.length !== separated(text)) return undefined;
    const documents = values.filter((value) => value !== null && value !== undefined);
    return documents.every(isPlainMap) ? documents : undefined;
  } catch {
    return undefined;
  }
}

/** The number of documents by the lines that separate them. */
function separated(text: string): number {
  const parts = text.split(/^---(?=\s|$)/m);
  const before = (parts[0] ?? "").replace(/^\s*(#.*)?$/gm, "");
  return before.trim() === "" && parts.length > 1 ? parts.length - 1 : parts.length;
}

/** Anything else is no manifest, and for the full parser to look at. */
function isPlainMap(value: unknown): boolean {
  return typeof value === "object" && !Array.isArray(value) && !hasNullKey(value);
}

/** A key that is null, or none at all, is a word to one parser and empty text to the other. */
function hasNullKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(hasNullKey);
  if (Object.hasOwn(value, "null")) return true;
  for (const member of Object.values(value)) if (hasNullKey(member)) return true;
  return false;
}
