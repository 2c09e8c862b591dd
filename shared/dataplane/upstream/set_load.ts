/**
 * The circuit breakers of one endpoint set: how many requests, waiting requests and connections it
 * may have over all of its endpoints. Connections are shared by address; each counts for the set
 * whose request opened it.
 */
import type { Limits } from "../request/limits.ts";
import { Breaker } from "./breaker.ts";

/** The settings that this reads. */
export type LoadLimits = Pick<
  Limits,
  "maxBackendRequests" | "maxBackendPendingRequests" | "maxBackendConnections"
>;

/** Label `breaker` of `lgw_proxy_circuit_breaker_opens_total`. */
export type BreakerName =
  /** Requests that are not over. */
  | "requests"
  /** Requests that wait for a connection. */
  | "pending"
  | "connections"
  /** Requests that wait for a connection to one endpoint. */
  | "endpoint_pending";

export class SetLoad {
  /** Requests from the choice of an endpoint to the end of their answer; tunnels are not. */
  requests = 0;
  pending = 0;
  connections = 0;
  /** How often each began to refuse. */
  readonly opens: Record<BreakerName, number> = {
    requests: 0,
    pending: 0,
    connections: 0,
    endpoint_pending: 0,
  };
  readonly #limits: LoadLimits;
  readonly #requests = new Breaker();
  readonly #pending = new Breaker();
  readonly #connections = new Breaker();

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /** Counts a request, unless there are too many; `requests` goes down when it is over. */
  admitRequest(): boolean {
    if (this.requests >= this.#limits.maxBackendRequests) {
      if (this.#requests.refused()) this.opens.requests++;
      return false;
    }
    this.#requests.taken();
    this.requests++;
    return true;
  }

  /**
   * May a request wait? Counts nothing: `pending` is the queue's to keep.
   *
   * @param full there can be no connection for it now
   */
  mayWait(full: boolean): boolean {
    if (full && this.pending >= this.#limits.maxBackendPendingRequests) {
      if (this.#pending.refused()) this.opens.pending++;
      return false;
    }
    this.#pending.taken();
    return true;
  }

  /** May a connection be opened? Counts nothing. */
  mayConnect(): boolean {
    if (this.connections >= this.#limits.maxBackendConnections) {
      if (this.#connections.refused()) this.opens.connections++;
      return false;
    }
    this.#connections.taken();
    return true;
  }
}
