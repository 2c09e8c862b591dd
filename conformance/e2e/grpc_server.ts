/** A gRPC server of a well-known library, with one method of each type, and its client. */
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";

const text = (value: Buffer) => value.toString();
const bytes = (value: string) => Buffer.from(value);

function method(name: string, types: { requestStream: boolean; responseStream: boolean }) {
  return {
    path: `/e2e.Echo/${name}`,
    ...types,
    requestSerialize: bytes,
    requestDeserialize: text,
    responseSerialize: bytes,
    responseDeserialize: text,
  };
}

const SERVICE = {
  unary: method("Unary", { requestStream: false, responseStream: false }),
  serverStream: method("ServerStream", { requestStream: false, responseStream: true }),
  clientStream: method("ClientStream", { requestStream: true, responseStream: false }),
  both: method("Both", { requestStream: true, responseStream: true }),
} satisfies grpc.ServiceDefinition;

/** Answers with what was asked, and says in trailers who answered. */
export async function startGrpcServer(
  name: string,
): Promise<{ port: number; stop: () => void }> {
  const server = new grpc.Server();
  const trailer = () => {
    const metadata = new grpc.Metadata();
    metadata.set("x-server", name);
    return metadata;
  };
  server.addService(SERVICE, {
    unary(
      call: grpc.ServerUnaryCall<string, string>,
      done: grpc.sendUnaryData<string>,
    ) {
      if (call.request === "silence") return;
      if (call.request === "fail") {
        return done({ code: grpc.status.FAILED_PRECONDITION, details: "asked to fail" }, null);
      }
      const tenant = call.metadata.get("x-tenant").join();
      done(null, `${call.request}${tenant === "" ? "" : ` for ${tenant}`}`, trailer());
    },
    serverStream(call: grpc.ServerWritableStream<string, string>) {
      for (let i = 0; i < Number(call.request); i++) call.write(`message ${i}`);
      call.end(trailer());
    },
    clientStream(
      call: grpc.ServerReadableStream<string, string>,
      done: grpc.sendUnaryData<string>,
    ) {
      const parts: string[] = [];
      call.on("data", (part: string) => parts.push(part));
      call.on("end", () => done(null, parts.join(","), trailer()));
    },
    both(call: grpc.ServerDuplexStream<string, string>) {
      call.on("data", (part: string) => call.write(part.toUpperCase()));
      call.on("end", () => call.end(trailer()));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      "127.0.0.1:0",
      grpc.ServerCredentials.createInsecure(),
      (error, port) => error === null ? resolve(port) : reject(error),
    );
  });
  return { port, stop: () => server.forceShutdown() };
}

/** What came of a call. */
export interface CallResult {
  messages: string[];
  code: number;
  details: string;
  trailers: Record<string, string>;
}

export interface CallOptions {
  metadata?: Record<string, string>;
  /** Milliseconds. */
  deadline?: number;
}

/** A client of one address that calls as another host. */
export class GrpcClient {
  readonly #client: grpc.Client;

  constructor(address: string, host: string) {
    this.#client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      "grpc.default_authority": host,
    });
  }

  close(): void {
    this.#client.close();
  }

  unary(message: string, options: CallOptions = {}): Promise<CallResult> {
    const { path, requestSerialize, responseDeserialize } = SERVICE.unary;
    return collect((messages, done) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        metadataOf(options),
        callOptions(options),
        (_error, value) => void (value === undefined || messages.push(value)),
      ).on("status", done);
    });
  }

  /** A call of a method that no route names. */
  unknown(): Promise<CallResult> {
    return collect((messages, done) => {
      this.#client.makeUnaryRequest(
        "/other.Other/Nothing",
        bytes,
        text,
        "",
        new grpc.Metadata(),
        {},
        (_error, value) => void (value === undefined || messages.push(value)),
      ).on("status", done);
    });
  }

  serverStream(count: number): Promise<CallResult> {
    const { path, requestSerialize, responseDeserialize } = SERVICE.serverStream;
    return collect((messages, done) => {
      this.#client
        .makeServerStreamRequest(path, requestSerialize, responseDeserialize, String(count))
        .on("data", (message: string) => messages.push(message))
        .on("error", () => {})
        .on("status", done);
    });
  }

  clientStream(parts: readonly string[]): Promise<CallResult> {
    const { path, requestSerialize, responseDeserialize } = SERVICE.clientStream;
    return collect((messages, done) => {
      const call = this.#client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        new grpc.Metadata(),
        (_error, value) => void (value === undefined || messages.push(value)),
      ).on("status", done);
      for (const part of parts) call.write(part);
      call.end();
    });
  }

  /** Sends the next message only when the answer to the one before is there. */
  conversation(parts: readonly string[]): Promise<CallResult> {
    const { path, requestSerialize, responseDeserialize } = SERVICE.both;
    return collect((messages, done) => {
      const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      const next = () => {
        const part = parts[messages.length];
        if (part === undefined) call.end();
        else call.write(part);
      };
      call.on("data", (message: string) => {
        messages.push(message);
        next();
      }).on("error", () => {}).on("status", done);
      next();
    });
  }
}

function metadataOf({ metadata = {} }: CallOptions): grpc.Metadata {
  const made = new grpc.Metadata();
  for (const [name, value] of Object.entries(metadata)) made.set(name, value);
  return made;
}

function callOptions({ deadline }: CallOptions): grpc.CallOptions {
  return deadline === undefined ? {} : { deadline: Date.now() + deadline };
}

function collect(
  start: (messages: string[], done: (status: grpc.StatusObject) => void) => void,
): Promise<CallResult> {
  return new Promise((resolve) => {
    const messages: string[] = [];
    start(messages, ({ code, details, metadata }) => {
      const trailers = Object.fromEntries(
        Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]),
      );
      // The value of a unary answer comes in the same turn.
      queueMicrotask(() => resolve({ messages, code, details, trailers }));
    });
  });
}
