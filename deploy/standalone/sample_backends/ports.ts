/** Name → port, as in `deploy/samples/protocols`. */
export const PROTOCOL_BACKENDS = {
  calls: 18111,
  cache: 18112,
  echo: 18113,
  /** UDP. */
  dns: 18114,
} as const;
