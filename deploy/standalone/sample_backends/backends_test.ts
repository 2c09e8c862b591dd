/** The parts of the samples' backends that read what others send. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { dnsAnswer } from "./dns.ts";
import { ZONE } from "./dns_server.ts";
import { reflectionAnswer } from "./grpc_reflection.ts";
import { decodeMessage, encodeMessage, textOf } from "./protobuf.ts";
import { CommandReader, encodeAnswer, RespError } from "./resp.ts";

const bytes = (text: string) => Uint8Array.from(text, (one) => one.charCodeAt(0));

Deno.test("CommandReader gives the same commands however they are cut, every byte as it is", () => {
  const part = fc.uint8Array({ maxLength: 40 }).map((data) => String.fromCharCode(...data));
  const commands = fc.array(fc.array(part, { minLength: 1, maxLength: 4 }), { maxLength: 5 });
  fc.assert(fc.property(commands, fc.integer({ min: 1, max: 50 }), (sent, size) => {
    const items = (parts: string[]) => parts.map((text) => ({ kind: "text" as const, text }));
    const stream = sent.flatMap((
      parts,
    ) => [...encodeAnswer({ kind: "list", items: items(parts) })]);
    const reader = new CommandReader();
    const got: string[][] = [];
    for (let at = 0; at < stream.length; at += size) {
      got.push(...reader.push(Uint8Array.from(stream.slice(at, at + size))));
    }
    assertEquals(got, sent);
  }));
});

Deno.test("CommandReader takes commands as people type them, and refuses what has no bound", () => {
  assertEquals(new CommandReader().push(bytes("PING\r\n\nget  a\n")), [["PING"], ["get", "a"]]);
  for (const bad of ["*99999\r\n", "*1\r\n$99999999\r\n", "*1\r\n:1\r\n", "x".repeat(5_000)]) {
    assertThrows(() => new CommandReader().push(bytes(bad)), RespError);
  }
});

Deno.test("decodeMessage() reads what encodeMessage() wrote, and refuses what is cut", () => {
  const message = encodeMessage([[1, "héllo"], [2, 300], [16, Uint8Array.of(0, 255)]]);
  const fields = decodeMessage(message);
  assertEquals(textOf(fields, 1), "héllo");
  assertEquals([...fields.get(16) ?? []], [0, 255]);
  assertEquals(fields.has(2), false);
  assertThrows(() => decodeMessage(message.subarray(0, 4)), RangeError);
});

Deno.test("dnsAnswer() and reflectionAnswer() survive any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
    const answer = dnsAnswer(data, ZONE);
    assert(answer === undefined || answer[0] === data[0]);
    reflectionAnswer(data, { services: [], files: [] });
  }));
});

/** A question as it goes over the wire. */
function question(name: string, type: number): Uint8Array {
  const labels = name.split(".").map((label) => String.fromCharCode(label.length) + label);
  const head = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
  return bytes(`${head}${labels.join("")}\0\0${String.fromCharCode(type)}\0\x01`);
}

Deno.test("dnsAnswer() tells what there is, what there is not, and what it does not serve", () => {
  const cases: [string, number, { code: number; answers: number; authority: number }][] = [
    ["www.sample.test", 1, { code: 0, answers: 2, authority: 0 }],
    ["WWW.Sample.Test", 1, { code: 0, answers: 2, authority: 0 }],
    ["www.sample.test", 28, { code: 0, answers: 0, authority: 1 }],
    ["nobody.sample.test", 1, { code: 3, answers: 0, authority: 1 }],
    ["constructor.sample.test", 1, { code: 3, answers: 0, authority: 1 }],
    ["example.com", 1, { code: 5, answers: 0, authority: 0 }],
  ];
  for (const [name, type, expected] of cases) {
    const answer = dnsAnswer(question(name, type), ZONE);
    assert(answer !== undefined);
    const [, , , flags = 0, , , , answers = 0, , authority = 0] = answer;
    assertEquals({ code: flags & 15, answers, authority }, expected, name);
  }
  // An answer is no question: two servers would talk for ever.
  const echo = question("www.sample.test", 1);
  echo[2] = 0x81;
  assertEquals(dnsAnswer(echo, ZONE), undefined);
});
