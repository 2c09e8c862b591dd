/** The bus on NATS JetStream. */
import type { BusAccess } from "./access.ts";
import { connect, type Msg, type NatsConnection, nkeyAuthenticator } from "nats";
import { backoff } from "../lib/backoff.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { errorMessage, type Logger, silentLogger } from "../lib/log.ts";
import {
  asJson,
  asNumber,
  type Json,
  parseAnswer,
  type RawRequest,
  rawRequest,
} from "./nats_api.ts";
import { toHeaders, toSigned } from "./nats_api.ts";
import { consumeOrdered, parseStreamInfo } from "./nats_consumer.ts";
import { inboxPrefix } from "./permissions.ts";
import { type StreamLimits, type StreamName, streamSettings } from "./streams.ts";
import {
  type BatchFence,
  BusError,
  type BusMessage,
  type BusWriter,
  type ConsumeOptions,
  type Consumption,
  MAX_BATCH,
  type OutMessage,
  type StreamInfo,
} from "./transport.ts";

/** Room for headers in a message of the server's max_payload, bytes. */
const HEADER_ROOM = 8192;
const PING_INTERVAL = 3000;
const IDENTITY_INTERVAL = 5000;
const encoder = new TextEncoder();

/** How to reach the bus. */
export interface NatsBusOptions {
  access: BusAccess;
  /** Name of the connection, for the server's monitoring. */
  name?: string;
  limits?: StreamLimits;
  clock?: Clock;
  log?: Logger;
}

/**
 * Connects in the background, for ever and again. Requests made while it is away fail with
 * {@linkcode BusError} `unavailable`; consumers wait and resume.
 */
export function openNatsBus(options: NatsBusOptions): BusWriter {
  return new NatsBus(options);
}

class NatsBus implements BusWriter {
  readonly #options: NatsBusOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #watchers = new Set<(event: "reconnected" | "tick") => void>();
  readonly #listeners = new Set<() => void>();
  readonly #consumptions = new Set<Consumption>();
  readonly #running: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #connection: NatsConnection | undefined;
  #online = false;
  /** Rejects with the connection: nobody waits out a timeout for an answer that cannot come. */
  #lost = lostPromise();
  #infos = new Map<StreamName, Promise<StreamInfo>>();

  constructor(options: NatsBusOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#running = this.#run();
    this.#timer = setInterval(() => this.#notify("tick"), IDENTITY_INTERVAL);
  }

  get connected(): boolean {
    return this.#online;
  }

  get maxBody(): number {
    return (this.#connection?.info?.max_payload ?? 1024 * 1024) - HEADER_ROOM;
  }

  async #run(): Promise<void> {
    const signal = this.#closing.signal;
    let lastError = "";
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const connection = await this.#connect();
        attempt = 0;
        lastError = "";
        if (signal.aborted) {
          await connection.close();
          return;
        }
        this.#connection = connection;
        // Ends with the connection without a last word, so nobody waits for it.
        void this.#follow(connection);
        this.#setOnline();
        await connection.closed();
      } catch (error) {
        const text = errorMessage(error);
        // Told when it is new and about twice a minute: who waits should know what for.
        const worth = text !== lastError || attempt % 15 === 0;
        lastError = text;
        this.#log[worth ? "warn" : "debug"]("bus_connect_failed", { error: text });
      }
      this.#connection = undefined;
      this.#setOffline();
      await this.#clock.delay(backoff(attempt, { initial: 50, max: 2000 }), signal).catch(() => {});
    }
  }

  #connect(): Promise<NatsConnection> {
    const { access: { url, user, seed, password, ca }, name } = this.#options;
    return connect({
      servers: url,
      ...(seed === undefined ? {} : { authenticator: nkeyAuthenticator(encoder.encode(seed)) }),
      ...(password === undefined ? {} : { user, pass: password }),
      ...(ca === undefined ? {} : { tls: { ca } }),
      inboxPrefix: inboxPrefix(user),
      timeout: 2000,
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: () => backoff(2, { initial: 50, jitter: 0.5 }),
      pingInterval: PING_INTERVAL,
      maxPingOut: 2,
      ...(name === undefined ? {} : { name }),
    });
  }

  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") {
        this.#setOffline();
        this.#log.warn("bus_disconnected");
      } else if (status.type === "reconnect") {
        this.#setOnline();
      } else if (status.type === "error") {
        this.#log.warn("bus_error", { error: String(status.data) });
      }
    }
  }

  #setOffline(): void {
    this.#online = false;
    this.#lost.reject(new BusError("unavailable", "the connection to the bus was lost"));
  }

  #setOnline(): void {
    this.#online = true;
    this.#lost = lostPromise();
    this.#log.info("bus_connected", { server: this.#connection?.getServer() });
    this.#notify("reconnected");
    for (const listener of this.#listeners) listener();
  }

  #notify(event: "reconnected" | "tick"): void {
    if (this.#online) { for (const watcher of this.#watchers) watcher(event); }
  }

  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** One request of the JetStream API. @throws {BusError} */
  async #api(subject: string, body: Json = {}): Promise<Json> {
    return parseAnswer(await this.#ask(subject, { data: encoder.encode(JSON.stringify(body)) }));
  }

  async #ask(subject: string, request: RawRequest): Promise<Msg> {
    return await Promise.race([rawRequest(this.#require(), subject, request), this.#lost.promise]);
  }

  #require(): NatsConnection {
    if (this.#connection === undefined || !this.#online) {
      throw new BusError("unavailable", "not connected to the bus");
    }
    return this.#connection;
  }

  #whenConnected(signal: AbortSignal): Promise<NatsConnection> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#connection !== undefined && this.#online) return Promise.resolve(this.#connection);
    return new Promise((resolve, reject) => {
      const remove = this.onConnected(() => {
        if (this.#connection === undefined) return;
        cleanUp();
        resolve(this.#connection);
      });
      const abort = () => {
        cleanUp();
        reject(signal.reason);
      };
      const cleanUp = () => {
        remove();
        signal.removeEventListener("abort", abort);
      };
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  /** Shared by everyone who asks at the same moment: a hundred consumers cost one request. */
  async info(stream: StreamName): Promise<StreamInfo> {
    const running = this.#infos.get(stream);
    if (running !== undefined) return await running;
    const asked = this.#api(`$JS.API.STREAM.INFO.${stream}`)
      .then(parseStreamInfo);
    this.#infos.set(stream, asked);
    try {
      return await asked;
    } finally {
      this.#infos.delete(stream);
    }
  }

  async last(stream: StreamName, subject: string): Promise<BusMessage | undefined> {
    const answer = await this.#ask(
      `$JS.API.DIRECT.GET.${stream}.${subject}`,
      { data: new Uint8Array() },
    );
    const code = answer.headers?.code ?? 0;
    if (code === 404) return undefined;
    if (code !== 0) throw new BusError("refused", `${stream} ${subject}: status ${code}`);
    return {
      subject: answer.headers?.get("Nats-Subject") ?? subject,
      sequence: Number(answer.headers?.get("Nats-Sequence")),
      time: Date.parse(answer.headers?.get("Nats-Time-Stamp") ?? ""),
      signed: toSigned(answer),
      pending: 0,
    };
  }

  consume(options: ConsumeOptions): Consumption {
    const consumption = consumeOrdered({
      connection: (signal) => this.#whenConnected(signal),
      info: () => this.info(options.stream),
      watch: (listener) => {
        this.#watchers.add(listener);
        return () => this.#watchers.delete(listener);
      },
      onError: (error) => {
        const fields = { stream: options.stream, filter: options.filter };
        const text = { ...fields, error: errorMessage(error) };
        // An outage is told once, by the connection; anything else is somebody's mistake.
        if (error instanceof BusError) this.#log.debug("consumer_waits", text);
        else this.#log.error("consumer_failed", text);
      },
      inboxPrefix: inboxPrefix(this.#options.access.user),
      clock: this.#clock,
    }, options);
    this.#consumptions.add(consumption);
    return {
      restart: () => consumption.restart(),
      close: () => {
        this.#consumptions.delete(consumption);
        return consumption.close();
      },
    };
  }

  send(message: OutMessage): void {
    if (!this.#online || this.#connection === undefined) return;
    this.#connection.publish(message.subject, message.signed.body, {
      headers: toHeaders(message.signed),
    });
  }

  async ensureStreams(): Promise<StreamName[]> {
    const created: StreamName[] = [];
    for (const settings of streamSettings(this.#options.limits)) {
      const wanted = { ...settings };
      try {
        const answer = await this.#api(`$JS.API.STREAM.INFO.${settings.name}`);
        if (differs(wanted, asJson(answer["config"]))) {
          await this.#api(`$JS.API.STREAM.UPDATE.${settings.name}`, wanted);
        }
      } catch (error) {
        if (!(error instanceof BusError) || error.kind !== "missing") throw error;
        await this.#api(`$JS.API.STREAM.CREATE.${settings.name}`, wanted);
        created.push(settings.name);
      }
    }
    return created;
  }

  async publishBatch(
    messages: readonly OutMessage[],
    fence: BatchFence,
  ): Promise<{ sequence: number }> {
    if (messages.length === 0 || messages.length > MAX_BATCH) {
      throw new RangeError(`a batch holds 1 to ${MAX_BATCH} messages, not ${messages.length}`);
    }
    const [only] = messages;
    if (only !== undefined && messages.length === 1) {
      // One message needs no batch to be all or nothing, and the fences hold without one: the
      // batch machinery would cost several times the write.
      const headers = toHeaders(only.signed, fenceHeaders(fence));
      const data = only.signed.body;
      const answer = parseAnswer(await this.#ask(only.subject, { data, headers }));
      return { sequence: asNumber(answer["seq"]) };
    }
    const connection = this.#require();
    const id = crypto.randomUUID();
    for (const [index, message] of messages.entries()) {
      const last = index === messages.length - 1;
      const headers = toHeaders(message.signed, {
        "Nats-Batch-Id": id,
        "Nats-Batch-Sequence": String(index + 1),
        ...(last ? { "Nats-Batch-Commit": "1" } : {}),
        ...(index === 0 ? fenceHeaders(fence) : {}),
      });
      if (!last) {
        connection.publish(message.subject, message.signed.body, { headers });
        continue;
      }
      const data = message.signed.body;
      const answer = parseAnswer(
        await this.#ask(message.subject, { data, headers }),
      );
      return { sequence: asNumber(answer["seq"]) };
    }
    throw new RangeError("unreachable: the last message returns");
  }

  async publishFenced(message: OutMessage, expectedSequence: number): Promise<number> {
    const answer = parseAnswer(
      await this.#ask(message.subject, {
        data: message.signed.body,
        headers: toHeaders(message.signed, {
          "Nats-Expected-Last-Subject-Sequence": String(expectedSequence),
        }),
      }),
    );
    return asNumber(answer["seq"]);
  }

  async sourcedUpTo(): Promise<number> {
    const { lastSequence } = await this.info("LGW_HISTORY");
    if (lastSequence === 0) return 0;
    const newest = await this.#ask("$JS.API.DIRECT.GET.LGW_HISTORY", {
      data: encoder.encode(JSON.stringify({ seq: lastSequence })),
    });
    // `<stream> <sequence> …` (the rest is filter, transform and subject).
    const source = newest.headers?.get("Nats-Stream-Source")?.split(" ") ?? [];
    const sequence = Number(source[1]);
    return Number.isSafeInteger(sequence) ? sequence : 0;
  }

  async purge(stream: StreamName, options: { filter: string; before?: number }): Promise<number> {
    const { filter, before } = options;
    const answer = await this.#api(`$JS.API.STREAM.PURGE.${stream}`, {
      filter,
      ...(before === undefined ? {} : { seq: before }),
    });
    return asNumber(answer["purged"]);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
    await this.#connection?.close();
    await this.#running;
  }
}

function lostPromise(): PromiseWithResolvers<never> {
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  return lost;
}

function fenceHeaders(fence: BatchFence): Record<string, string> {
  return {
    "Nats-Expected-Last-Sequence": String(fence.lastSequence),
    "Nats-Expected-Last-Subject-Sequence": String(fence.subjectSequence),
    "Nats-Expected-Last-Subject-Sequence-Subject": fence.subject,
  };
}

/** True when the server's settings are not the wanted ones; it fills in more members than we name. */
function differs(wanted: object, actual: Readonly<Record<string, unknown>>): boolean {
  const names = ["subjects", "max_bytes", "max_age", "max_msgs_per_subject", "num_replicas"];
  const members = new Map<string, unknown>(Object.entries(wanted));
  return names.some((name) =>
    JSON.stringify(members.get(name) ?? null) !== JSON.stringify(actual[name] ?? null)
  );
}
