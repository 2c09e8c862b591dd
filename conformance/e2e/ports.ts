/**
 * The ports of the test files, which run side by side: each has ten of its own. Below the range
 * from which systems hand out ports for outgoing connections. The quick start alone has the fixed
 * ports that its users see.
 */
export const PORTS = {
  manifests: 20_000,
  certificates: 20_010,
  backends: 20_020,
  clients: 20_030,
  slowClients: 20_040,
  busAway: 20_050,
  processes: 20_060,
  secrets: 20_070,
  proxies: 20_080,
  state: 20_090,
  run: 20_100,
} as const;
