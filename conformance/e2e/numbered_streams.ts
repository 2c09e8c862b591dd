/**
 * gRPC streams whose messages are numbered, so that each end knows at once when one is lost, twice
 * or out of order. Nothing is sent by itself: who uses them says when.
 */
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";

const text = (value: Buffer) => value.toString();
const bytes = (value: string) => Buffer.from(value);
const codec = {
  requestSerialize: bytes,
  requestDeserialize: text,
  responseSerialize: bytes,
  responseDeserialize: text,
};

export const NUMBERED_SERVICE = "e2e.Numbered";
/** What `Step` answers with. */
export const STEP_HEADER = "x-step";
const SERVICE = {
  /** Both ways: answers every number with itself. */
  echo: {
    ...{ path: `/${NUMBERED_SERVICE}/Echo`, requestStream: true, responseStream: true },
    ...codec,
  },
  /** From the server alone. */
  count: {
    ...{ path: `/${NUMBERED_SERVICE}/Count`, requestStream: false, responseStream: true },
    ...codec,
  },
  /** One answer: the header {@linkcode STEP_HEADER} that arrived. */
  step: {
    ...{ path: `/${NUMBERED_SERVICE}/Step`, requestStream: false, responseStream: false },
    ...codec,
  },
} satisfies grpc.ServiceDefinition;

/** The server's library does not see an empty message. */
const REQUEST = "go";
/** Milliseconds. */
const STEP_DEADLINE = 5_000;
/** Sizes differ, so that messages and frames do not end together. */
const MOST_PADDING = 3000;

/** The message of this number. */
export function numbered(n: number): string {
  return `${n} ${"x".repeat(n * 37 % MOST_PADDING)}`;
}

/** Takes messages and says what is wrong with one. */
export class Sequence {
  next = 0;

  take(message: string): string | undefined {
    const expected = this.next++;
    if (message === numbered(expected)) return undefined;
    return `message ${expected} expected, ${message.slice(0, 20)} came`;
  }
}

/** The backend. */
export class NumberedServer {
  readonly port: number;
  readonly #server: grpc.Server;
  readonly #counting: Map<grpc.ServerWritableStream<string, string>, number>;

  private constructor(
    server: grpc.Server,
    port: number,
    counting: Map<grpc.ServerWritableStream<string, string>, number>,
  ) {
    this.#server = server;
    this.port = port;
    this.#counting = counting;
  }

  static async start(): Promise<NumberedServer> {
    const counting = new Map<grpc.ServerWritableStream<string, string>, number>();
    const server = new grpc.Server();
    server.addService(SERVICE, {
      echo(call: grpc.ServerDuplexStream<string, string>) {
        const sequence = new Sequence();
        call.on("data", (message: string) => {
          const wrong = sequence.take(message);
          if (wrong === undefined) call.write(message);
          else call.emit("error", { code: grpc.status.DATA_LOSS, details: wrong });
        });
        call.on("end", () => call.end(total(sequence.next)));
      },
      count(call: grpc.ServerWritableStream<string, string>) {
        counting.set(call, 0);
        call.on("cancelled", () => counting.delete(call));
        // Its head goes out before there is a message, so that it is known to be open.
        call.sendMetadata(new grpc.Metadata());
      },
      step(call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) {
        done(null, call.metadata.get(STEP_HEADER).join());
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure();
      server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    return new NumberedServer(server, port, counting);
  }

  /** `Count` streams that are open. */
  get counting(): number {
    return this.#counting.size;
  }

  /** Sends so many more numbers on every `Count` stream. */
  send(count: number): void {
    for (const [call, sent] of this.#counting) {
      for (let i = 0; i < count; i++) call.write(numbered(sent + i));
      this.#counting.set(call, sent + count);
    }
  }

  /** Ends every `Count` stream, each saying how many numbers it had. */
  finish(): void {
    for (const [call, sent] of this.#counting) call.end(total(sent));
    this.#counting.clear();
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

const TOTAL = "x-total";

function total(messages: number): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set(TOTAL, String(messages));
  return metadata;
}

/** A stream that a client holds open. */
export interface HeldStream {
  readonly name: string;
  /** Numbers that arrived, in order. */
  readonly received: number;
  /** The first thing that was wrong with its messages. */
  readonly disorder: string | undefined;
  /** How it ended before it should have. */
  readonly lost: string | undefined;
  /** It is over, well or not; `ended` resolves then. */
  readonly over: boolean;
  readonly ended: Promise<void>;
}

/** What both kinds of streams have: numbers come in, and one end is the right one. */
class Held implements HeldStream {
  readonly name: string;
  disorder: string | undefined;
  lost: string | undefined;
  over = false;
  readonly ended: Promise<void>;
  /** Whether its end is what somebody wanted. */
  finishing = false;
  readonly #sequence = new Sequence();

  constructor(name: string, call: grpc.ClientReadableStream<string>) {
    this.name = name;
    call.on("data", (message: string) => this.disorder ??= this.#sequence.take(message));
    call.on("error", () => {});
    this.ended = new Promise((resolve) => {
      call.on("status", (status: grpc.StatusObject) => {
        // Messages come before, but are handed on later.
        setTimeout(() => resolve(this.#judge(status)), 0);
      });
    });
  }

  get received(): number {
    return this.#sequence.next;
  }

  #judge({ code, details, metadata }: grpc.StatusObject): void {
    this.over = true;
    if (code !== grpc.status.OK || !this.finishing) {
      this.lost = `${this.name}: ended with ${code} ${details} after ${this.received} messages`;
      return;
    }
    const said = Number(metadata.get(TOTAL).join());
    if (said !== this.received) this.disorder ??= `${this.received} of ${said} messages arrived`;
  }
}

/** A stream both ways. */
export class EchoStream extends Held {
  readonly #call: grpc.ClientDuplexStream<string, string>;
  /** Numbers sent. */
  sent = 0;

  constructor(name: string, call: grpc.ClientDuplexStream<string, string>) {
    super(name, call);
    this.#call = call;
  }

  /** Sends so many more numbers. */
  send(count: number): void {
    for (let i = 0; i < count; i++) this.#call.write(numbered(this.sent++));
  }

  /** Says that this was all. */
  finish(): void {
    this.finishing = true;
    this.#call.end();
  }
}

export interface NumberedClientOptions {
  host: string;
  /** PEM that the server's certificate must chain to; absent = plaintext. */
  authority?: string;
}

/** A client with a connection of its own. */
export class NumberedClient {
  readonly #client: grpc.Client;

  constructor(address: string, { host, authority }: NumberedClientOptions) {
    const credentials = authority === undefined
      ? grpc.credentials.createInsecure()
      : grpc.credentials.createSsl(Buffer.from(authority));
    this.#client = new grpc.Client(address, credentials, {
      "grpc.default_authority": host,
      "grpc.ssl_target_name_override": host,
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  echo(name: string): EchoStream {
    const { path, requestSerialize, responseDeserialize } = SERVICE.echo;
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    return new EchoStream(name, call);
  }

  /** Opens a stream that the server's `finish()` ends. */
  count(name: string): HeldStream & { finishing: boolean } {
    const { path, requestSerialize, responseDeserialize } = SERVICE.count;
    const call = this.#client
      .makeServerStreamRequest(path, requestSerialize, responseDeserialize, REQUEST);
    return new Held(name, call);
  }

  /** The step that a new call meets; rejects when the call fails. */
  step(): Promise<string> {
    const { path, requestSerialize, responseDeserialize } = SERVICE.step;
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + STEP_DEADLINE;
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        REQUEST,
        new grpc.Metadata(),
        { deadline },
        (error, value) => error === null ? resolve(value ?? "") : reject(error),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}
