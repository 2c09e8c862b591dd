/** The string literal code of HPACK (RFC 7541 §5.2, Appendix B). */
import { HUFFMAN_LENGTHS } from "./huffman_lengths.ts";

const CODES = canonicalCodes();

function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(256);
  let code = 0;
  let length = 0;
  const order = [...HUFFMAN_LENGTHS.keys()].sort((a, b) =>
    HUFFMAN_LENGTHS[a]! - HUFFMAN_LENGTHS[b]! || a - b
  );
  for (const octet of order) {
    code <<= HUFFMAN_LENGTHS[octet]! - length;
    length = HUFFMAN_LENGTHS[octet]!;
    codes[octet] = code++;
  }
  return codes;
}

/**
 * Decoding goes half an octet at a time through a table of states, a state being an inner node of
 * the code's tree. An entry holds the next state (bits 0–8), the octet decoded on the way (bits
 * 16–23), whether there is one (bit 24), and whether the text may end there (bit 25): what is
 * left over must be a prefix of EOS shorter than an octet.
 */
const EMIT = 1 << 24;
const MAY_END = 1 << 25;
const DEAD = 511;
const STEPS = transitions();

function transitions(): Uint32Array {
  // Node → its two children: a node, or -1 - octet for a leaf, or undefined on the way to EOS.
  const children: (number | undefined)[][] = [[]];
  // Depth of the nodes that only ones lead to.
  const onlyOnes = new Map([[0, 0]]);
  for (let octet = 0; octet < 256; octet++) {
    const length = HUFFMAN_LENGTHS[octet]!;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const side = (CODES[octet]! >>> bit) & 1;
      let next = children[node]![side];
      if (next === undefined) {
        next = children.push([]) - 1;
        children[node]![side] = next;
      }
      const ones = onlyOnes.get(node);
      if (side === 1 && ones !== undefined) onlyOnes.set(next, ones + 1);
      node = next;
    }
    children[node]![CODES[octet]! & 1] = -1 - octet;
  }
  const steps = new Uint32Array(children.length * 16);
  for (let start = 0; start < children.length; start++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node: number | undefined = start;
      let entry = 0;
      for (let bit = 3; bit >= 0 && node !== undefined; bit--) {
        node = children[node]![(nibble >>> bit) & 1];
        if (node !== undefined && node < 0) {
          entry |= EMIT | ((-1 - node) << 16);
          node = 0;
        }
      }
      const ones = node === undefined ? undefined : onlyOnes.get(node);
      if (ones !== undefined && ones < 8) entry |= MAY_END;
      steps[start * 16 + nibble] = entry | (node ?? DEAD);
    }
  }
  return steps;
}

/** Octets that `length` encoded ones can become at most: the shortest code has 5 bits. */
export function huffmanBound(length: number): number {
  return Math.ceil(length * 8 / 5);
}

/**
 * Decodes `[from, end)` into `target`, which must have room for {@linkcode huffmanBound}.
 *
 * @returns the number of octets, or -1 when it is not a text: EOS within it, padding that is longer
 *   than 7 bits or not ones
 */
export function huffmanDecode(
  bytes: Uint8Array,
  [from, end]: readonly [number, number],
  target: Uint8Array,
): number {
  let state = 0;
  let size = 0;
  let entry = MAY_END;
  for (let i = from; i < end; i++) {
    const octet = bytes[i] as number;
    entry = STEPS[state * 16 + (octet >>> 4)] as number;
    if ((entry & EMIT) !== 0) target[size++] = (entry >>> 16) & 255;
    state = entry & 511;
    if (state === DEAD) return -1;
    entry = STEPS[state * 16 + (octet & 15)] as number;
    if ((entry & EMIT) !== 0) target[size++] = (entry >>> 16) & 255;
    state = entry & 511;
    if (state === DEAD) return -1;
  }
  return (entry & MAY_END) === 0 ? -1 : size;
}

/** Octets that `text` (ISO 8859-1) takes when encoded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += HUFFMAN_LENGTHS[text.charCodeAt(i)] as number;
  return (bits + 7) >>> 3;
}

/** Encodes `text` (ISO 8859-1) at `at` and returns the index after it. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  // At most 7 bits wait, and a code has at most 30: kept apart from each other in two numbers, since
  // together they can exceed 32 bits.
  let waiting = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i);
    const code = CODES[octet] as number;
    let left = HUFFMAN_LENGTHS[octet] as number;
    while (left > 0) {
      const take = Math.min(left, 8 - bits);
      left -= take;
      waiting = (waiting << take) | ((code >>> left) & ((1 << take) - 1));
      bits += take;
      if (bits === 8) {
        target[at++] = waiting;
        waiting = 0;
        bits = 0;
      }
    }
  }
  if (bits > 0) target[at++] = (waiting << (8 - bits)) | ((1 << (8 - bits)) - 1);
  return at;
}
