/** Tells HTTP/2 with prior knowledge from HTTP/1.x by the first bytes (RFC 9113 §3.3, §3.4). */
import { Buffer } from "node:buffer";
import { Deadline } from "../upstream/deadlines.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { TcpStream } from "./tcp_stream.ts";

/** What every HTTP/2 client sends first. No method of HTTP/1.x begins so. */
export const PREFACE: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** What the first bytes say; `none` when there were none in time, or the client left. */
export type FirstProtocol = "http1" | "http2" | "none";

export interface PrefaceOptions {
  deadlines: Deadlines;
  /** Milliseconds from accept until the first bytes say what is spoken. */
  timeout: number;
  /** Called when that took too long; the stream is destroyed. */
  onTimeout: () => void;
}

/**
 * Reads until the bytes differ from the preface or hold all of it, and gives them back to the
 * stream. Never rejects.
 */
export async function firstProtocol(
  stream: TcpStream,
  options: PrefaceOptions,
): Promise<FirstProtocol> {
  const deadline = new Deadline(() => {
    options.onTimeout();
    stream.destroy();
  });
  options.deadlines.start(deadline, options.timeout);
  let held: Uint8Array | null = null;
  try {
    for (;;) {
      const more = await stream.read();
      if (more === null) break;
      held = held === null ? more : joined(held, more);
      const same = commonLength(held);
      if (same === PREFACE.length) {
        stream.unread(held);
        return "http2";
      }
      if (same < held.length) break;
    }
  } catch {
    // The client broke off.
    return "none";
  } finally {
    deadline.stop();
  }
  if (held === null) return "none";
  // A part of the preface and then the end: as a head of HTTP/1.1 it is cut off, too.
  stream.unread(held);
  return "http1";
}

/** How many bytes from the start agree with the preface. */
function commonLength(bytes: Uint8Array): number {
  const end = Math.min(bytes.length, PREFACE.length);
  for (let i = 0; i < end; i++) if (bytes[i] !== PREFACE[i]) return i;
  return end;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}
