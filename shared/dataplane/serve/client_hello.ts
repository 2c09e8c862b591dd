/**
 * Reads the server name out of the first message of a TLS client (RFC 8446 §4.1.2, §5.1; RFC 6066
 * §3), however it is cut into records and segments. Nothing else of it is judged: that is for whoever
 * ends the TLS. With encrypted ClientHello the name is the outer one.
 */

/** Bytes of a message, and with its records of what may be held back. Browsers send below 2 KiB. */
export const MAX_HELLO = 32 * 1024;

/** What the bytes so far say. */
export type ClientHello =
  | { kind: "incomplete" }
  /** `serverName`: lower-case; empty when there is none, or none that could be a host name. */
  | { kind: "hello"; serverName: string }
  /** No TLS, or more than {@linkcode MAX_HELLO} of it. */
  | { kind: "invalid" };

const INCOMPLETE: ClientHello = { kind: "incomplete" };
const INVALID: ClientHello = { kind: "invalid" };

const HANDSHAKE_RECORD = 22;
const RECORD_HEADER = 5;
/** RFC 8446 §5.1. */
const MAX_RECORD = 16_384;
const CLIENT_HELLO = 1;
const MESSAGE_HEADER = 4;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const HOST =
  /^(?=.{1,253}\.?$)[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?$/;

/** One connection's first bytes; each byte is looked at once until the message is whole. */
export class ClientHelloReader {
  readonly #header = new Uint8Array(RECORD_HEADER);
  #headerFill = 0;
  #recordLeft = 0;
  #message = new Uint8Array(1024);
  #fill = 0;
  #taken = 0;
  #answer: ClientHello = INCOMPLETE;

  /** Takes the next bytes. Once the answer is not `incomplete` it stays. */
  push(bytes: Uint8Array): ClientHello {
    this.#taken += bytes.length;
    for (let at = 0; at < bytes.length && this.#answer.kind === "incomplete";) {
      at += this.#recordLeft === 0 ? this.#takeHeader(bytes, at) : this.#takeBody(bytes, at);
    }
    if (this.#answer.kind === "incomplete" && this.#taken >= MAX_HELLO) this.#answer = INVALID;
    return this.#answer;
  }

  /** Returns how many bytes it used. */
  #takeHeader(bytes: Uint8Array, at: number): number {
    const header = this.#header;
    header[this.#headerFill++] = bytes[at]!;
    if (header[0] !== HANDSHAKE_RECORD || (this.#headerFill > 1 && header[1] !== 3)) {
      this.#answer = INVALID;
    } else if (this.#headerFill === RECORD_HEADER) {
      this.#headerFill = 0;
      this.#recordLeft = header[3]! << 8 | header[4]!;
      // A record without content must not be sent (RFC 8446 §5.1), and would cost nothing to repeat.
      if (this.#recordLeft === 0 || this.#recordLeft > MAX_RECORD) this.#answer = INVALID;
    }
    return 1;
  }

  #takeBody(bytes: Uint8Array, at: number): number {
    const part = bytes.subarray(at, at + this.#recordLeft);
    this.#recordLeft -= part.length;
    this.#append(part);
    if (this.#fill < MESSAGE_HEADER) return part.length;
    const [type, high, middle, low] = this.#message;
    const length = high! << 16 | middle! << 8 | low!;
    if (type !== CLIENT_HELLO || length > MAX_HELLO) this.#answer = INVALID;
    else if (this.#fill >= MESSAGE_HEADER + length) {
      this.#answer = parse(this.#message.subarray(MESSAGE_HEADER, MESSAGE_HEADER + length));
    }
    return part.length;
  }

  #append(part: Uint8Array): void {
    const needed = this.#fill + part.length;
    if (needed > this.#message.length) {
      const larger = new Uint8Array(Math.max(needed, this.#message.length * 2));
      larger.set(this.#message.subarray(0, this.#fill));
      this.#message = larger;
    }
    this.#message.set(part, this.#fill);
    this.#fill = needed;
  }
}

/** A view that ends where its bytes do: reading beyond gives undefined, which nothing survives. */
class Fields {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.#at;
  }

  /** An unsigned number of so many bytes, or NaN. */
  number(size: 1 | 2): number {
    if (this.left < size) return NaN;
    const first = this.bytes[this.#at++]!;
    return size === 1 ? first : first << 8 | this.bytes[this.#at++]!;
  }

  /** The next bytes, or undefined when there are not so many. */
  take(length: number): Uint8Array | undefined {
    if (!(length <= this.left)) return undefined;
    return this.bytes.subarray(this.#at, this.#at += length);
  }

  /** What a length of so many bytes announces. */
  vector(size: 1 | 2): Uint8Array | undefined {
    return this.take(this.number(size));
  }
}

function parse(body: Uint8Array): ClientHello {
  const fields = new Fields(body);
  const version = fields.take(2);
  const random = fields.take(32);
  const session = fields.vector(1);
  const ciphers = fields.vector(2);
  const compressions = fields.vector(1);
  if (
    version?.[0] !== 3 || random === undefined || session === undefined || session.length > 32 ||
    ciphers === undefined || ciphers.length % 2 !== 0 || compressions === undefined
  ) return INVALID;
  // TLS 1.2 without extensions (RFC 5246 §7.4.1.2).
  if (fields.left === 0) return { kind: "hello", serverName: "" };
  const extensions = fields.vector(2);
  if (extensions === undefined || fields.left > 0) return INVALID;
  return serverNameOf(new Fields(extensions));
}

function serverNameOf(extensions: Fields): ClientHello {
  let serverName: string | undefined;
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const data = extensions.vector(2);
    if (data === undefined) return INVALID;
    if (type !== SERVER_NAME) continue;
    // Twice the same extension is forbidden (RFC 8446 §4.2): two readers could take another each.
    if (serverName !== undefined) return INVALID;
    serverName = hostName(data);
    if (serverName === undefined) return INVALID;
  }
  return { kind: "hello", serverName: serverName ?? "" };
}

/** Undefined when the list is malformed. */
function hostName(data: Uint8Array): string | undefined {
  const outer = new Fields(data);
  const list = outer.vector(2);
  if (list === undefined || outer.left > 0) return undefined;
  const names = new Fields(list);
  let found: string | undefined;
  while (names.left > 0) {
    const type = names.number(1);
    const name = names.vector(2);
    if (name === undefined) return undefined;
    if (type !== HOST_NAME) continue;
    // One name of a type (RFC 6066 §3).
    if (found !== undefined) return undefined;
    found = new TextDecoder("latin1").decode(name).toLowerCase();
  }
  return found !== undefined && HOST.test(found) ? found.replace(/\.$/, "") : "";
}
