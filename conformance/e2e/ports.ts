/**
 * The ports of the test files, which run side by side: each has ten of its own, all below the range
 * from which systems hand out ports for outgoing connections. Which ones depends on the process, so
 * that two runs on one machine do not meet. The quick start alone has the fixed ports that its users
 * see.
 */
const FIRST = 20_000;
const PORTS_PER_RUN = 180;
const RUNS = 70;

const base = FIRST + (Deno.pid % RUNS) * PORTS_PER_RUN;

export const PORTS = {
  manifests: base,
  certificates: base + 10,
  backends: base + 20,
  clients: base + 30,
  websocket: base + 35,
  slowClients: base + 40,
  hostileClients: base + 45,
  descriptors: base + 15,
  hostileBackends: base + 25,
  busAway: base + 50,
  processes: base + 60,
  secrets: base + 70,
  proxies: base + 80,
  state: base + 90,
  run: base + 100,
  externalBus: base + 110,
  workers: base + 105,
  routeFilters: base + 119,
  scaleFaults: base + 120,
  largeSnapshot: base + 125,
  diskFull: base + 130,
  controllers: base + 135,
  hostileHttp2: base + 140,
  rollingRestart: base + 55,
  tls: base + 150,
  grpcWeb: base + 153,
  grpc: base + 155,
  streams: base + 156,
  grpcStreams: base + 152,
  streamClients: base + 160,
  streamFloods: base + 170,
} as const;
