/** The ways in which the load asks; a new protocol is a new row. */
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

/** Plaintext: half on kept connections, half on new ones. */
export const PLAIN_CLIENTS: readonly ClientKind[] = [
  { name: "HTTP/1.1, kept connections", share: 40, keep: true, open: plain },
  { name: "HTTP/1.1, new connections", share: 40, keep: false, open: plain },
];

/** The same over TLS; handshakes are dear on both sides, so there are few. */
export function tlsClients(
  { serverName, authority }: { serverName: string; authority: string },
): readonly ClientKind[] {
  const open = () => new Probe("127.0.0.1", LOCAL_TLS_PORT, { tls: { serverName, authority } });
  return [
    { name: "HTTP/1.1 over TLS, kept connections", share: 15, keep: true, open },
    { name: "HTTP/1.1 over TLS, new connections", share: 5, keep: false, open },
  ];
}
