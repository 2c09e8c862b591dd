import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { HeadError, HeadScanner, parseRequestHead } from "./http1_head.ts";

const LIMITS = { maxHeaders: 16, maxTargetBytes: 64 };
const parse = (lines: string[]) => parseRequestHead(lines.join("\r\n") + "\r\n\r\n", LIMITS);
const status = (lines: string[]) => assertThrows(() => parse(lines), HeadError).status;

Deno.test("parseRequestHead() keeps order and repeats of headers and takes Host out", () => {
  const head = parse(["GET /a?b HTTP/1.1", "Host: a.com:80", "X: 1", "x:  2\t", "Y:"]);
  assertEquals(head.headers, ["x", "1", "x", "2", "y", ""]);
  assertEquals(head.host, "a.com:80");
  assertEquals(head.target, "/a?b");
  assertEquals(head.keepAlive, true);
  assertEquals(head.contentLength, 0);
});

Deno.test("parseRequestHead() reads the body's framing in exactly one way", () => {
  const h = ["POST / HTTP/1.1", "Host: a"];
  assertEquals(parse([...h, "Content-Length: 12"]).contentLength, 12);
  assertEquals(parse([...h, "Transfer-Encoding: Chunked"]).contentLength, -1);
  const refused: [string[], number][] = [
    [["Content-Length: 1", "Transfer-Encoding: chunked"], 400],
    [["Content-Length: 1", "Content-Length: 1"], 400],
    [["Content-Length: 1, 1"], 400],
    [["Content-Length: +1"], 400],
    [["Content-Length: 0x1"], 400],
    [["Content-Length: "], 400],
    [["Transfer-Encoding: gzip, chunked"], 501],
    [["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400],
    [["Transfer-Encoding : chunked"], 400],
    [["Expect: something"], 417],
  ];
  for (const [extra, expected] of refused) {
    assertEquals(status([...h, ...extra]), expected, extra[0]);
  }
  assertEquals(status(["POST / HTTP/1.0", "Transfer-Encoding: chunked"]), 400);
});

Deno.test("parseRequestHead() refuses malformed request lines and header lines", () => {
  const refused: [string[], number][] = [
    [["GET / HTTP/1.1"], 400],
    [["GET / HTTP/1.1", "Host: a", "Host: a"], 400],
    [["GET  / HTTP/1.1", "Host: a"], 400],
    [["GET /a b HTTP/1.1", "Host: a"], 400],
    [["GET / HTTP/1.1 ", "Host: a"], 400],
    [["GET / http/1.1", "Host: a"], 400],
    [["GET / HTTP/2.0", "Host: a"], 505],
    [["GET /"], 400],
    [["G(T / HTTP/1.1", "Host: a"], 400],
    [["GET a HTTP/1.1", "Host: a"], 400],
    [["GET ftp://a/ HTTP/1.1", "Host: a"], 400],
    [["CONNECT a:443 HTTP/1.1", "Host: a"], 405],
    [["GET / HTTP/1.1", "Host: a", " folded"], 400],
    [["GET / HTTP/1.1", "Host: a", "no colon"], 400],
    [["GET / HTTP/1.1", "Host: a", ": empty"], 400],
    [["GET / HTTP/1.1", "Host: a", "x y: 1"], 400],
    [["GET /" + "a".repeat(80) + " HTTP/1.1", "Host: a"], 414],
    [["GET / HTTP/1.1", "Host: a", ...Array(16).fill("X: 1")], 431],
  ];
  for (const [lines, expected] of refused) assertEquals(status(lines), expected, lines.join("|"));
});

Deno.test("parseRequestHead() lets the absolute form's authority override Host", () => {
  const head = parse(["GET http://b.com/x?y HTTP/1.1", "Host: a.com"]);
  assertEquals([head.host, head.target], ["b.com", "/x?y"]);
  assertEquals(parse(["GET http://b.com?y HTTP/1.1", "Host: a.com"]).target, "/?y");
});

Deno.test("parseRequestHead() decides about keep-alive by version and Connection", () => {
  assertEquals(parse(["GET / HTTP/1.0"]).keepAlive, false);
  assertEquals(parse(["GET / HTTP/1.0", "Connection: Keep-Alive"]).keepAlive, true);
  assertEquals(parse(["GET / HTTP/1.1", "Host: a", "Connection: x, Close"]).keepAlive, false);
});

Deno.test("HeadScanner finds the end of a head however its bytes arrive", () => {
  const text = "GET / HTTP/1.1\r\nHost: a\r\nX: \t1\r\n\r\nrest";
  const bytes = new TextEncoder().encode(text);
  for (let step = 1; step < bytes.length; step++) {
    const scanner = new HeadScanner(0);
    let end = -1;
    for (let have = step; end === -1; have += step) {
      end = scanner.scan(bytes, Math.min(have, bytes.length));
    }
    assertEquals(end, text.indexOf("rest"));
  }
});

Deno.test("HeadScanner refuses control characters, bare CR and bare LF", () => {
  for (const text of ["GET / HTTP/1.1\n\n", "GET /\rx", "GET /\0 HTTP/1.1\r\n\r\n", "a\x7f"]) {
    const bytes = new TextEncoder().encode(text);
    assertThrows(() => new HeadScanner(0).scan(bytes, bytes.length), HeadError);
  }
});

Deno.test("parseRequestHead() answers anything with a head or a HeadError", () => {
  const piece = fc.constantFrom(
    "GET",
    "POST",
    " ",
    "/",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    ":",
    "host",
    "content-length",
    "1",
    "transfer-encoding",
    "chunked",
    "connection",
    "close",
    "\t",
    "é",
    "%",
    "*",
    "http://a",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = `${pieces.join("")}\r\n\r\n`;
      try {
        const head = parseRequestHead(text, LIMITS);
        assert(head.contentLength >= -1);
      } catch (error) {
        assert(error instanceof HeadError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
