/** What `bench grpc` compares: the proxy and Envoy with the same thousand methods, one backend. */
import { envoyProgram } from "../../programs/envoy.ts";
import { GO_PROGRAMS, goProgram } from "../../programs/go.ts";
import type { Program } from "../../programs/program.ts";
import { CLIENT_CORE, ENVOY_PORT, openContest, startEnvoy, startOwn } from "../cpu_contestants.ts";
import type { Contest } from "../cpu_contestants.ts";
import { ECHOED, GRPC_ROWS, SERVICE } from "./rows.ts";
import { grpcRouteManifest, HOST, writeManifests } from "../manifests.ts";
import { envoyConfig } from "../peers/envoy.ts";
import { spawn, waitForPort } from "../process.ts";
import { h2loadProgram } from "../tools.ts";

const BACKEND_PORT = 18_206;
const ROUTES = 1000;
/** The route that is asked, and what its filter sets. */
const MEDIAN = ROUTES / 2;
export const MEDIAN_HEADER = headerOf(MEDIAN);

export interface GrpcTools {
  envoy: Program;
  h2load: Program;
  grpcurl: Program;
  server: Program;
}

/** Every tool, fetched or built when it is missing. */
export async function getGrpcTools(onProgress: (message: string) => void): Promise<GrpcTools> {
  const options = { env: Deno.env, onProgress };
  return {
    envoy: await envoyProgram(options),
    h2load: await h2loadProgram(options),
    grpcurl: await goProgram(GO_PROGRAMS.grpcurl, options),
    server: await goProgram(GO_PROGRAMS.grpcInteropServer, options),
  };
}

/** Starts the backend and the contestants, each accepting when this resolves. */
export async function startGrpcContest(tools: GrpcTools): Promise<Contest> {
  return await openContest(async (arena) => {
    const { folder, tls, started } = arena;
    // It cannot be told an address: for as long as this takes it listens on all of them.
    const { server } = tools;
    const backend = spawn(server.path, ["--port", String(BACKEND_PORT)], { core: CLIENT_CORE });
    started.push(backend);
    await waitForPort(BACKEND_PORT, backend);
    const manifests = `${folder}/manifests`;
    await Deno.mkdir(manifests);
    await writeManifests(manifests, {
      routes: 0,
      backends: { backend: BACKEND_PORT },
      protocol: "h2c",
      tls,
    });
    for (let i = 0; i < ROUTES; i++) {
      const route = grpcRouteManifest({
        name: `g${i}`,
        host: HOST,
        methods: methodsOf(i),
        backends: { backend: 1 },
        header: { name: ECHOED, value: headerOf(i) },
      });
      await Deno.writeTextFile(`${manifests}/route-${i}.yaml`, route);
    }
    const config = envoyConfig({
      routes: Array.from({ length: ROUTES }, (_, i) =>
        methodsOf(i).map(({ service, method }) => ({
          match: { path: `/${service}/${method}` },
          header: { key: ECHOED, value: headerOf(i) },
        }))).flat(),
      port: ENVOY_PORT,
      backend: { port: BACKEND_PORT, protocol: "HTTP/2" },
      tls: arena.files,
    });
    const envoy = await startEnvoy(tools, { arena, config });
    return [await startOwn(arena, manifests), envoy];
  });
}

/** The methods of a route: of the median one those that are called, of any other one of its own. */
function methodsOf(route: number): { service: string; method: string }[] {
  if (route !== MEDIAN) return [{ service: `bench.example.Service${route}`, method: "Call" }];
  const called = new Set(GRPC_ROWS.map(({ method }) => method));
  return [...called].map((method) => ({ service: SERVICE, method }));
}

function headerOf(route: number): string {
  return `route-${route}`;
}
