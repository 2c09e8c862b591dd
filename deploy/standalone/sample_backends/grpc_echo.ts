/** A gRPC service that says what it was told, and can be asked what it is (reflection). */
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import { type DefinitionFile, reflect, REFLECTION_SERVICE } from "./grpc_reflection.ts";
import { decodeMessage, encodeMessage, type Field, textOf } from "./protobuf.ts";

const SERVICE = "samples.Echo";
const REFLECTION = "grpc.reflection.v1.ServerReflection";

/** A message of one text, `message`; field 1 in both directions. */
const write = (message: string) => Buffer.from(encodeMessage([[1, message]]));
const read = (bytes: Buffer) => textOf(decodeMessage(bytes), 1);

function method(name: string, stream: boolean): grpc.MethodDefinition<string, string> {
  return {
    path: `/${SERVICE}/${name}`,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: write,
    requestDeserialize: read,
    responseSerialize: write,
    responseDeserialize: read,
  };
}

const ECHO = { say: method("Say", false), talk: method("Talk", true) };

const OPTIONAL = 1;
const STRING = 9;
const YES = 1;

/** `descriptor.proto`: FieldDescriptorProto in DescriptorProto, MethodDescriptorProto in a service. */
function descriptor(): DefinitionFile {
  const message = (name: string): Field => {
    const field = encodeMessage([
      [1, "message"],
      [3, 1],
      [4, OPTIONAL],
      [5, STRING],
      [10, "message"],
    ]);
    return [4, encodeMessage([[1, name], [2, field]])];
  };
  const call = (name: string, ...streams: Field[]): Field => [
    2,
    encodeMessage([[1, name], [2, ".samples.Said"], [3, ".samples.Heard"], ...streams]),
  ];
  const service = encodeMessage([[1, "Echo"], call("Say"), call("Talk", [5, YES], [6, YES])]);
  const name = "samples/echo.proto";
  return {
    name,
    bytes: encodeMessage([
      [1, name],
      [2, "samples"],
      message("Said"),
      message("Heard"),
      [6, service],
      [12, "proto3"],
    ]),
    symbols: ["samples.Said", "samples.Heard", SERVICE, `${SERVICE}.Say`, `${SERVICE}.Talk`],
  };
}

/** Serves on a port of loopback; 0 = any. In plaintext unless told. Rejects when it is taken. */
export async function startGrpcEcho(
  port: number,
  credentials: grpc.ServerCredentials = grpc.ServerCredentials.createInsecure(),
): Promise<{ port: number; stop(): void }> {
  const server = new grpc.Server();
  server.addService(ECHO, {
    say(call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) {
      done(null, call.request);
    },
    talk(call: grpc.ServerDuplexStream<string, string>) {
      call.on("data", (said: string) => call.write(said));
      call.on("end", () => call.end());
    },
  });
  server.addService(REFLECTION_SERVICE, {
    info: reflect({ services: [SERVICE, REFLECTION], files: [descriptor()] }),
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(
      `127.0.0.1:${port}`,
      credentials,
      (error, bound) => error === null ? resolve(bound) : reject(error),
    );
  });
  return { port: bound, stop: () => server.forceShutdown() };
}
