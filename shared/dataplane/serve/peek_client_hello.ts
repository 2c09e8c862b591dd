/** Reads the ClientHello of a connection and gives every byte of it back. */
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import { ClientHelloReader } from "./client_hello.ts";
import type { TcpStream } from "./tcp_stream.ts";

export interface PeekOptions {
  deadlines: Deadlines;
  /** Milliseconds from accept to the last byte of the message. */
  timeout: number;
}

/**
 * The server name, lower-case and empty without one; undefined when what came is no TLS, too long or
 * too late, or the client left. Never rejects; closes nothing but a connection that is too late.
 */
export async function peekClientHello(
  stream: TcpStream,
  { deadlines, timeout }: PeekOptions,
): Promise<string | undefined> {
  const deadline = new Deadline(() => stream.destroy());
  deadlines.start(deadline, timeout);
  const reader = new ClientHelloReader();
  const held: Uint8Array[] = [];
  try {
    for (;;) {
      const bytes = await stream.read();
      if (bytes === null) return undefined;
      held.push(bytes);
      const answer = reader.push(bytes);
      if (answer.kind === "incomplete") continue;
      if (answer.kind === "invalid") return undefined;
      stream.unread(joined(held));
      return answer.serverName;
    }
  } catch {
    return undefined;
  } finally {
    deadline.stop();
  }
}

/** The chunks as one. */
export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
