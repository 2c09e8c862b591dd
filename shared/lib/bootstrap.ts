/**
 * How a parent process hands a child what it needs: one line of JSON on standard input. Keys and
 * credentials pass this way and no other, so that they are in no file, argument or environment.
 * The pipe stays open: when it closes, the parent is gone, however it ended.
 */

const MAX_BYTES = 8 * 1024 * 1024;

/** What was read, and the parent's life. */
export interface Bootstrap {
  value: unknown;
  /** Resolves when the parent closed the pipe or is gone. */
  parentGone: Promise<void>;
}

/** Reads the bootstrap line. Throws a `SyntaxError` when the input ends first or is not JSON. */
export async function readBootstrap(input: ReadableStream<Uint8Array>): Promise<Bootstrap> {
  const reader = input.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new SyntaxError("standard input ended before the bootstrap line");
    text += decoder.decode(value, { stream: true });
    if (text.length > MAX_BYTES) throw new SyntaxError("the bootstrap line is too long");
  }
  const parentGone = (async () => {
    try {
      while (!(await reader.read()).done);
    } catch {
      // An error on the pipe is its end.
    }
  })();
  return { value: JSON.parse(text.slice(0, text.indexOf("\n"))), parentGone };
}
