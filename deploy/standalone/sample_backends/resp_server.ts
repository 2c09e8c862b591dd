/** Keys and channels for `redis-cli` to play with: a server that speaks first to subscribers. */
import { type Answer, CommandReader, encodeAnswer, RespError } from "./resp.ts";

/** Keys; more are refused. */
const MOST_KEYS = 10_000;
/** Answers that a client has not taken; a client with more is closed. */
const MOST_WAITING = 1_000;

const OK: Answer = { kind: "status", text: "OK" };
const text = (value: string | null): Answer => ({ kind: "text", text: value });
const count = (value: number): Answer => ({ kind: "number", value });
const error = (message: string): Answer => ({ kind: "error", text: `ERR ${message}` });
const list = (...items: Answer[]): Answer => ({ kind: "list", items });

/** What all clients share. */
class Store {
  readonly #keys = new Map<string, string>();
  readonly #channels = new Map<string, Set<Client>>();

  /** The answer to a command of a client. */
  answer([name = "", ...args]: readonly string[], client: Client): Answer[] {
    const [key = "", value = ""] = args;
    const known = (needed: number, answer: () => Answer[]) =>
      args.length >= needed ? answer() : [error(`${name}: too few arguments`)];
    switch (name.toUpperCase()) {
      case "PING":
        return [args.length > 0 ? text(key) : { kind: "status", text: "PONG" }];
      case "ECHO":
        return known(1, () => [text(key)]);
      case "SET":
        return known(2, () => [this.#set(key, value)]);
      case "GET":
        return known(1, () => [text(this.#keys.get(key) ?? null)]);
      case "DEL":
        return known(1, () => [count(args.filter((one) => this.#keys.delete(one)).length)]);
      case "INCR":
        return known(1, () => [this.#increment(key)]);
      case "SUBSCRIBE":
        return known(1, () => args.map((channel) => this.#subscribe(channel, client)));
      case "PUBLISH":
        return known(2, () => [count(this.#publish(key, value))]);
      default:
        return [error(`unknown command '${name.slice(0, 64)}'; this is a sample, not Redis`)];
    }
  }

  #set(key: string, value: string): Answer {
    if (!this.#keys.has(key) && this.#keys.size >= MOST_KEYS) return error("too many keys");
    this.#keys.set(key, value);
    return OK;
  }

  #increment(key: string): Answer {
    const next = Number(this.#keys.get(key) ?? "0") + 1;
    if (!Number.isSafeInteger(next)) return error("value is not an integer or out of range");
    const set = this.#set(key, String(next));
    return set === OK ? count(next) : set;
  }

  #subscribe(channel: string, client: Client): Answer {
    let clients = this.#channels.get(channel);
    if (clients === undefined) this.#channels.set(channel, clients = new Set());
    clients.add(client);
    client.channels.add(channel);
    return list(text("subscribe"), text(channel), count(client.channels.size));
  }

  #publish(channel: string, message: string): number {
    const clients = this.#channels.get(channel) ?? new Set();
    for (const client of clients) {
      client.send([list(text("message"), text(channel), text(message))]);
    }
    return clients.size;
  }

  leave(client: Client): void {
    for (const channel of client.channels) {
      const clients = this.#channels.get(channel);
      clients?.delete(client);
      if (clients?.size === 0) this.#channels.delete(channel);
    }
  }
}

/** One connection. */
class Client {
  readonly channels = new Set<string>();
  readonly #conn: Deno.Conn;
  #sending: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** One after the other, in the order of the calls. */
  send(answers: readonly Answer[]): void {
    if (this.#waiting >= MOST_WAITING) return this.close();
    this.#waiting++;
    this.#sending = this.#sending.then(async () => {
      for (const answer of answers) {
        const bytes = encodeAnswer(answer);
        for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
      }
      this.#waiting--;
    }).catch(() => this.close());
  }

  async serve(store: Store): Promise<void> {
    const reader = new CommandReader();
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (let n; (n = await this.#conn.read(buffer)) !== null;) {
        for (const command of reader.push(buffer.subarray(0, n))) {
          if (command[0]?.toUpperCase() === "QUIT") return this.send([OK]);
          this.send(store.answer(command, this));
          // What it does not read, it need not send either.
          await this.#sending;
        }
      }
    } catch (problem) {
      if (problem instanceof RespError) this.send([error(`Protocol error: ${problem.message}`)]);
    } finally {
      await this.#sending;
      store.leave(this);
      this.close();
    }
  }

  close(): void {
    try {
      this.#conn.close();
    } catch {
      // It is closed already.
    }
  }
}

/** Serves on a port of loopback; 0 = any. Throws when it is taken. */
export function startRespServer(port: number): { port: number; stop(): Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const store = new Store();
  const clients = new Set<Client>();
  const served = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const conn of listener) {
      const client = new Client(conn);
      const serving = client.serve(store).finally(() => {
        clients.delete(client);
        served.delete(serving);
      });
      clients.add(client);
      served.add(serving);
    }
  })();
  return {
    port: listener.addr.port,
    stop: async () => {
      listener.close();
      await accepting;
      for (const client of clients) client.close();
      await Promise.all(served);
    },
  };
}
