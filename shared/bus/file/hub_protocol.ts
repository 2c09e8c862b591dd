/** What the processes of a file bus say to each other about streams that never reach a disk. */
import type { StreamName } from "../streams.ts";
import type { Purge, StoredMessage } from "./frames.ts";

/** The streams of the hub. */
export const MEMORY_STREAMS = ["LGW_SECRETS", "LGW_FLEET"] as const satisfies StreamName[];
export type MemoryStreamName = (typeof MEMORY_STREAMS)[number];

export type HubMessage =
  /** To the hub: tell me of this stream. */
  | { kind: "follow"; stream: MemoryStreamName }
  /** To the hub: a heartbeat. */
  | { kind: "send"; subject: string; headers: Record<string, string>; body: Uint8Array }
  /** From the hub: what follows is what the stream holds, up to `ready`. */
  | { kind: "begin"; stream: MemoryStreamName }
  | { kind: "ready"; stream: MemoryStreamName; identity: string }
  | { kind: "message"; stream: MemoryStreamName; message: StoredMessage }
  | { kind: "purge"; stream: MemoryStreamName; purge: Purge };

/** Bytes of one message; a sealed secret is a few kilobytes. */
const MAX_MESSAGE = 4 * 1024 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** u32 length of the rest · u32 length of the head · head (JSON) · body. */
export function encodeHubMessage(message: HubMessage): Uint8Array {
  const { head, body } = split(message);
  const text = encoder.encode(JSON.stringify(head));
  const bytes = new Uint8Array(8 + text.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 + text.length + body.length);
  view.setUint32(4, text.length);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

function split(message: HubMessage): { head: unknown; body: Uint8Array } {
  switch (message.kind) {
    case "send": {
      const { body, ...head } = message;
      return { head, body };
    }
    case "message": {
      const { message: { signed, ...place }, ...rest } = message;
      return { head: { ...rest, place, headers: signed.headers }, body: signed.body };
    }
    case "follow":
    case "begin":
    case "ready":
    case "purge":
      return { head: message, body: new Uint8Array() };
  }
}

function join(head: Record<string, unknown>, body: Uint8Array): HubMessage {
  if (head.kind === "send") return { ...head, body } as HubMessage;
  if (head.kind !== "message") return head as HubMessage;
  const { place, headers, ...rest } = head;
  return { ...rest, message: { ...place as object, signed: { headers, body } } } as HubMessage;
}

/** Cuts a stream of bytes into messages. */
export class HubDecoder {
  #rest: Uint8Array = new Uint8Array();

  /** @throws {RangeError} for a length that no message has */
  push(bytes: Uint8Array): HubMessage[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const view = new DataView(all.buffer);
    const messages: HubMessage[] = [];
    let at = 0;
    while (all.length - at >= 8) {
      const length = view.getUint32(at);
      const headLength = view.getUint32(at + 4);
      if (length > MAX_MESSAGE || headLength > length - 4) {
        throw new RangeError(`a message of ${length} bytes`);
      }
      if (all.length - at < 4 + length) break;
      // Between processes of one user and one build: the outline is what it was encoded from.
      const head = JSON.parse(decoder.decode(all.subarray(at + 8, at + 8 + headLength)));
      messages.push(join(head, all.slice(at + 8 + headLength, at + 4 + length)));
      at += 4 + length;
    }
    this.#rest = all.slice(at);
    return messages;
  }
}
