/** Answers to questions about one zone (RFC 1035; negative answers by RFC 2308). Pure. */

/** What a name has: addresses as text, texts of 255 bytes at most. */
export interface ZoneName {
  a?: readonly string[];
  txt?: readonly string[];
}

/** Names in lower case, the zone's own among them. */
export interface Zone {
  name: string;
  names: Readonly<Record<string, ZoneName>>;
}

const TYPES = { a: 1, soa: 6, txt: 16, any: 255 } as const;
const INTERNET = 1;
const TTL = 60;
/** Response codes (RFC 1035 §4.1.1). */
const CODE = { ok: 0, malformed: 1, noSuchName: 3, notImplemented: 4, refused: 5 } as const;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
const RECURSION_DESIRED = 0x0100;
const HEADER = 12;
/** The question's name, as a pointer to it. */
const QUESTION_NAME = [0xc0, HEADER];

interface Question {
  /** Lower-case, without the dot at the end. */
  name: string;
  type: number;
  /** Of the class and type, and the name before them. */
  bytes: Uint8Array;
}

/** The answer to a datagram; undefined for what is no question, which is to be dropped. */
export function dnsAnswer(query: Uint8Array, zone: Zone): Uint8Array | undefined {
  if (query.length < HEADER) return undefined;
  const view = new DataView(query.buffer, query.byteOffset, query.byteLength);
  const flags = view.getUint16(2);
  if ((flags & RESPONSE) !== 0) return undefined;
  const reply = (code: number, question?: Question, records: Partial<Records> = {}) => {
    const { answers = [], authority = [] } = records;
    const known = flags & (0x7800 | RECURSION_DESIRED);
    const bit = code === CODE.ok || code === CODE.noSuchName ? AUTHORITATIVE : 0;
    return Uint8Array.from([
      ...query.subarray(0, 2),
      ...u16(RESPONSE | known | bit | code),
      ...u16(question === undefined ? 0 : 1),
      ...u16(answers.length),
      ...u16(authority.length),
      ...u16(0),
      ...question?.bytes ?? [],
      ...answers.flat(),
      ...authority.flat(),
    ]);
  };
  if ((flags & 0x7800) !== 0) return reply(CODE.notImplemented);
  const question = view.getUint16(4) === 1 ? readQuestion(query) : undefined;
  if (question === undefined) return reply(CODE.malformed);
  const inZone = question.name === zone.name || question.name.endsWith(`.${zone.name}`);
  if (!inZone) return reply(CODE.refused, question);
  const found = zone.names[question.name];
  const answers = found === undefined ? [] : recordsOf(found, question.type);
  if (answers.length > 0) return reply(CODE.ok, question, { answers });
  return reply(found === undefined ? CODE.noSuchName : CODE.ok, question, {
    authority: [startOfAuthority(zone)],
  });
}

interface Records {
  answers: number[][];
  authority: number[][];
}

function readQuestion(query: Uint8Array): Question | undefined {
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = query[at];
    // A pointer has nothing to point to in a question.
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    if (at + length >= query.length) return undefined;
    labels.push(new TextDecoder("latin1").decode(query.subarray(at, at += length)).toLowerCase());
  }
  if (at + 4 > query.length) return undefined;
  const view = new DataView(query.buffer, query.byteOffset + at, 4);
  if (view.getUint16(2) !== INTERNET) return undefined;
  const bytes = query.subarray(HEADER, at + 4);
  return { name: labels.join("."), type: view.getUint16(0), bytes };
}

function recordsOf({ a = [], txt = [] }: ZoneName, type: number): number[][] {
  const asked = (one: number) => type === one || type === TYPES.any;
  return [
    ...asked(TYPES.a) ? a.map((text) => record(TYPES.a, text.split(".").map(Number))) : [],
    ...asked(TYPES.txt) ? txt.map((text) => record(TYPES.txt, label(text))) : [],
  ];
}

function record(type: number, data: readonly number[], owner: readonly number[] = QUESTION_NAME) {
  return [...owner, ...u16(type), ...u16(INTERNET), ...u32(TTL), ...u16(data.length), ...data];
}

/** For how long there is nothing: the last of its numbers. */
function startOfAuthority({ name }: Zone): number[] {
  const owner = nameBytes(name);
  const numbers = [1, 3_600, 600, 86_400, TTL].flatMap(u32);
  const data = [...nameBytes(`ns.${name}`), ...nameBytes(`hostmaster.${name}`), ...numbers];
  return record(TYPES.soa, data, owner);
}

function nameBytes(name: string): number[] {
  return [...name.split(".").flatMap(label), 0];
}

function label(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [bytes.length, ...bytes];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff];
}
