/** One request on an HTTP/2 connection, and its answer. */
import { StreamError } from "../http2/errors.ts";
import { speaksGrpc } from "../request/grpc.ts";
import type { FieldBlock } from "../http2/hpack_decoder.ts";
import { InboundBody } from "../http2/inbound_body.ts";
import type { BodySource } from "../http2/inbound_body.ts";
import { trailerList } from "../http2/message_head.ts";
import type { RequestHead } from "../http2/message_head.ts";
import { ErrorCode } from "../http2/protocol.ts";
import { sendBody } from "../http2/send_body.ts";
import type { Fields } from "../http2/sender.ts";
import type { Stream, StreamFailure, StreamOwner } from "../http2/stream.ts";
import { RequestBodyError } from "../request/body.ts";
import type { BodyReader, HeaderList, InboundRequest, OutboundResponse } from "../request/types.ts";
import { headerIndex } from "../table/match.ts";
import { Deadline } from "../upstream/deadlines.ts";
import type { Http2Connection } from "./http2_connection.ts";

export class ServerStream implements StreamOwner, BodySource {
  readonly #connection: Http2Connection;
  readonly #stream: Stream;
  #request: InboundRequest | null = null;
  #body: InboundBody | null = null;
  #response: OutboundResponse | null = null;
  #bytes = 0;
  /** `Expect: 100-continue`, and nothing was said to it yet. */
  #expectContinue = false;
  #answering = false;
  /** After a 101 to an extended CONNECT: both directions go on, each to its own end. */
  #tunnel = false;
  /** Of waiting for the request's body. */
  #silence: Deadline | null = null;

  constructor(connection: Http2Connection, id: number) {
    this.#connection = connection;
    this.#stream = connection.session.add(id, this);
  }

  /** Hands the request to the core. */
  begin(head: RequestHead, endStream: boolean): void {
    const { info, options, session } = this.#connection;
    const stream = this.#stream;
    let body: InboundBody | null = null;
    stream.expected = head.contentLength;
    if (endStream) {
      if (head.contentLength > 0) {
        return session.reset(stream, ErrorCode.PROTOCOL_ERROR, "content-length without a body");
      }
      stream.remoteClosed = true;
    } else {
      body = new InboundBody(head.contentLength, this);
      this.#expectContinue = head.expectContinue;
    }
    stream.body = this.#body = body;
    const tunnel = head.protocol !== "" && body !== null;
    const request: InboundRequest = {
      connection: info,
      method: head.method,
      target: head.path,
      authority: head.authority,
      httpVersion: "2",
      headers: head.headers,
      // What follows an extended CONNECT is no body of a request (RFC 8441 §4).
      body: tunnel ? null : body,
      upgrade: tunnel ? { protocol: head.protocol, input: body! } : null,
      onAbort: null,
    };
    this.#request = request;
    this.#connection.running++;
    options.handler(request).then((response) => this.#respond(response), () => {
      // A bug of the core's: one stream pays for it.
      this.#connection.running--;
      session.reset(stream, ErrorCode.INTERNAL_ERROR, "no answer");
    });
  }

  /** Answers without the core. */
  refuse(status: number, endStream: boolean): void {
    const { session } = this.#connection;
    const stream = this.#stream;
    stream.remoteClosed = endStream;
    session.sender.headers(stream, { pseudo: [":status", String(status)], list: [] }, true);
    if (!endStream) session.reset(stream, ErrorCode.NO_ERROR, "answered already");
  }

  // ---- StreamOwner --------------------------------------------------------------------------

  headers(block: FieldBlock, endStream: boolean): void {
    // RFC 9113 §8.1: a second block ends the message.
    if (!endStream) throw new StreamError(ErrorCode.PROTOCOL_ERROR, "trailers without an end");
    if (block.tooLarge) {
      this.#connection.options.onLimit("head_bytes");
      throw new StreamError(ErrorCode.PROTOCOL_ERROR, "trailers too large");
    }
    const trailers = trailerList(block.fields);
    if (this.#body !== null && trailers.length > 0) this.#body.trailers = trailers;
  }

  ended(): void {
    this.#body?.end();
    if (this.#tunnel && this.#stream.localClosed) this.#finish(undefined);
  }

  failed(failure: StreamFailure): void {
    this.#silence?.stop();
    const aborted = failure.by !== "us" || failure.code !== ErrorCode.NO_ERROR;
    const error = new RequestBodyError(
      failure.by === "us" && failure.code === ErrorCode.PROTOCOL_ERROR ? "framing" : "aborted",
      { cause: new Error(failure.reason) },
    );
    this.#body?.fail(error);
    if (!aborted) return;
    const request = this.#request;
    this.#finish(error);
    request?.onAbort?.();
  }

  // ---- BodySource ---------------------------------------------------------------------------

  consumed(octets: number): void {
    this.#connection.session.consumed(this.#stream, octets);
  }

  dropped(octets: number): void {
    this.#connection.session.dropped(octets);
  }

  waits(waiting: boolean): void {
    if (!waiting) return this.#silence?.stop();
    // Who carries a tunnel knows how long it may be silent.
    if (this.#tunnel) return;
    const { options, session } = this.#connection;
    if (this.#expectContinue) {
      this.#expectContinue = false;
      if (!this.#answering && this.#stream.received === 0) {
        session.sender.headers(this.#stream, { pseudo: [":status", "100"], list: [] }, false);
      }
    }
    this.#silence ??= new Deadline(() => {
      options.onLimit("body_timeout");
      this.#body?.fail(new RequestBodyError("timeout"));
    });
    const { tunnelIdleTimeout, bodyIdleTimeout } = options.limits;
    // Who calls may think for long before the next message.
    const idle = this.#request !== null && speaksGrpc(this.#request)
      ? tunnelIdleTimeout
      : bodyIdleTimeout;
    options.deadlines.start(this.#silence, idle);
  }

  cancelled(): void {
    // The window stays shut; the rest is told to stop once the answer is out.
  }

  // ---- the answer ---------------------------------------------------------------------------

  #respond(response: OutboundResponse): void {
    this.#connection.running--;
    this.#answering = true;
    this.#response = response;
    if (this.#stream.gone) return this.#broken(new RequestBodyError("aborted"));
    try {
      this.#answer(response);
    } catch (error) {
      this.#broken(error);
    }
  }

  /** `close` of the answer is not needed here: a request ends with its stream. */
  #answer(response: OutboundResponse): void {
    const stream = this.#stream;
    const { options, session } = this.#connection;
    const { body } = response;
    if (response.upgrade !== "" && body !== null && "read" in body) return this.#switch(body);
    const bodyless = this.#request!.method === "HEAD" || response.status === 204 ||
      response.status === 304;
    const endStream = bodyless || body === null ||
      (body instanceof Uint8Array && body.length === 0);
    const fields = responseFields(response, { bodyless, date: options.date() });
    session.sender.headers(stream, fields, endStream);
    if (endStream) {
      if (body !== null && "cancel" in body) body.cancel();
      return this.#sent();
    }
    if (!(body instanceof Uint8Array)) return void this.#pass(body);
    this.#bytes = body.length;
    if (session.sender.data(stream, body, true)) return this.#sent();
    stream.onDrained = () => {
      if (stream.localClosed) this.#sent();
    };
  }

  /** RFC 8441 §4: what HTTP/1.1 calls 101 is a 200 here, and neither direction has a length. */
  #switch(output: BodyReader): void {
    this.#tunnel = true;
    const { session, options } = this.#connection;
    const { headers } = this.#response!;
    const extra = headerIndex(headers, "date") !== -1 ? [] : ["date", options.date()];
    const fields = { pseudo: [":status", "200"], list: headers, dropLength: true, extra };
    session.sender.headers(this.#stream, fields, false);
    void this.#pass(output);
  }

  /** Sends a body as it comes, at the client's pace. */
  async #pass(body: BodyReader): Promise<void> {
    const stream = this.#stream;
    const { sender } = this.#connection.session;
    try {
      await sendBody({ sender, stream }, body, (octets) => this.#bytes += octets);
      if (!stream.localClosed) return;
      if (!this.#tunnel) this.#sent();
      else if (stream.remoteClosed) this.#finish(undefined);
    } catch (error) {
      this.#broken(error);
    }
  }

  /** The answer is out; a request that nobody read to its end is told to stop (RFC 9113 §8.1). */
  #sent(): void {
    this.#finish(undefined);
    const stream = this.#stream;
    this.#body?.cancel();
    if (!stream.gone) {
      this.#connection.session.reset(stream, ErrorCode.NO_ERROR, "answered already");
    }
  }

  /** The answer cannot be completed. */
  #broken(error: unknown): void {
    this.#finish(error);
    this.#connection.session.reset(this.#stream, ErrorCode.INTERNAL_ERROR, "the answer broke off");
  }

  /** Tells the core how it went, once. */
  #finish(error: unknown): void {
    this.#silence?.stop();
    const response = this.#response;
    this.#request = null;
    if (response === null) return;
    this.#response = null;
    const { body } = response;
    if (error === undefined) return response.done({ bytes: this.#bytes });
    if (body !== null && "cancel" in body) body.cancel(error);
    response.done({ bytes: this.#bytes, error });
  }
}

/** The head of an answer as fields; what it says of the length is what is going to be sent. */
function responseFields(
  { status, headers, body }: OutboundResponse,
  { bodyless, date }: { bodyless: boolean; date: string },
): Fields {
  const extra: HeaderList = [];
  let dated = false;
  for (let i = 0; i < headers.length && !dated; i += 2) dated = headers[i] === "date";
  if (!dated) extra.push("date", date);
  const length = body === null ? 0 : body.length;
  if (!bodyless && length !== -1) extra.push("content-length", String(length));
  return {
    pseudo: [":status", String(status)],
    list: headers,
    // HEAD and 304 say what GET would have got; 204 must not say anything (RFC 9110 §8.6).
    dropLength: !bodyless || status === 204,
    extra,
  };
}
