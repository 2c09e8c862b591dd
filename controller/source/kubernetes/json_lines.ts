/** A stream of JSON values, one a line, as a watch answers: all lines of a chunk come together. */

/** Characters of one line: an object of the API is a few megabytes at most. */
const LONGEST_LINE = 64 * 1024 * 1024;

/**
 * The values of a body, grouped as they arrived; empty lines are skipped.
 * @throws {Error} for a line that is no JSON or too long, and whatever the body fails with.
 */
export async function* readJsonLines(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<unknown[], void, void> {
  let rest: string[] = [];
  let length = 0;
  for await (const chunk of body.pipeThrough(new TextDecoderStream() as ByteDecoder)) {
    const end = chunk.lastIndexOf("\n");
    if (end < 0) {
      length += chunk.length;
      if (length > LONGEST_LINE) {
        throw new Error(`a line is longer than ${LONGEST_LINE} characters`);
      }
      rest.push(chunk);
      continue;
    }
    const whole = rest.join("") + chunk.slice(0, end);
    rest = [chunk.slice(end + 1)];
    length = rest[0]?.length ?? 0;
    const values = whole.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    if (values.length > 0) yield values;
  }
}

/** The decoder takes any view of bytes; its type says so less clearly. */
type ByteDecoder = TransformStream<Uint8Array, string>;
