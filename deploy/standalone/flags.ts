/** The least that each process may do, as flags of Deno. */
import { fileBusFolder } from "../../shared/bus/open_bus.ts";
import { hubSocket } from "../../shared/bus/transport_file.ts";

/** A worker reads its modules when it starts, with the permissions of the process. */
const WORKER_MODULES = new URL("../../shared", import.meta.url).pathname;

export interface ControllerReach {
  manifests: readonly string[];
  stateDir: string;
  busUrl: string;
}

/** The flags of the controller: what it listens and connects to, reads and writes. */
export function controllerFlags({ manifests, stateDir, busUrl }: ControllerReach): string[] {
  const folder = fileBusFolder(busUrl);
  const bus = folder === undefined ? new URL(busUrl).hostname : `unix:${hubSocket(folder)}`;
  return [
    `--allow-net=127.0.0.1,localhost,${bus}`,
    `--allow-read=${[...manifests, stateDir].join(",")}`,
    `--allow-write=${stateDir}`,
    // Debugging switches of the YAML parser, which it looks up by itself.
    "--allow-env=LOG_TOKENS,LOG_STREAM",
  ];
}

export interface ProxyReach {
  stateDir: string;
  busUrl: string;
  unixSockets: readonly string[];
}

/** The flags of a proxy: the network, its own state, and sockets that were named. */
export function proxyFlags({ stateDir, busUrl, unixSockets }: ProxyReach): string[] {
  const bus = fileBusFolder(busUrl);
  return [
    "--allow-net",
    `--allow-read=${
      [stateDir, WORKER_MODULES, ...unixSockets, ...bus === undefined ? [] : [bus]].join(",")
    }`,
    // The folder of a bus is read; writing is for its socket, and for sockets of backends.
    `--allow-write=${
      [stateDir, ...unixSockets, ...bus === undefined ? [] : [hubSocket(bus)]].join(",")
    }`,
  ];
}
