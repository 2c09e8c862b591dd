/**
 * Messages above the bus's payload limit travel in chunks. The signature covers the whole, so
 * chunks are only put together here; what comes out is checked like any other message.
 */
import { HEADER, MAX_PAYLOAD_BYTES, type SignedMessage } from "./envelope.ts";
import { digestText, sha256 } from "./hash.ts";
import { RefusalError } from "./refusal.ts";

/** A batch holds at most 1,000 messages, and all chunks of a message are in one batch. */
export const MAX_CHUNKS = 1000;

/** `message` itself, or its chunks of at most `limit` body bytes. */
export function splitMessage(message: SignedMessage, limit: number): SignedMessage[] {
  if (message.body.length <= limit) return [message];
  const count = Math.ceil(message.body.length / limit);
  const whole = digestText(sha256(message.body));
  return Array.from({ length: count }, (_, index) => ({
    headers: {
      ...message.headers,
      [HEADER.chunk]: `${index + 1}/${count}`,
      [HEADER.whole]: whole,
    },
    body: message.body.subarray(index * limit, (index + 1) * limit),
  }));
}

interface Partial {
  readonly identity: string;
  readonly whole: string;
  readonly count: number;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** What came of one arriving message. Both are present when an unfinished message was given up. */
export interface Assembled {
  /** A whole message, ready to verify. */
  message?: SignedMessage;
  refused?: RefusalError;
}

/** Puts the chunks of one subject's messages together, in order of arrival. */
export class ChunkAssembler {
  readonly #maxBytes: number;
  #partial: Partial | undefined;
  /** Whole of the message that was given up: its other chunks are not refused a second time. */
  #dropped = "";

  /** @param maxBytes bound on what is held, bytes. */
  constructor(maxBytes: number = MAX_PAYLOAD_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next message of the stream. Never throws. */
  push(message: SignedMessage): Assembled {
    const text = message.headers[HEADER.chunk];
    if (text === undefined) {
      const refused = this.#giveUp("a whole message came before the last chunk");
      return refused === undefined ? { message } : { message, refused };
    }
    const place = parsePlace(text);
    if (place === undefined) {
      this.#partial = undefined;
      return { refused: new RefusalError("chunk", `${HEADER.chunk}: "${text}" is no place`) };
    }
    return this.#pushChunk(message, place);
  }

  #pushChunk(message: SignedMessage, place: { index: number; count: number }): Assembled {
    const whole = message.headers[HEADER.whole] ?? "";
    let refused: RefusalError | undefined;
    if (place.index === 1) {
      refused = this.#giveUp("the first chunk of another message came before the last one");
      this.#partial = {
        identity: identityOf(message),
        whole,
        count: place.count,
        parts: [],
        bytes: 0,
      };
    } else if (this.#partial === undefined && whole === this.#dropped) {
      return {};
    }
    const partial = this.#partial;
    if (partial === undefined) {
      this.#dropped = whole;
      return { refused: new RefusalError("chunk", `chunk ${place.index} without the ones before`) };
    }
    const problem = this.#problemOf(partial, message, place);
    if (problem !== undefined) return { refused: this.#giveUp(problem) ?? problemRefusal(problem) };
    partial.parts.push(message.body);
    partial.bytes += message.body.length;
    if (partial.parts.length < partial.count) return refused === undefined ? {} : { refused };
    this.#partial = undefined;
    return finish(partial, message, refused);
  }

  #problemOf(
    partial: Partial,
    message: SignedMessage,
    place: { index: number; count: number },
  ): string | undefined {
    if (identityOf(message) !== partial.identity || place.count !== partial.count) {
      return "chunks of different messages are mixed";
    }
    if (place.index !== partial.parts.length + 1) {
      return `chunk ${place.index} came where ${partial.parts.length + 1} belongs`;
    }
    if (partial.bytes + message.body.length > this.#maxBytes) {
      return `more than ${this.#maxBytes} bytes`;
    }
    return undefined;
  }

  #giveUp(problem: string): RefusalError | undefined {
    if (this.#partial === undefined) return undefined;
    this.#dropped = this.#partial.whole;
    this.#partial = undefined;
    return problemRefusal(problem);
  }
}

function problemRefusal(problem: string): RefusalError {
  return new RefusalError("chunk", problem);
}

function finish(
  partial: Partial,
  last: SignedMessage,
  refused: RefusalError | undefined,
): Assembled {
  const body = new Uint8Array(partial.bytes);
  let offset = 0;
  for (const part of partial.parts) {
    body.set(part, offset);
    offset += part.length;
  }
  if (digestText(sha256(body)) !== partial.whole) {
    return { refused: problemRefusal("the chunks do not add up to what they announce") };
  }
  const headers = Object.fromEntries(
    Object.entries(last.headers).filter(([name]) => name !== HEADER.chunk && name !== HEADER.whole),
  );
  const message = { headers, body };
  return refused === undefined ? { message } : { message, refused };
}

function parsePlace(text: string): { index: number; count: number } | undefined {
  const match = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(text);
  if (match === null) return undefined;
  const index = Number(match[1]);
  const count = Number(match[2]);
  return index > count || count > MAX_CHUNKS ? undefined : { index, count };
}

/** Headers that all chunks of one message share. */
function identityOf(message: SignedMessage): string {
  const { scope, version, type, keyId, signature, encoding, whole } = HEADER;
  return JSON.stringify(
    [scope, version, type, keyId, signature, encoding, whole].map((name) => message.headers[name]),
  );
}
