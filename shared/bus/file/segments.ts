/** The files of a stream: `<first sequence>-<generation>.seg`, the last one grows. */

const NAME = /^(\d{16})-(\d{4,})\.seg$/;

export interface Segment {
  readonly name: string;
  /** Sequence that its first message has, or would have. */
  readonly first: number;
  /** Rises when a segment is written again without what is gone. */
  readonly generation: number;
}

export function segment(first: number, generation: number): Segment {
  const name = `${String(first).padStart(16, "0")}-${String(generation).padStart(4, "0")}.seg`;
  return { name, first, generation };
}

/** The segments of a folder by first sequence, the newest generation of each; none without it. */
export function listSegments(folder: string): Segment[] {
  const newest = new Map<number, Segment>();
  for (const name of entryNames(folder)) {
    const [, first, generation] = NAME.exec(name) ?? [];
    if (first === undefined || generation === undefined) continue;
    const found = segment(Number(first), Number(generation));
    const known = newest.get(found.first);
    if (known === undefined || known.generation < found.generation) newest.set(found.first, found);
  }
  return [...newest.values()].sort((a, b) => a.first - b.first);
}

function entryNames(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Bytes of a file from an offset on; none when it is gone. */
export function readFrom(path: string, offset: number): Uint8Array {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw error;
  }
  try {
    const size = file.statSync().size - offset;
    return size <= 0 ? new Uint8Array() : readBytes(file, { offset, length: size });
  } finally {
    file.close();
  }
}

/** Bytes at a place in an open file; fewer when it ends there. */
export function readBytes(
  file: Deno.FsFile,
  { offset, length }: { offset: number; length: number },
): Uint8Array {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < length) {
    const read = file.readSync(bytes.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}
