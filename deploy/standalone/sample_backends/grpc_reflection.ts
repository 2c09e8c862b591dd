/**
 * Tells tools such as grpcurl which services there are (`grpc.reflection.v1`, the protocol of
 * https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1/reflection.proto).
 */
import { Buffer } from "node:buffer";
import type { handleBidiStreamingCall, MethodDefinition } from "@grpc/grpc-js";
import { decodeMessage, encodeMessage, type Field, textOf } from "./protobuf.ts";

/** A file of definitions, as its name and the bytes of its `FileDescriptorProto`. */
export interface DefinitionFile {
  name: string;
  bytes: Uint8Array;
  /** Full names of what it defines. */
  symbols: readonly string[];
}

export interface ReflectionOptions {
  /** Full names of the services. */
  services: readonly string[];
  files: readonly DefinitionFile[];
}

/** Numbers of the fields of `ServerReflectionRequest`. */
const REQUEST = { host: 1, file: 3, symbol: 4, extension: 5, extensions: 6, list: 7 } as const;
/** Numbers of the fields of `ServerReflectionResponse`. */
const RESPONSE = { host: 1, request: 2, files: 4, services: 6, error: 7 } as const;
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;

type Bytes = Buffer;
const same = (bytes: Bytes) => bytes;

/** The method, as a service of the library. */
export const REFLECTION_SERVICE = {
  info: {
    path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  } satisfies MethodDefinition<Bytes, Bytes>,
};

/** Answers every request of a stream. */
export function reflect(options: ReflectionOptions): handleBidiStreamingCall<Bytes, Bytes> {
  return (call) => {
    call.on(
      "data",
      (request: Bytes) => call.write(Buffer.from(reflectionAnswer(request, options))),
    );
    call.on("end", () => call.end());
  };
}

/** The answer to one request, both as bytes; a request that cannot be read is answered as such. */
export function reflectionAnswer(
  request: Uint8Array,
  { services, files }: ReflectionOptions,
): Uint8Array {
  let asked: ReadonlyMap<number, Uint8Array>;
  try {
    asked = decodeMessage(request);
  } catch {
    return encodeMessage([[RESPONSE.request, request], failure(INVALID_ARGUMENT, "cut request")]);
  }
  const found = (file: DefinitionFile | undefined, what: string): Field =>
    file === undefined
      ? failure(NOT_FOUND, `${what} is not known here`)
      : [RESPONSE.files, encodeMessage([[1, file.bytes]])];
  const answer = (): Field => {
    if (asked.has(REQUEST.list)) {
      return [
        RESPONSE.services,
        encodeMessage(services.map((name) => [1, encodeMessage([[1, name]])])),
      ];
    }
    if (asked.has(REQUEST.file)) {
      const name = textOf(asked, REQUEST.file);
      return found(files.find((file) => file.name === name), `file ${name}`);
    }
    if (asked.has(REQUEST.symbol)) {
      const name = textOf(asked, REQUEST.symbol);
      return found(files.find(({ symbols }) => symbols.includes(name)), name);
    }
    return failure(NOT_FOUND, "nothing here is extended");
  };
  return encodeMessage([
    [RESPONSE.host, textOf(asked, REQUEST.host)],
    [RESPONSE.request, request],
    answer(),
  ]);
}

function failure(code: number, message: string): Field {
  return [RESPONSE.error, encodeMessage([[1, code], [2, message]])];
}
