/** Encodes header blocks (RFC 7541 §6). */
import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { DEFAULT_TABLE_SIZE } from "./protocol.ts";
import { STATIC_ENTRIES, STATIC_NAMES } from "./static_table.ts";

const SLOTS = DEFAULT_TABLE_SIZE / 32;
/** Names that are remembered although none of their values is in the table. */
const MAX_NAMES = 256;
/** A name whose values were never asked for again so often is not indexed any more, … */
const MISSES = 4;
/** … but for every so manieth time, since that may change. */
const TRY_AGAIN = 64;
/** Fields larger than this would push too much else out. */
const MAX_INDEXED = DEFAULT_TABLE_SIZE / 4;
/** Index and two lengths. */
const FIELD_OVERHEAD = 12;

/**
 * Never indexed (§7.1.3): a connection to an endpoint carries the requests of many clients, and
 * none of them may find out by guessing what another one sent.
 */
const SENSITIVE: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "proxy-authorization",
  "set-cookie",
]);

/** First octet of a representation, and how much of it is left for an integer. */
interface Prefix {
  readonly pattern: number;
  readonly mask: number;
}

const INDEXED: Prefix = { pattern: 0x80, mask: 0x7f };
const INDEXING: Prefix = { pattern: 0x40, mask: 0x3f };
const SIZE_UPDATE: Prefix = { pattern: 0x20, mask: 0x1f };
const NEVER_INDEXED: Prefix = { pattern: 0x10, mask: 0x0f };
const LITERAL: Prefix = { pattern: 0x00, mask: 0x0f };
const HUFFMAN_TEXT: Prefix = { pattern: 0x80, mask: 0x7f };
const PLAIN_TEXT: Prefix = { pattern: 0x00, mask: 0x7f };
const NOTHING = new Uint8Array(0);

interface Entry {
  name: string;
  value: string;
  size: number;
}

interface KnownName {
  /** Value → number of the entry that holds it. */
  readonly values: Map<string, number>;
  /** Number of the newest entry with this name. */
  newest: number;
  /** Entries made since one was used again. */
  misses: number;
}

/** A field that cannot be sent: it would not arrive as what it is. */
export class FieldError extends Error {
  override readonly name = "FieldError";
}

/** Octets that a block needs besides its fields. */
export const BLOCK_OVERHEAD = 10;

/** Octets that a field needs at most. */
export function fieldBound(name: string, value: string): number {
  return name.length + value.length + FIELD_OVERHEAD;
}

/**
 * One direction of one connection. `begin`, then fields, each written at once at `at` of the
 * buffer, which must have room for {@linkcode fieldBound}. Memory: a table of 4 KiB by HPACK's count
 * and 256 names.
 */
export class HpackEncoder {
  /** Where the next field goes. */
  at = 0;
  #buffer: Uint8Array = NOTHING;
  readonly #entries: (Entry | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #names = new Map<string, KnownName>();
  /** Entries ever made; the newest has this number. */
  #made = 0;
  #count = 0;
  #size = 0;
  #capacity = DEFAULT_TABLE_SIZE;
  /** The smallest capacity since the last block, or -1 when it did not change. */
  #announce = -1;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; more than the default is not made use of. */
  setCapacity(octets: number): void {
    const capacity = Math.min(octets, DEFAULT_TABLE_SIZE);
    if (capacity === this.#capacity) return;
    this.#announce = this.#announce === -1 ? capacity : Math.min(this.#announce, capacity);
    this.#capacity = capacity;
    this.#evict(capacity);
  }

  /** Starts a block. It takes at most {@linkcode BLOCK_OVERHEAD} octets before its first field. */
  begin(buffer: Uint8Array, at: number): void {
    this.#buffer = buffer;
    this.at = at;
    if (this.#announce === -1) return;
    // §4.2: when it fell and rose again, both are told.
    if (this.#announce < this.#capacity) this.#integer(SIZE_UPDATE, this.#announce);
    this.#integer(SIZE_UPDATE, this.#capacity);
    this.#announce = -1;
  }

  /** Ends the block. */
  end(): void {
    this.#buffer = NOTHING;
  }

  /**
   * Adds a field.
   *
   * @param name lower-case
   * @throws FieldError when it cannot be sent; the block must not be sent either, and
   *   {@linkcode reset} comes before the next one
   */
  field(name: string, value: string): void {
    const fixed = STATIC_NAMES.get(name);
    if (fixed !== undefined) {
      const index = fixed.values.get(value);
      if (index !== undefined) return this.#integer(INDEXED, index);
    }
    let known = this.#names.get(name);
    if (known !== undefined) {
      const made = known.values.get(value);
      if (made !== undefined) {
        known.misses = 0;
        return this.#integer(INDEXED, STATIC_ENTRIES + 1 + this.#made - made);
      }
    }
    checkValue(name, value);
    let form = LITERAL;
    const index = fixed !== undefined ? fixed.index : this.#indexOf(known);
    if (SENSITIVE.has(name)) form = NEVER_INDEXED;
    else {
      known ??= this.#remember(name);
      const size = name.length + value.length + 32;
      const worthwhile = known.misses < MISSES || known.misses % TRY_AGAIN === 0;
      known.misses++;
      if (worthwhile && size <= MAX_INDEXED && size <= this.#capacity) {
        form = INDEXING;
        this.#insert(known, { name, value, size });
      }
    }
    this.#integer(form, index);
    if (index === 0) this.#text(name, form === INDEXING);
    this.#text(value, form === INDEXING);
  }

  /** Forgets the table, and has the next block tell so: the last one was never sent. */
  reset(): void {
    this.#evict(0);
    this.#announce = 0;
  }

  /** Of the newest entry with this name; 0 when there is none. */
  #indexOf(known: KnownName | undefined): number {
    if (known === undefined || known.newest <= this.#made - this.#count) return 0;
    return STATIC_ENTRIES + 1 + this.#made - known.newest;
  }

  #remember(name: string): KnownName {
    if (this.#names.size >= MAX_NAMES) {
      for (const [old, { values }] of this.#names) if (values.size === 0) this.#names.delete(old);
    }
    const known: KnownName = { values: new Map(), newest: 0, misses: 0 };
    this.#names.set(name, known);
    return known;
  }

  #insert(known: KnownName, entry: Entry): void {
    this.#evict(this.#capacity - entry.size);
    this.#made++;
    this.#count++;
    this.#size += entry.size;
    this.#entries[this.#made % SLOTS] = entry;
    known.values.set(entry.value, this.#made);
    known.newest = this.#made;
  }

  #evict(room: number): void {
    while (this.#size > room && this.#count > 0) {
      const number = this.#made - this.#count + 1;
      const entry = this.#entries[number % SLOTS]!;
      this.#entries[number % SLOTS] = undefined;
      this.#size -= entry.size;
      this.#count--;
      this.#names.get(entry.name)?.values.delete(entry.value);
    }
  }

  /** Huffman only for what is sent once and referred to afterwards: it costs more than it saves. */
  #text(text: string, huffman: boolean): void {
    const length = text.length;
    if (huffman) {
      const encoded = huffmanLength(text);
      if (encoded < length) {
        this.#integer(HUFFMAN_TEXT, encoded);
        this.at = huffmanEncode(text, this.#buffer, this.at);
        return;
      }
    }
    this.#integer(PLAIN_TEXT, length);
    const buffer = this.#buffer;
    let at = this.at;
    for (let i = 0; i < length; i++) buffer[at++] = text.charCodeAt(i);
    this.at = at;
  }

  /** §5.1. */
  #integer({ pattern, mask }: Prefix, value: number): void {
    const buffer = this.#buffer;
    if (value < mask) {
      buffer[this.at++] = pattern | value;
      return;
    }
    buffer[this.at++] = pattern | mask;
    let rest = value - mask;
    for (; rest > 127; rest = Math.floor(rest / 128)) buffer[this.at++] = (rest & 127) | 128;
    buffer[this.at++] = rest;
  }
}

function checkValue(name: string, value: string): void {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code <= 32 || code >= 127 || (code >= 65 && code <= 90)) throw unsendable(name);
  }
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 32 && code !== 9) || code === 127 || code > 255) throw unsendable(name);
  }
}

function unsendable(name: string): FieldError {
  return new FieldError(`header ${JSON.stringify(name)} cannot be sent`);
}
