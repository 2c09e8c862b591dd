/** What a child process prints, both streams in the order in which it comes. */
export interface ProcessOutput {
  /** So far. */
  readonly text: string;
  /** Resolves when both streams have ended. */
  readonly ended: Promise<void>;
}

export function outputOf(
  { stdout, stderr }: Pick<Deno.ChildProcess, "stdout" | "stderr">,
): ProcessOutput {
  let text = "";
  const collect = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) text += part;
  };
  const both = Promise.all([collect(stdout), collect(stderr)]);
  return {
    get text() {
      return text;
    },
    ended: both.then(() => {}),
  };
}
