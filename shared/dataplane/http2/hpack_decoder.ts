/** Decodes header blocks (RFC 7541 §3, §6). */
import { Buffer } from "node:buffer";
import { ConnectionError } from "./errors.ts";
import { HeaderField, isFieldName, isFieldValue } from "./header_field.ts";
import { huffmanBound, huffmanDecode } from "./huffman.ts";
import { DEFAULT_TABLE_SIZE, ErrorCode } from "./protocol.ts";
import { STATIC_ENTRIES, STATIC_FIELDS } from "./static_table.ts";

/** The smallest entry takes 32 octets (§4.1), so a table never holds more than this. */
const SLOTS = DEFAULT_TABLE_SIZE / 32;

/** Octets of the buffer for decoded texts that a connection keeps. */
const SCRATCH = 4096;
const EMPTY = Buffer.alloc(0);

/** One decoded block; reused from block to block. */
export class FieldBlock {
  readonly fields: HeaderField[] = [];
  /** More than the bound: `fields` is not all of it. */
  tooLarge = false;
  bytes = 0;

  clear(): void {
    this.fields.length = 0;
    this.tooLarge = false;
    this.bytes = 0;
  }
}

/**
 * One direction of one connection. Memory: a table of at most 4 KiB by HPACK's count, and strings
 * of the block in work, which cannot be larger than the block.
 */
export class HpackDecoder {
  readonly #maxBytes: number;
  /** A ring; index 62 is the newest. */
  readonly #table: (HeaderField | undefined)[] = new Array(SLOTS).fill(undefined);
  #newest = 0;
  #count = 0;
  #size = 0;
  /** What the encoder chose, at most what was advertised. */
  #capacity = DEFAULT_TABLE_SIZE;
  /** Made on the first text that is Huffman-coded. */
  #scratch: Buffer = EMPTY;
  #bytes: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  #valid = true;

  /**
   * @param maxBytes names and values of a block, with 32 for each field (RFC 9113 §10.5.1); what is
   *   beyond is decoded, since the table depends on it, and dropped
   */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Decodes a whole block into `block`.
   *
   * @throws ConnectionError `COMPRESSION_ERROR`: the table is out of step from here on
   */
  decode(bytes: Uint8Array, block: FieldBlock): void {
    block.clear();
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = 0;
    this.#end = bytes.length;
    let updates = 0;
    while (this.#at < this.#end) {
      const octet = this.#bytes[this.#at] as number;
      let field: HeaderField;
      if ((octet & 0x80) !== 0) {
        field = this.#lookup(this.#integer(0x7f));
      } else if ((octet & 0xc0) === 0x40) {
        field = this.#literal(0x3f);
        this.#insert(field);
      } else if ((octet & 0xe0) === 0x20) {
        // §4.2: only at the start, and two tell all there is to tell.
        if (block.bytes > 0 || ++updates > 2) throw bad("size update within a block");
        this.#resize(this.#integer(0x1f));
        continue;
      } else {
        field = this.#literal(0x0f);
      }
      block.bytes += field.size;
      if (block.bytes > this.#maxBytes) block.tooLarge = true;
      if (!block.tooLarge) block.fields.push(field);
    }
    this.#bytes = EMPTY;
  }

  /** §5.1; the first octet is at `#at`. */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0;; shift += 7) {
      // Nothing that fits into a block needs more than 28 bits.
      if (shift > 21 || this.#at >= this.#end) throw bad("integer");
      const octet = this.#bytes[this.#at++] as number;
      value += (octet & 127) << shift;
      if (octet < 128) return value;
    }
  }

  #lookup(index: number): HeaderField {
    const field = index <= STATIC_ENTRIES ? STATIC_FIELDS[index] : this.#dynamic(index);
    if (field === undefined) throw bad("index");
    return field;
  }

  #dynamic(index: number): HeaderField | undefined {
    const age = index - STATIC_ENTRIES - 1;
    return age < this.#count ? this.#table[(this.#newest - age + SLOTS) % SLOTS] : undefined;
  }

  #literal(mask: number): HeaderField {
    const index = this.#integer(mask);
    if (index > 0) {
      const { name, nameValid } = this.#lookup(index);
      const value = this.#text(isFieldValue);
      return new HeaderField(name, value, nameValid, this.#valid);
    }
    const name = this.#text(isFieldName);
    const nameValid = this.#valid;
    const value = this.#text(isFieldValue);
    return new HeaderField(name, value, nameValid, this.#valid);
  }

  /** §5.2; tells through `#valid` whether the octets pass `check`. */
  #text(check: (bytes: Uint8Array, from: number, end: number) => boolean): string {
    if (this.#at >= this.#end) throw bad("literal");
    const huffman = ((this.#bytes[this.#at] as number) & 0x80) !== 0;
    const length = this.#integer(0x7f);
    const from = this.#at;
    if (length > this.#end - from) throw bad("literal: longer than its block");
    this.#at = from + length;
    if (!huffman) {
      this.#valid = check(this.#bytes, from, this.#at);
      return latin1(this.#bytes, from, this.#at);
    }
    const bound = huffmanBound(length);
    if (bound > this.#scratch.length) this.#scratch = Buffer.alloc(Math.max(256, bound));
    const scratch = this.#scratch;
    const size = huffmanDecode(this.#bytes, [from, this.#at], scratch);
    if (size === -1) throw bad("Huffman code");
    this.#valid = check(scratch, 0, size);
    const text = latin1(scratch, 0, size);
    // One long text must not cost its memory for the life of the connection.
    if (scratch.length > SCRATCH) this.#scratch = EMPTY;
    return text;
  }

  #insert(field: HeaderField): void {
    this.#evict(this.#capacity - field.size);
    // §4.4: a field larger than the table empties it and is not kept.
    if (field.size > this.#capacity) return;
    this.#newest = (this.#newest + 1) % SLOTS;
    this.#table[this.#newest] = field;
    this.#count++;
    this.#size += field.size;
  }

  #resize(capacity: number): void {
    if (capacity > DEFAULT_TABLE_SIZE) throw bad("table size: above what was allowed");
    this.#capacity = capacity;
    this.#evict(capacity);
  }

  /** Drops the oldest until no more than `room` is taken. */
  #evict(room: number): void {
    while (this.#size > room && this.#count > 0) {
      const slot = (this.#newest - this.#count + 1 + SLOTS) % SLOTS;
      this.#size -= this.#table[slot]!.size;
      this.#table[slot] = undefined;
      this.#count--;
    }
  }
}

/** Short texts are put together faster than they are handed to native code. */
function latin1(bytes: Buffer, from: number, end: number): string {
  if (end - from > 8) return bytes.toString("latin1", from, end);
  let text = "";
  for (let i = from; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

function bad(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, `header block: bad ${what}`);
}
