/** Bounds on what a client may cost. Every one has a counter (`lgw_proxy_limit_exceeded_total`). */
export interface Limits {
  /** Bytes of request line and headers; beyond: 431, connection closed. */
  maxHeadBytes: number;
  /** Number of header lines; beyond: 431, connection closed. */
  maxHeaders: number;
  /** Bytes of the request target; beyond: 414. */
  maxTargetBytes: number;
  /** Bytes of a request body; 0 = no bound; beyond: 413. */
  maxBodyBytes: number;
  /**
   * Open connections per proxy; beyond: accepted and closed at once. Half of the file descriptors
   * bound them as well, where that number is known.
   */
  maxConnections: number;
  /** Milliseconds after which a TLS socket that accepted nothing is tried; 0 = never. */
  acceptWatchInterval: number;
  /** Milliseconds from accept (or the first byte of a later request) to the end of the head. */
  headTimeout: number;
  /** Milliseconds without a byte of a request body before 408. */
  bodyIdleTimeout: number;
  /**
   * Milliseconds until the answer has to begin when a client has closed its sending side: it may
   * still be there (RFC 9112 §9.6), or gone.
   */
  halfClosedTimeout: number;
  /** Milliseconds that a keep-alive connection may wait for the next request. */
  keepAliveTimeout: number;
  /** Milliseconds without progress of an answer before the connection is closed. */
  responseIdleTimeout: number;
  /** Milliseconds for the TCP (and TLS) connection to an endpoint. */
  connectTimeout: number;
  /** Open connections to one endpoint; requests beyond wait. */
  maxUpstreamConnections: number;
  /** Requests that may wait for a connection to one endpoint; beyond: 503. */
  maxPendingRequests: number;
  /**
   * Requests to one backend (a Service's port, or a LightBackend) that are not over; beyond: 503.
   * Connections that switched protocols do not count.
   */
  maxBackendRequests: number;
  /** Requests that may wait for a connection, over all endpoints of a backend; beyond: 503. */
  maxBackendPendingRequests: number;
  /**
   * Open connections to all endpoints of a backend; requests beyond wait. One to each endpoint there
   * may always be.
   */
  maxBackendConnections: number;
  /**
   * Other endpoints that a request is sent to when its route says nothing of retries and it cannot
   * have been acted on, or may be repeated; 0 = none.
   */
  maxFailovers: number;
  /** Failed or broken connections in a row after which an endpoint is ejected; 0 = never. */
  ejectAfterFailures: number;
  /** The same for answers 502, 503 and 504, and for those that came too late or were no HTTP. */
  ejectAfterGatewayErrors: number;
  /** Milliseconds of a first ejection; each in a row takes twice as long. */
  ejectTime: number;
  /** Milliseconds that one takes at most. */
  maxEjectTime: number;
  /** Of the endpoints in rotation, the share that may be ejected; so a single one never is. */
  maxEjectedPercent: number;
  /** When fewer than this share of them is left, all are used, ejected or not. */
  panicPercent: number;
  /** Connections to one endpoint that switched to another protocol (WebSocket); beyond: 503. */
  maxTunnels: number;
  /** Milliseconds that such a connection, or a call (gRPC), may carry no byte. */
  tunnelIdleTimeout: number;
  /** Milliseconds that it gets to end by itself when the proxy stops. */
  tunnelDrainTimeout: number;
  /** Milliseconds that a connection of a TCPRoute or TLSRoute may carry no byte; 0 = no bound. */
  streamIdleTimeout: number;
  /** Milliseconds without a datagram in either direction after which a flow of a UDPRoute is over. */
  datagramIdleTimeout: number;
  /** Flows of one port of UDP; datagrams of further clients are dropped. */
  maxDatagramFlows: number;
  /**
   * Copies of requests (RequestMirror) that may run at a time; beyond: not copied. Fewer than the
   * connections to one endpoint, so that copies leave room for requests.
   */
  maxMirrors: number;
  /** Bytes of a streamed body that a copy may lag behind; beyond: the copy is cut. */
  maxMirrorBodyBytes: number;
  /** Milliseconds that a copy may take in all. */
  mirrorTimeout: number;
  /** Milliseconds that an upstream connection may stay idle in the pool. */
  upstreamIdleTimeout: number;
}

/** The limits that `deno task run` and the images use unless configured. */
export const DEFAULT_LIMITS: Limits = {
  maxHeadBytes: 64 * 1024,
  maxHeaders: 128,
  maxTargetBytes: 16 * 1024,
  maxBodyBytes: 0,
  maxConnections: 16_384,
  acceptWatchInterval: 10_000,
  headTimeout: 10_000,
  bodyIdleTimeout: 30_000,
  halfClosedTimeout: 30_000,
  keepAliveTimeout: 60_000,
  responseIdleTimeout: 60_000,
  connectTimeout: 5_000,
  maxUpstreamConnections: 1_024,
  maxPendingRequests: 1_024,
  maxBackendRequests: 32_768,
  maxBackendPendingRequests: 8_192,
  maxBackendConnections: 8_192,
  maxFailovers: 2,
  ejectAfterFailures: 5,
  ejectAfterGatewayErrors: 10,
  ejectTime: 5_000,
  maxEjectTime: 60_000,
  maxEjectedPercent: 50,
  panicPercent: 50,
  maxTunnels: 4_096,
  tunnelIdleTimeout: 300_000,
  tunnelDrainTimeout: 5_000,
  streamIdleTimeout: 3_600_000,
  datagramIdleTimeout: 30_000,
  maxDatagramFlows: 2_048,
  maxMirrors: 256,
  maxMirrorBodyBytes: 256 * 1024,
  mirrorTimeout: 30_000,
  upstreamIdleTimeout: 30_000,
};
