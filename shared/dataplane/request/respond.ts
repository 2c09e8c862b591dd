/** Answers that the proxy gives itself. */
import { type FailureCause, FAILURES } from "./failures.ts";
import { speaksGrpc, trailersOnly } from "./grpc.ts";
import type { RequestRecord } from "./record.ts";
import type { HeaderList } from "./types.ts";

const encoder = new TextEncoder();

/** The answer for a failure: status and one line of text, nothing of what is inside. */
export function failureResponse(record: RequestRecord, cause: FailureCause): RequestRecord {
  const failure: { status: number; text: string; close?: true } = FAILURES[cause];
  record.reason = cause;
  const { web } = record;
  if (web !== null || speaksGrpc(record.request)) {
    record.toldCall = true;
    record.status = 200;
    record.headers = trailersOnly(cause, failure.text);
    web?.translateFailure(record.headers);
    record.body = null;
    record.close = failure.close === true;
    return record;
  }
  record.status = failure.status;
  record.headers = ["content-type", "text/plain; charset=utf-8"];
  record.body = encoder.encode(`${failure.text}\n`);
  // RFC 9110 §15.5.6: 405 names what is allowed here; which methods a route takes is not known.
  if (failure.status === 405) record.headers.push("allow", "GET, HEAD, POST, PUT, PATCH, DELETE");
  // Without them a page cannot even tell that its request failed.
  record.cors?.answer(record.headers);
  record.close = failure.close === true;
  return record;
}

/** The answer to a CORS preflight. */
export function preflightResponse(record: RequestRecord, headers: HeaderList): RequestRecord {
  record.status = 204;
  record.headers = headers;
  record.body = null;
  return record;
}

/** The answer of a redirect filter. */
export function redirectResponse(
  record: RequestRecord,
  options: { status: number; location: string },
): RequestRecord {
  record.status = options.status;
  record.headers = ["location", options.location, "content-type", "text/plain; charset=utf-8"];
  record.body = encoder.encode(`redirect to ${options.location}\n`);
  return record;
}
