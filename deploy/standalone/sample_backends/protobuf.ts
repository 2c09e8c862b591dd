/**
 * As much of the Protocol Buffers wire format as the samples need: strings, bytes, messages and
 * numbers (https://protobuf.dev/programming-guides/encoding).
 */

/** A field's number and value; text as UTF-8, numbers as varints. */
export type Field = readonly [number: number, value: string | number | Uint8Array];

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** The bytes of a message. Numbers are integers from 0 to 2³¹ − 1. */
export function encodeMessage(fields: readonly Field[]): Uint8Array {
  const bytes: number[] = [];
  for (const [number, value] of fields) {
    if (typeof value === "number") {
      bytes.push(...varint(number << 3 | VARINT), ...varint(value));
      continue;
    }
    const data = typeof value === "string" ? new TextEncoder().encode(value) : value;
    bytes.push(...varint(number << 3 | LENGTH), ...varint(data.length));
    for (const byte of data) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** The fields of a message that have a length, by number, the last of each. Throws when it is cut. */
export function decodeMessage(bytes: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  let at = 0;
  const take = (length: number) => {
    if (length > bytes.length - at) throw new RangeError("the message is cut");
    return bytes.subarray(at, at += length);
  };
  const number = () => {
    let value = 0;
    // Ten bytes are the longest varint; what is above 2³¹ is no length that could follow.
    for (let shift = 0; shift < 70; shift += 7) {
      const [byte = 0] = take(1);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("a number has no end");
  };
  while (at < bytes.length) {
    const tag = number();
    switch (tag & 7) {
      case VARINT:
        number();
        break;
      case FIXED64:
        take(8);
        break;
      case FIXED32:
        take(4);
        break;
      case LENGTH:
        fields.set(Math.floor(tag / 8), take(number()));
        break;
      default:
        throw new RangeError(`wire type ${tag & 7} is unknown`);
    }
  }
  return fields;
}

/** A field of text; empty when it is not there. */
export function textOf(fields: ReadonlyMap<number, Uint8Array>, number: number): string {
  return new TextDecoder().decode(fields.get(number));
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push(value % 0x80 | 0x80);
  return [...bytes, value];
}
