/** Who gets a TLS connection: the certificate to show, and what the client has to show. */
import type { SecureContext } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import type { PortTable, RouteTable, TableListener } from "../table/types.ts";
import type { TrustBundles } from "../upstream/trust_bundles.ts";
import { type ShownCertificate, VerifiedClients } from "./client_certificates.ts";
import type { CertificateStore } from "./tls_contexts.ts";
import type { TlsTaker } from "./mixed_server.ts";
import type { BoundSocket, BoundTls } from "./tls_server.ts";

export interface TlsAdmissionOptions {
  certificates: CertificateStore;
  trust: TrustBundles;
  clock: Pick<Clock, "now">;
}

/** Judges by the table given with each call: what it says now counts, not what it said at accept. */
export class TlsAdmission {
  readonly #options: TlsAdmissionOptions;
  readonly #verified = new VerifiedClients();

  constructor(options: TlsAdmissionOptions) {
    this.#options = options;
  }

  /** Is everything here that the listeners and clusters of a table need? */
  complete({ slots, trust }: RouteTable): boolean {
    const { certificates, trust: bundles } = this.#options;
    for (const slot of slots) if (!certificates.has(slot)) return false;
    for (const slot of trust) if (!bundles.has(slot)) return false;
    return true;
  }

  /** What answers a server name; undefined closes the handshake. */
  contextFor(table: PortTable | undefined, serverName: string): SecureContext | undefined {
    const { certificates, trust } = this.#options;
    const listener = table && listenerForName(table, serverName);
    if (listener === undefined) return undefined;
    const { clientValidation } = listener;
    const authorities = clientValidation === null ? null : trust.of(clientValidation.trust);
    // Without the authorities nobody could be told from anybody else.
    if (authorities === undefined) return undefined;
    return certificates.choose(listener.certificates, serverName, authorities);
  }

  /** May a client that finished its handshake stay? */
  admits(
    table: PortTable | undefined,
    serverName: string,
    show: () => ShownCertificate,
  ): boolean {
    const { trust, clock } = this.#options;
    const listener = table && listenerForName(table, serverName);
    if (listener === undefined) return false;
    const { clientValidation } = listener;
    if (clientValidation === null || !clientValidation.required) return true;
    const authorities = trust.of(clientValidation.trust);
    return authorities !== undefined && this.#verified.admits(show(), authorities, clock.now());
  }
}

/** Listeners of a port ask for certificates together: the request comes before the server name. */
export function askForCertificates(
  bound: BoundSocket | BoundTls | undefined,
  table: PortTable | undefined,
): void {
  if (bound === undefined || table === undefined || !("askForCertificates" in bound)) return;
  bound.askForCertificates(
    table.listeners.some(({ clientValidation }) => clientValidation !== null),
  );
}

/** Who takes a connection on a port that TLS and HTTPS listeners share. */
export function takerOf(table: PortTable | undefined, serverName: string): TlsTaker {
  const named = table?.listenerFor(serverName);
  // Without a name a listener of HTTPS answers, as on a port of its own; one of TLS does not.
  const listener = named ??
    (serverName === ""
      ? table?.listeners.findLast(({ protocol }) => protocol === "HTTPS")
      : undefined);
  if (listener === undefined) return "nobody";
  if (listener.protocol === "HTTPS") return "https";
  const decision = table?.stream(serverName);
  if (decision?.kind !== "route") return "nobody";
  if (listener.passthrough) return "passthrough";
  // Once the handshake is over, a close would come with an alert.
  const { backends } = decision.candidate.rule;
  return backends.some(({ weight, error }) => weight > 0 && error === "") ? "tls" : "nobody";
}

/** Without a server name the least specific listener answers: the one meant for every host. */
function listenerForName(table: PortTable, serverName: string): TableListener | undefined {
  if (serverName !== "") return table.listenerFor(serverName);
  return table.listenerFor("") ?? table.listeners.at(-1);
}
