/**
 * The Redis serialization protocol, version 2: commands as clients send them, and answers
 * (https://redis.io/docs/latest/develop/reference/protocol-spec).
 */

/** What a client may send in one command. */
const MOST_PARTS = 1_024;
/** Bytes of all parts of a command. */
const LARGEST_COMMAND = 1024 * 1024;
/** Bytes of a line: a command as people type it, or a length. */
const LONGEST_LINE = 4 * 1024;

/** As many arguments as a call takes without trouble. */
const CHARACTERS = 4 * 1024;

/** The client does not speak the protocol; the connection has to end. */
export class RespError extends Error {
  override name = "RespError";
}

/** An answer. A character of its texts is a byte: what came in as bytes goes out as the same. */
export type Answer =
  | { kind: "status"; text: string }
  | { kind: "error"; text: string }
  | { kind: "number"; value: number }
  | { kind: "text"; text: string | null }
  | { kind: "list"; items: readonly Answer[] };

/** Takes bytes as they come and gives whole commands, each as its parts, a character per byte. */
export class CommandReader {
  #held = "";
  /** Parts of a command that has begun, and how many it has in all. */
  #parts: string[] = [];
  #expected = 0;
  /** Bytes of its parts. */
  #size = 0;

  /** @throws {RespError} on anything that is no command, or too much of one */
  push(bytes: Uint8Array): string[][] {
    for (let at = 0; at < bytes.length; at += CHARACTERS) {
      this.#held += String.fromCharCode(...bytes.subarray(at, at + CHARACTERS));
    }
    const commands: string[][] = [];
    while (this.#step(commands));
    return commands;
  }

  /** False when more bytes are needed. */
  #step(commands: string[][]): boolean {
    if (this.#expected > 0) return this.#part(commands);
    const line = this.#line();
    if (line === undefined) return false;
    if (line.startsWith("*")) {
      this.#expected = length(line, MOST_PARTS);
      return true;
    }
    const words = line.split(" ").filter((word) => word !== "");
    if (words.length > 0) commands.push(words);
    return true;
  }

  #part(commands: string[][]): boolean {
    const end = this.#held.indexOf("\r\n");
    if (end === -1) {
      if (this.#held.length > LONGEST_LINE) throw new RespError("too long a length");
      return false;
    }
    const head = this.#held.slice(0, end);
    if (!head.startsWith("$")) throw new RespError("a part has to begin with $");
    const size = length(head, LARGEST_COMMAND - this.#size);
    const from = end + 2;
    if (this.#held.length < from + size + 2) return false;
    this.#parts.push(this.#held.slice(from, from + size));
    this.#size += size;
    this.#held = this.#held.slice(from + size + 2);
    if (--this.#expected > 0) return true;
    commands.push(this.#parts);
    this.#parts = [];
    this.#size = 0;
    return true;
  }

  #line(): string | undefined {
    const end = this.#held.indexOf("\n");
    if (end === -1) {
      if (this.#held.length > LONGEST_LINE) throw new RespError("too long a line");
      return undefined;
    }
    const line = this.#held.slice(0, end).replace(/\r$/, "");
    this.#held = this.#held.slice(end + 1);
    return line;
  }
}

function length(line: string, most: number): number {
  const value = Number(line.slice(1));
  if (!/^.\d+$/.test(line) || value > most) throw new RespError(`${line.slice(0, 20)}: no length`);
  return value;
}

/** The bytes of an answer. */
export function encodeAnswer(answer: Answer): Uint8Array {
  return Uint8Array.from(textOf(answer), (character) => character.charCodeAt(0));
}

function textOf(answer: Answer): string {
  switch (answer.kind) {
    case "status":
      return `+${answer.text}\r\n`;
    case "error":
      return `-${answer.text}\r\n`;
    case "number":
      return `:${answer.value}\r\n`;
    case "text":
      return answer.text === null ? "$-1\r\n" : `$${answer.text.length}\r\n${answer.text}\r\n`;
    case "list":
      return `*${answer.items.length}\r\n${answer.items.map(textOf).join("")}`;
  }
}
