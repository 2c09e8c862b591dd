/** The ways in which the load asks; a new protocol is a new row. */
import { Http2Probe } from "./http2_probe.ts";
import { LOCAL_PORT, LOCAL_TLS_PORT } from "./manifests.ts";
import { Probe } from "./probe.ts";
import type { ProbeResponse } from "./probe.ts";

/** Sends one request at a time. */
export interface Client {
  get(path: string, host: string): Promise<ProbeResponse>;
  close(): void;
}

export interface ClientKind {
  name: string;
  /** Out of a hundred requests; the kinds in use are put in proportion. */
  share: number;
  /** Asked again and again, or closed after one answer. */
  keep: boolean;
  open(): Client;
}

const plain = () => new Probe("127.0.0.1", LOCAL_PORT);
const h2c = () => new Http2Probe("127.0.0.1", LOCAL_PORT);

/** Plaintext: kept connections and new ones. */
export const PLAIN_CLIENTS: readonly ClientKind[] = [
  { name: "HTTP/1.1, kept connections", share: 30, keep: true, open: plain },
  { name: "HTTP/1.1, new connections", share: 25, keep: false, open: plain },
  { name: "h2c, kept connections", share: 15, keep: true, open: h2c },
  { name: "h2c, new connections", share: 5, keep: false, open: h2c },
];

/** The same over TLS; handshakes are dear on both sides, so there are few. */
export function tlsClients(
  { serverName, authority }: { serverName: string; authority: string },
): readonly ClientKind[] {
  const tls = { serverName, authority };
  const http1 = () => new Probe("127.0.0.1", LOCAL_TLS_PORT, { tls });
  const http2 = () => new Http2Probe("127.0.0.1", LOCAL_TLS_PORT, { tls });
  return [
    { name: "HTTP/1.1 over TLS, kept connections", share: 10, keep: true, open: http1 },
    { name: "HTTP/1.1 over TLS, new connections", share: 2.5, keep: false, open: http1 },
    { name: "HTTP/2 over TLS, kept connections", share: 10, keep: true, open: http2 },
    { name: "HTTP/2 over TLS, new connections", share: 2.5, keep: false, open: http2 },
  ];
}
