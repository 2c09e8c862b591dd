/** Base64 (RFC 4648 §4) that comes in parts, several paddings included: parts may be coded alone. */

const INVALID = 255;
const PADDING = 254;
const VALUES = new Uint8Array(256).fill(INVALID);
for (const [value, letter] of [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].entries()) {
  VALUES[letter.charCodeAt(0)] = value;
  VALUES[letter.toLowerCase().charCodeAt(0)] = value + 26;
}
for (let digit = 0; digit <= 9; digit++) VALUES[0x30 + digit] = 52 + digit;
VALUES[0x2b] = 62;
VALUES[0x2f] = 63;
VALUES[0x3d] = PADDING;

export class Base64Decoder {
  /** The letters of the group that has begun, six bits each. */
  #bits = 0;
  #letters = 0;
  #padding = 0;

  /** Every group is whole. */
  get complete(): boolean {
    return this.#letters + this.#padding === 0;
  }

  /** The octets of the groups that are whole now; undefined when it is not base64. */
  push(text: Uint8Array): Uint8Array | undefined {
    const octets = new Uint8Array(Math.ceil((text.length + 3) / 4) * 3);
    let filled = 0;
    for (let i = 0; i < text.length; i++) {
      const value = VALUES[text[i] as number] as number;
      if (value === INVALID) return undefined;
      if (value === PADDING) {
        // At most two, and only where a group ends.
        if (this.#letters < 2) return undefined;
        this.#padding++;
      } else {
        if (this.#padding > 0) return undefined;
        this.#bits = (this.#bits << 6) | value;
        this.#letters++;
      }
      if (this.#letters + this.#padding < 4) continue;
      const bits = this.#bits << (6 * this.#padding);
      octets[filled++] = bits >>> 16;
      if (this.#padding < 2) octets[filled++] = bits >>> 8;
      if (this.#padding < 1) octets[filled++] = bits;
      this.#bits = this.#letters = this.#padding = 0;
    }
    return octets.subarray(0, filled);
  }
}
