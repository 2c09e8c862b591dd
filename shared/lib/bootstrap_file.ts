/**
 * What a process in a container needs, as a JSON file whose secret parts stay where they are
 * mounted: `{"$file": "path"}` stands for the text of another file (beside it, or absolute),
 * `{"$json": "path"}` for the value of a JSON file, and `{"$env": "NAME"}` for a variable that the
 * pod sets, such as its own name.
 */

/** How the two kinds of references are followed. */
export interface ReferenceReaders {
  /** Text of a file. Throws when it cannot be read. */
  file: (path: string) => string;
  env: (name: string) => string | undefined;
}

/** Levels of nesting: more is a mistake. */
const DEEPEST = 20;

/** Reads a bootstrap file. @throws {Error} that names the file, or the reference in it. */
export function readBootstrapFile(path: string, readers: ReferenceReaders): unknown {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  return resolve(parseJson(path, readers.file(path)), {
    file: (name) => readers.file(name.startsWith("/") ? name : folder + name),
    env: readers.env,
  }, { at: path, depth: 0 });
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The text of the error would repeat a part of the file.
    const position = /position \d+/.exec(String(error))?.[0] ?? "some position";
    throw new Error(`${path}: not JSON at ${position}`);
  }
}

function resolve(
  value: unknown,
  readers: ReferenceReaders,
  { at, depth }: { at: string; depth: number },
): unknown {
  if (depth > DEEPEST) throw new Error(`${at}: nested too deeply`);
  const below = (name: string | number) => ({ at: `${at}: ${name}`, depth: depth + 1 });
  if (Array.isArray(value)) {
    return value.map((entry, index) => resolve(entry, readers, below(index)));
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [name, target] = entries.length === 1 ? entries[0] ?? [] : [];
  if (name === "$file" && typeof target === "string") return readers.file(target).trim();
  if (name === "$json" && typeof target === "string") {
    return parseJson(target, readers.file(target));
  }
  if (name === "$env" && typeof target === "string") {
    const text = readers.env(target);
    if (text === undefined || text === "") throw new Error(`${at}: ${target} is not set`);
    return text;
  }
  return Object.fromEntries(
    entries.map(([key, entry]) => [key, resolve(entry, readers, below(key))]),
  );
}
