/** Reads the ClientHello of a connection and gives every byte of it back. */
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import { ClientHelloReader } from "./client_hello.ts";
import { HeldBytes } from "./held_bytes.ts";
import type { TcpStream } from "./tcp_stream.ts";

export interface PeekOptions {
  deadlines: Deadlines;
  /** Milliseconds from accept to the last byte of the message. */
  timeout: number;
}

export type PeekedHello =
  /** `serverName`: lower-case; empty without one. */
  | { kind: "hello"; serverName: string }
  /** It did not come in time; what came is no TLS, or too long; the client left. */
  | { kind: "none"; reason: "timeout" | "protocol" | "closed" };

/** Never rejects; closes nothing but a connection that is too late. */
export async function peekClientHello(
  stream: TcpStream,
  { deadlines, timeout }: PeekOptions,
): Promise<PeekedHello> {
  let late = false;
  const deadline = new Deadline(() => {
    late = true;
    stream.destroy();
  });
  deadlines.start(deadline, timeout);
  const reader = new ClientHelloReader();
  const held = new HeldBytes();
  try {
    for (;;) {
      const bytes = await stream.read();
      if (bytes === null) return { kind: "none", reason: late ? "timeout" : "closed" };
      held.push(bytes);
      const answer = reader.push(bytes);
      if (answer.kind === "incomplete") continue;
      if (answer.kind === "invalid") return { kind: "none", reason: "protocol" };
      stream.unread(held.take());
      return answer;
    }
  } catch {
    return { kind: "none", reason: late ? "timeout" : "closed" };
  } finally {
    deadline.stop();
  }
}
