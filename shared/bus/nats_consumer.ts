/**
 * An ordered consumer that outlives everything: ephemeral, no acknowledgements, in memory; made
 * again after a gap, a missed heartbeat, a reconnect or the loss of its stream.
 */
import { createInbox, type Msg, type NatsConnection } from "nats";
import { backoff } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { apiRequest, asJson, asNumber, type Json, toSigned } from "./nats_api.ts";
import type { BusMessage, ConsumeOptions, Consumption, StartAt, StreamInfo } from "./transport.ts";

/** The server says at least this often that it is there, ms. */
const HEARTBEAT = 1500;
const NANOS = 1_000_000;

/** What the consumer needs of the transport. */
export interface ConsumerHost {
  /** Resolves with the connection once there is one; rejects when the signal aborts. */
  connection(signal: AbortSignal): Promise<NatsConnection>;
  info(): Promise<StreamInfo>;
  /** Registers for reconnects and periodic stream checks; returns the way out. */
  watch(listener: (event: "reconnected" | "tick") => void): () => void;
  /** A try ended with an error and will be repeated. */
  onError(error: unknown): void;
  readonly inboxPrefix: string;
  readonly clock: Clock;
}

/** Starts consuming. */
export function consumeOrdered(host: ConsumerHost, options: ConsumeOptions): Consumption {
  return new OrderedConsumer(host, options);
}

type Delivery = { kind: "message"; message: BusMessage } | { kind: "flow"; reply: Msg };

class OrderedConsumer implements Consumption {
  readonly #host: ConsumerHost;
  readonly #options: ConsumeOptions;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;
  /** Aborts the current incarnation. */
  #current = new AbortController();
  #identity = "";
  #next: number | undefined;

  constructor(host: ConsumerHost, options: ConsumeOptions) {
    this.#host = host;
    this.#options = options;
    this.#done = this.#run();
  }

  restart(): void {
    this.#next = undefined;
    this.#current.abort();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#current.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (!this.#closing.signal.aborted) {
      try {
        const connection = await this.#host.connection(this.#closing.signal);
        this.#current = new AbortController();
        await this.#incarnation(connection, this.#current.signal);
        attempt = 0;
      } catch (error) {
        if (!this.#closing.signal.aborted) this.#host.onError(error);
        attempt++;
      }
      if (this.#closing.signal.aborted) break;
      this.#options.onInterrupted?.();
      const wait = backoff(attempt, { initial: 50, max: 2000 });
      await this.#host.clock.delay(wait, this.#closing.signal).catch(() => {});
    }
  }

  /** One server-side consumer, from creation until it has to be made again. */
  async #incarnation(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const info = await this.#host.info();
    if (this.#identity !== "" && this.#identity !== info.identity) {
      this.#next = undefined;
      this.#options.onReplaced?.();
    }
    this.#identity = info.identity;
    const start: StartAt = this.#next === undefined
      ? await this.#options.start()
      : { from: "sequence", sequence: this.#next };
    if (signal.aborted) return;
    const pump = new Pump(this.#host.clock);
    const inbox = createInbox(this.#host.inboxPrefix);
    const subscription = connection.subscribe(inbox, {
      callback: (error, message) => error === null ? pump.take(message) : pump.stop(),
    });
    const stop = () => pump.stop();
    signal.addEventListener("abort", stop, { once: true });
    const unwatch = this.#host.watch((event) => {
      // What was delivered into a broken connection is lost, and the consumer may be too.
      if (event === "reconnected") pump.stop();
      else void this.#check(pump);
    });
    try {
      const pending = await this.#create(connection, { inbox, start });
      await this.#deliver(connection, { pump, pending });
    } finally {
      unwatch();
      signal.removeEventListener("abort", stop);
      pump.stop();
      if (!connection.isClosed()) subscription.unsubscribe();
    }
  }

  async #create(
    connection: NatsConnection,
    options: { inbox: string; start: StartAt },
  ): Promise<number> {
    const { stream, filter } = this.#options;
    const name = `lgw_${crypto.randomUUID().replaceAll("-", "")}`;
    // The filter is part of the subject, so that permissions can name it.
    const answer = await apiRequest(
      connection,
      `$JS.API.CONSUMER.CREATE.${stream}.${name}.${filter}`,
      {
        stream_name: stream,
        action: "create",
        config: {
          name,
          deliver_subject: options.inbox,
          filter_subject: filter,
          ack_policy: "none",
          max_deliver: 1,
          mem_storage: true,
          num_replicas: 1,
          flow_control: true,
          idle_heartbeat: HEARTBEAT * NANOS,
          ...startConfig(options.start),
        },
      },
    );
    return asNumber(answer["num_pending"]);
  }

  async #deliver(
    connection: NatsConnection,
    options: { pump: Pump; pending: number },
  ): Promise<void> {
    let caughtUp = false;
    const reach = async () => {
      if (caughtUp) return;
      caughtUp = true;
      await this.#options.onCaughtUp?.();
    };
    if (options.pending === 0) await reach();
    for await (const delivery of options.pump.deliveries()) {
      if (delivery.kind === "flow") {
        if (!connection.isClosed()) delivery.reply.respond();
        continue;
      }
      const message = delivery.message;
      this.#next = message.sequence + 1;
      await this.#options.onMessage(message);
      if (message.pending === 0) await reach();
    }
  }

  async #check(pump: Pump): Promise<void> {
    try {
      if ((await this.#host.info()).identity !== this.#identity) pump.stop();
    } catch {
      // Away or missing: the heartbeat that does not come ends this incarnation.
    }
  }
}

function startConfig(start: StartAt): Json {
  switch (start.from) {
    case "all":
      // Said by silence: an explicit "all" hangs on some servers.
      return {};
    case "sequence":
      return { deliver_policy: "by_start_sequence", opt_start_seq: Math.max(1, start.sequence) };
    case "last_per_subject":
      return { deliver_policy: "last_per_subject" };
    default:
      return start satisfies never;
  }
}

/** Orders what arrives and notices gaps and silence. Flow control bounds what it holds. */
class Pump {
  readonly #clock: Clock;
  readonly #queue: Delivery[] = [];
  /** Of those in the queue: what the server asks for flow control is not one that follows. */
  #messages = 0;
  #wake: (() => void) | undefined;
  #stopped = false;
  #delivered = 0;
  #heard: number;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#heard = clock.monotonic();
    this.#timer = setInterval(() => {
      if (this.#clock.monotonic() - this.#heard > 3 * HEARTBEAT) this.stop();
    }, HEARTBEAT);
  }

  take(message: Msg): void {
    if (this.#stopped) return;
    this.#heard = this.#clock.monotonic();
    const code = message.headers?.code ?? 0;
    if (code === 100) return this.#status(message);
    const place = parseReply(message.reply ?? "");
    if (code !== 0 || place === undefined || place.consumer !== this.#delivered + 1) {
      return this.stop();
    }
    this.#delivered = place.consumer;
    const queued = () => this.#messages;
    this.#messages++;
    this.#queue.push({
      kind: "message",
      message: {
        subject: message.subject,
        sequence: place.stream,
        time: place.time,
        signed: toSigned(message),
        get pending() {
          return Math.max(place.pending, queued());
        },
      },
    });
    this.#wake?.();
  }

  #status(message: Msg): void {
    if (message.reply !== undefined && message.reply !== "") {
      this.#queue.push({ kind: "flow", reply: message });
      this.#wake?.();
      return;
    }
    const last = message.headers?.get("Nats-Last-Consumer") ?? "";
    if (last !== "" && Number(last) > this.#delivered) this.stop();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#wake?.();
  }

  async *deliveries(): AsyncGenerator<Delivery> {
    while (!this.#stopped) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        if (next.kind === "message") this.#messages--;
        yield next;
        continue;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
  }
}

/** Positions in an acknowledgement subject, old form (9 tokens) and with domain (11 or more). */
function parseReply(
  reply: string,
): { stream: number; consumer: number; time: number; pending: number } | undefined {
  const tokens = reply.split(".");
  const at = tokens.length >= 11 ? 7 : 5;
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || tokens.length < 9) return undefined;
  return {
    stream: Number(tokens[at]),
    consumer: Number(tokens[at + 1]),
    time: Math.floor(Number(tokens[at + 2]) / NANOS),
    pending: Number(tokens[at + 3]),
  };
}

/** Reads what STREAM.INFO says. */
export function parseStreamInfo(answer: Json): StreamInfo {
  const state = asJson(answer["state"]);
  return {
    identity: String(answer["created"]),
    firstSequence: asNumber(state["first_seq"]),
    lastSequence: asNumber(state["last_seq"]),
    messages: asNumber(state["messages"]),
    bytes: asNumber(state["bytes"]),
    maxBytes: asNumber(asJson(answer["config"])["max_bytes"]),
  };
}
