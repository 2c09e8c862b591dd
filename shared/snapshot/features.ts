/**
 * What the content of a snapshot may ask of its readers, by name (`requires` of a resource). A
 * reader that does not know a name refuses the version and keeps its last good one: without the
 * name it would skip the part that it cannot read, and serve the rest as if it were the whole.
 */

/** Every name that this build understands. */
export const SNAPSHOT_FEATURES = [
  "backendTls",
  "clientCertificate",
  "clientValidation",
  "cors",
  "grpcRoute",
  "listenerTraffic",
  "mirror",
  "retry",
  "tcpRoute",
  "tlsRoute",
  "udpRoute",
] as const;

/** One of {@linkcode SNAPSHOT_FEATURES}. */
export type SnapshotFeature = typeof SNAPSHOT_FEATURES[number];
