import { assertEquals, assertRejects } from "@std/assert";
import { readJsonLines } from "./json_lines.ts";

async function read(...pieces: (string | Uint8Array<ArrayBuffer>)[]): Promise<unknown[][]> {
  const encoder = new TextEncoder();
  const body = ReadableStream.from(
    pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece),
  );
  const groups: unknown[][] = [];
  for await (const values of readJsonLines(body)) groups.push(values);
  return groups;
}

Deno.test("readJsonLines() groups lines as they come, whatever is cut where", async () => {
  assertEquals(await read("1\n2\n", "\n", '{"a":', '"b"}\n3', "\n"), [[1, 2], [{ a: "b" }], [3]]);
  const umlaut = new TextEncoder().encode('"ü"\n');
  assertEquals(await read(umlaut.slice(0, 2), umlaut.slice(2)), [["ü"]]);
});

Deno.test("readJsonLines() gives no half line, and refuses what is no JSON", async () => {
  assertEquals(await read('1\n{"half":'), [[1]]);
  await assertRejects(() => read("no\n"), SyntaxError);
});
