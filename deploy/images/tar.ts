/** Writes tar archives (POSIX ustar) without a program: what an image of a container consists of. */

/** A file, folder or link of an archive. Paths are relative, without a leading slash. */
export type TarEntry =
  & {
    path: string; /** Permission bits; 0644 for files and 0755 for folders when absent. */
    mode?: number;
    uid?: number;
    gid?: number;
  }
  & (
    | {
      kind: "file";
      content: Uint8Array<ArrayBuffer> | { /** Read when it is written. */ file: string };
    }
    | { kind: "folder" }
    | { kind: "link"; target: string }
  );

const DEFAULT_MODES = { file: 0o644, folder: 0o755, link: 0o777 } as const;
const BLOCK = 512;
/** Octal digits of the size field allow 8 GiB. */
const MAX_SIZE = 8 * 1024 ** 3 - 1;

/**
 * The bytes of an archive, entry by entry. Times are zero, so that equal entries give equal bytes.
 * Throws when a name is longer than the format holds (100 bytes, 255 with a prefix).
 */
export async function* tarBytes(
  entries: Iterable<TarEntry>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (const entry of entries) {
    const size = await sizeOf(entry);
    if (size > MAX_SIZE) {
      throw new Error(`${entry.path}: ${size} bytes do not fit into a tar entry`);
    }
    yield header(entry, size);
    if (entry.kind !== "file") continue;
    let written = 0;
    for await (const chunk of contentOf(entry.content)) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== size) throw new Error(`${entry.path}: changed while it was read`);
    if (size % BLOCK !== 0) yield new Uint8Array(BLOCK - size % BLOCK);
  }
  yield new Uint8Array(2 * BLOCK);
}

async function sizeOf(entry: TarEntry): Promise<number> {
  if (entry.kind !== "file") return 0;
  if (entry.content instanceof Uint8Array) return entry.content.length;
  return (await Deno.stat(entry.content.file)).size;
}

async function* contentOf(
  content: Uint8Array<ArrayBuffer> | { file: string },
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (content instanceof Uint8Array) {
    if (content.length > 0) yield content;
    return;
  }
  using file = await Deno.open(content.file);
  const buffer = new Uint8Array(1 << 20);
  for (let read = await file.read(buffer); read !== null; read = await file.read(buffer)) {
    yield buffer.slice(0, read);
  }
}

function header(entry: TarEntry, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK);
  const text = (offset: number, value: Uint8Array | string) =>
    bytes.set(typeof value === "string" ? new TextEncoder().encode(value) : value, offset);
  const octal = (offset: number, digits: number, value: number) =>
    text(offset, value.toString(8).padStart(digits, "0"));
  const { prefix, name } = splitName(entry.kind === "folder" ? `${entry.path}/` : entry.path);
  const link = new TextEncoder().encode(entry.kind === "link" ? entry.target : "");
  if (link.length > 100) {
    throw new Error(`${entry.path}: the target of the link is too long for tar`);
  }
  text(0, name);
  octal(100, 7, entry.mode ?? DEFAULT_MODES[entry.kind]);
  octal(108, 7, entry.uid ?? 0);
  octal(116, 7, entry.gid ?? 0);
  octal(124, 11, size);
  octal(136, 11, 0);
  text(156, entry.kind === "file" ? "0" : entry.kind === "folder" ? "5" : "2");
  text(157, link);
  text(257, "ustar\u000000");
  text(345, prefix);
  // The checksum counts its own field as spaces.
  text(148, "        ");
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  octal(148, 6, sum);
  text(154, "\0 ");
  return bytes;
}

/** Splits a path at a slash so that both parts fit into their fields. */
function splitName(path: string): { prefix: Uint8Array; name: Uint8Array } {
  const whole = new TextEncoder().encode(path);
  if (whole.length <= 100) return { prefix: new Uint8Array(), name: whole };
  for (let at = Math.min(155, whole.length - 2); at > 0; at--) {
    if (whole[at] === 0x2f && whole.length - at - 1 <= 100) {
      return { prefix: whole.subarray(0, at), name: whole.subarray(at + 1) };
    }
  }
  throw new Error(`${path}: too long a path for a tar archive`);
}
