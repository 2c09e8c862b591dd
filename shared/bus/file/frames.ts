/**
 * The bytes of a segment: frames, each whole or not there. A batch is one frame, so that it is
 * stored all or not at all; a frame cut short by a crash ends what is read.
 *
 *     frame   = u32 length of the payload · u32 CRC-32 of the payload · payload
 *     payload = u32 length of the head · head (JSON) · bodies one after the other
 */
import { crc32 } from "node:zlib";
import type { SignedMessage } from "../../snapshot/envelope.ts";

/** A message as it is stored. */
export interface StoredMessage {
  sequence: number;
  /** ms since the epoch. */
  time: number;
  subject: string;
  signed: SignedMessage;
}

/** Where a message's parts lie; the body is read when somebody asks. */
export interface StoredPlace extends Omit<StoredMessage, "signed"> {
  headers: Record<string, string>;
  /** Offset of the body from the start of what was decoded. */
  offset: number;
  length: number;
}

/** What was taken out: messages of `filter` with sequences below `before`. */
export interface Purge {
  filter: string;
  before: number;
}

export type Frame =
  | { kind: "messages"; messages: StoredPlace[] }
  | { kind: "purge"; purge: Purge };

/** Frames and how far they reach; what follows is incomplete or not ours. */
export interface DecodedFrames {
  frames: Frame[];
  bytes: number;
}

interface Head {
  m?: { q: number; t: number; s: string; h: Record<string, string>; n: number }[];
  p?: { f: string; b: number };
}

const FRAME_HEAD = 8;
/** A batch of a thousand messages of a mebibyte each, and more than any reader should believe. */
const MAX_PAYLOAD = 1 << 30;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One frame that stores messages. */
export function messagesFrame(messages: readonly StoredMessage[]): Uint8Array {
  const m = messages.map(({ sequence, time, subject, signed }) => ({
    q: sequence,
    t: time,
    s: subject,
    h: signed.headers,
    n: signed.body.length,
  }));
  return frame({ m }, messages.map(({ signed }) => signed.body));
}

/** One frame that takes messages out. */
export function purgeFrame({ filter, before }: Purge): Uint8Array {
  return frame({ p: { f: filter, b: before } }, []);
}

function frame(head: Head, bodies: readonly Uint8Array[]): Uint8Array {
  const text = encoder.encode(JSON.stringify(head));
  const size = 4 + text.length + bodies.reduce((sum, body) => sum + body.length, 0);
  const bytes = new Uint8Array(FRAME_HEAD + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(FRAME_HEAD, text.length);
  bytes.set(text, FRAME_HEAD + 4);
  let at = FRAME_HEAD + 4 + text.length;
  for (const body of bodies) {
    bytes.set(body, at);
    at += body.length;
  }
  view.setUint32(0, size);
  view.setUint32(4, crc32(bytes.subarray(FRAME_HEAD)));
  return bytes;
}

/** Reads whole frames from the start of `bytes`. Never throws. */
export function decodeFrames(bytes: Uint8Array): DecodedFrames {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= FRAME_HEAD + 4) {
    const size = view.getUint32(at);
    const end = at + FRAME_HEAD + size;
    if (size < 4 || size > MAX_PAYLOAD || end > bytes.length) break;
    if (crc32(bytes.subarray(at + FRAME_HEAD, end)) !== view.getUint32(at + 4)) break;
    const decoded = decodePayload(bytes, { from: at + FRAME_HEAD, end });
    if (decoded === undefined) break;
    frames.push(decoded);
    at = end;
  }
  return { frames, bytes: at };
}

function decodePayload(
  bytes: Uint8Array,
  { from, end }: { from: number; end: number },
): Frame | undefined {
  const headLength = new DataView(bytes.buffer, bytes.byteOffset + from, 4).getUint32(0);
  const headEnd = from + 4 + headLength;
  if (headEnd > end) return undefined;
  // The checksum says that these are the bytes that were written, so they have this form.
  const head = JSON.parse(decoder.decode(bytes.subarray(from + 4, headEnd))) as Head;
  if (head.p !== undefined) {
    return { kind: "purge", purge: { filter: head.p.f, before: head.p.b } };
  }
  let offset = headEnd;
  const messages = (head.m ?? []).map(({ q, t, s, h, n }): StoredPlace => {
    const place = { sequence: q, time: t, subject: s, headers: h, offset, length: n };
    offset += n;
    return place;
  });
  return offset === end ? { kind: "messages", messages } : undefined;
}
