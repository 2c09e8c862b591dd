/** The header list that goes to the backend, before any filter of the route. */
import { appendForwarded, FORWARDED } from "./forwarded.ts";
import { acceptsTrailers, HOP_BY_HOP, nominated } from "./hop_by_hop.ts";
import { isTraceparent, newTraceparent, randomHex } from "./trace.ts";
import type { HeaderList, InboundRequest } from "./types.ts";

/** The list with what the access log wants to know of it. */
export interface OutboundHeaders {
  headers: HeaderList;
  /** 32 hex digits. */
  traceId: string;
  correlationId: string;
  requestId: string;
}

/** What the loop below does with a header; unlisted ones are copied. */
enum Rule {
  drop,
  connection,
  te,
  traceparent,
  tracestate,
  correlation,
  requestId,
}

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...[...HOP_BY_HOP, ...FORWARDED].map((name): [string, Rule] => [name, Rule.drop]),
  ["connection", Rule.connection],
  ["te", Rule.te],
  ["traceparent", Rule.traceparent],
  ["tracestate", Rule.tracestate],
  ["x-correlation-id", Rule.correlation],
  ["x-request-id", Rule.requestId],
]);

/** Removes what ends at this hop, replaces what only this hop can know, adds what is missing. */
export function outboundHeaders(request: InboundRequest, random: () => number): OutboundHeaders {
  const from = request.headers;
  const headers: HeaderList = [];
  let connection = "";
  let traceparent = "";
  let tracestate = "";
  let correlationId = "";
  let requestId = "";
  for (let i = 0; i < from.length; i += 2) {
    const name = from[i]!;
    const value = from[i + 1]!;
    const rule = RULES.get(name);
    if (rule === undefined) {
      headers.push(name, value);
      continue;
    }
    switch (rule) {
      case Rule.drop:
        break;
      case Rule.connection:
        connection = connection === "" ? value : `${connection},${value}`;
        break;
      case Rule.te:
        if (acceptsTrailers(value)) headers.push("te", "trailers");
        break;
      case Rule.traceparent:
        // Two of them are none (W3C Trace Context §3.2.2).
        traceparent = traceparent === "" ? value : "-";
        break;
      case Rule.tracestate:
        tracestate = tracestate === "" ? value : `${tracestate},${value}`;
        break;
      case Rule.correlation:
        if (correlationId === "") headers.push(name, correlationId = value);
        break;
      case Rule.requestId:
        if (requestId === "") headers.push(name, requestId = value);
        break;
    }
  }
  if (connection !== "") {
    for (const name of nominated(connection)) removeHeader(headers, name);
  }
  let traceId: string;
  if (isTraceparent(traceparent)) {
    traceId = traceparent.slice(3, 35);
    headers.push("traceparent", traceparent);
    if (tracestate !== "") headers.push("tracestate", tracestate);
  } else {
    traceId = randomHex(4, random);
    headers.push("traceparent", newTraceparent(traceId, random));
  }
  if (correlationId === "") headers.push("x-correlation-id", correlationId = traceId);
  appendForwarded(headers, request);
  return { headers, traceId, correlationId, requestId };
}

function removeHeader(headers: HeaderList, name: string): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i] === name) headers.splice(i, 2);
}
