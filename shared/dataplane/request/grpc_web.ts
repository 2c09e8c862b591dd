/**
 * gRPC-Web: calls of browsers, which can neither ask for HTTP/2 nor read trailers. A GRPCRoute takes
 * them as calls; its backend gets gRPC, and the trailers go into the body as a last frame ("gRPC
 * Web", protocol differences over HTTP/2).
 */
import { headerIndex, headerValue, isGrpcContent, isGrpcWebContent } from "../table/match.ts";
import { Base64Decoder } from "./base64_decoder.ts";
import { RequestBodyError } from "./body.ts";
import { type CompiledModifier, modifyHeaders } from "./filters/header_modifier.ts";
import type { BodyReader, HeaderList, InboundRequest } from "./types.ts";

/** Of a frame that holds trailers. */
const TRAILERS_FLAG = 0x80;
const GRPC = "application/grpc";
const PREFIX = "application/grpc-web";
const TEXT = "-text";
const encoder = new TextEncoder();

/** A call in the form of gRPC-Web, on its way through. */
export class WebCall {
  readonly #contentType: string;
  /** Bodies are base64, both ways. */
  readonly #text: boolean;
  readonly #filters: readonly CompiledModifier[];
  #answer: WebAnswer | null = null;

  constructor(contentType: string, filters: readonly CompiledModifier[]) {
    this.#contentType = contentType;
    this.#filters = filters;
    this.#text = contentType.startsWith(TEXT, PREFIX.length);
  }

  /** What the backend gets: the headers of a gRPC request, in place. */
  translateHead(headers: HeaderList): void {
    let trailers = false;
    for (let i = headers.length - 2; i >= 0; i -= 2) {
      if (headers[i] === "content-type") headers[i + 1] = grpcType(this.#contentType);
      else if (headers[i] === "content-length") headers.splice(i, 2);
      else if (headers[i] === "te") trailers = true;
    }
    if (!trailers) headers.push("te", "trailers");
  }

  translateBody(body: BodyReader): BodyReader {
    return this.#text ? new DecodedBody(body) : body;
  }

  /**
   * What the client gets: headers in place, and the body with the trailers in it. What is not gRPC,
   * such as the page of another proxy, stays as it is.
   */
  translateAnswer(
    headers: HeaderList,
    body: BodyReader | Uint8Array | null,
  ): BodyReader | Uint8Array | null {
    const type = headerValue(headers, "content-type");
    if (type === undefined || !isGrpcContent(type)) return body;
    const webType = `${PREFIX}${this.#text ? TEXT : ""}${type.slice(GRPC.length)}`;
    headers[headerIndex(headers, "content-type") + 1] = webType;
    // Nothing but a head: the status is in there, where clients look as well.
    if (body === null) return null;
    for (let i = headers.length - 2; i >= 0; i -= 2) {
      if (headers[i] === "content-length") headers.splice(i, 2);
    }
    return this.#answer = new WebAnswer(body, this.#text);
  }

  /** The head of a failure that is told here: a page of another origin reads what filters let it. */
  translateFailure(headers: HeaderList): void {
    this.translateAnswer(headers, null);
    for (const filter of this.#filters) modifyHeaders(headers, filter);
  }

  /** What the backend said after its answer; empty before its end. */
  get trailers(): HeaderList {
    return this.#answer?.said ?? [];
  }
}

/**
 * The call that a request is, in the form of gRPC-Web; null for any other request.
 *
 * @param filters of the rule, for response headers
 */
export function webCall(
  { headers }: Pick<InboundRequest, "headers">,
  filters: readonly CompiledModifier[],
): WebCall | null {
  const type = headerValue(headers, "content-type");
  return type !== undefined && isGrpcWebContent(type) ? new WebCall(type, filters) : null;
}

/** `application/grpc-web-text+proto` → `application/grpc+proto`. */
function grpcType(webType: string): string {
  const rest = webType.slice(PREFIX.length);
  return `${GRPC}${rest.startsWith(TEXT) ? rest.slice(TEXT.length) : rest}`;
}

class DecodedBody implements BodyReader {
  readonly length = -1;
  readonly #source: BodyReader;
  readonly #decoder = new Base64Decoder();

  constructor(source: BodyReader) {
    this.#source = source;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = await this.#source.read();
      const octets = chunk === null ? null : this.#decoder.push(chunk);
      // Not base64, or cut in the middle of a group.
      if (octets === undefined || (octets === null && !this.#decoder.complete)) {
        const error = new RequestBodyError("framing");
        this.#source.cancel(error);
        throw error;
      }
      if (octets === null || octets.length > 0) return octets;
    }
  }

  cancel(reason?: unknown): void {
    this.#source.cancel(reason);
  }
}

class WebAnswer implements BodyReader {
  readonly length = -1;
  said: HeaderList = [];
  readonly #source: BodyReader;
  readonly #text: boolean;
  #ended = false;

  constructor(body: BodyReader | Uint8Array, text: boolean) {
    this.#source = body instanceof Uint8Array ? whole(body) : body;
    this.#text = text;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#ended) return null;
    const chunk = await this.#source.read();
    if (chunk !== null) return this.#coded(chunk);
    this.#ended = true;
    this.said = this.#source.trailers ?? [];
    return this.#coded(trailersFrame(this.said));
  }

  cancel(reason?: unknown): void {
    this.#source.cancel(reason);
  }

  /** Padded one by one: readers take padding wherever it is. */
  #coded(octets: Uint8Array): Uint8Array {
    return this.#text ? encoder.encode(octets.toBase64()) : octets;
  }
}

function whole(octets: Uint8Array): BodyReader {
  let left: Uint8Array | null = octets;
  return {
    length: octets.length,
    read: () => {
      const chunk = left;
      left = null;
      return Promise.resolve(chunk);
    },
    cancel: () => void (left = null),
  };
}

/** Flag, length in four octets, then a line for each field. */
function trailersFrame(fields: HeaderList): Uint8Array {
  let block = "";
  for (let i = 0; i < fields.length; i += 2) block += `${fields[i]}:${fields[i + 1]}\r\n`;
  const octets = encoder.encode(block);
  const frame = new Uint8Array(5 + octets.length);
  frame[0] = TRAILERS_FLAG;
  new DataView(frame.buffer).setUint32(1, octets.length);
  frame.set(octets, 5);
  return frame;
}
