/**
 * The whole gateway on one machine: bus, controller and proxies as separate processes, each told
 * only what it needs. Started by `deno task run`, by the end-to-end tests and by the benchmarks.
 */
import { nkeys } from "nats";
import { accessFromUrl } from "../../shared/bus/access.ts";
import type { BusAccess } from "../../shared/bus/access.ts";
import type { BusRole } from "../../shared/bus/permissions.ts";
import { permissionsFor } from "../../shared/bus/permissions.ts";
import { launchServer } from "../../shared/bus/server/launch.ts";
import type { LaunchedServer } from "../../shared/bus/server/launch.ts";
import { fileBusUrl } from "../../shared/bus/open_bus.ts";
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";
import type { LocatedServer } from "../../shared/bus/server/locate.ts";
import type { StreamLimits } from "../../shared/bus/streams.ts";
import { FileLock } from "../../shared/lib/file_lock.ts";
import { errorMessage } from "../../shared/lib/log.ts";
import { systemClock } from "../../shared/lib/clock.ts";
import { parseInteger, parseObject } from "../../shared/lib/parse.ts";
import { runtimeFolder, unlinkStackFile, writeStackFile } from "../../shared/bus/stack_file.ts";
import { ConfigError, loadSettings } from "../../shared/config/load.ts";
import type { Settings } from "../../shared/config/settings.ts";
import { serverManifests } from "./server_gateway.ts";
import { generateFleetKey, publicHalf } from "../../shared/secrets/fleet_key.ts";
import type { FleetPrivateKey } from "../../shared/secrets/fleet_key.ts";
import { createSigner, generateSigningKey } from "../../shared/snapshot/keys.ts";
import { startChild } from "./child.ts";
import { controllerFlags, proxyFlags } from "./flags.ts";
import type { Child, ChildOptions } from "./child.ts";
import { KeptAlive } from "./keep_alive.ts";
import { inheritedOpenFiles } from "./open_files.ts";

export interface StackOptions {
  /** Files and folders of manifests. */
  manifests: readonly string[];
  /** Manifests that are in no file. */
  inlineManifests?: readonly string[];
  /** Number of proxies; the first binds 127.0.0.1, the second 127.0.0.2, … Default 1. */
  proxies?: number;
  /** What an operator configures. Default: `loadSettings()` of nothing. */
  settings?: Settings;
  /** Folder for the signing key and the streams; kept. Default: a temporary one, removed. */
  stateDir?: string;
  /**
   * What carries snapshots: a nats-server of the stack's own, or files in the state folder. Default:
   * a nats-server where one can be had. `NATS_URL` names a server of the user's instead.
   */
  bus?: BusKind;
  /** Sizes of the streams. Default: those of `shared/bus/streams.ts`. */
  streamLimits?: StreamLimits;
  /** What private keys are sealed to on the bus. Secret. Default: a new one. */
  fleetKey?: FleetPrivateKey;
  env: Pick<Deno.Env, "get">;
  /** Told what is being prepared. */
  onProgress?: (message: string) => void;
  /** Takes every log line of the processes. */
  onLog?: (process: string, line: string) => void;
}

export type BusKind = "nats" | "file";

/** A running stack. */
export interface Stack {
  readonly stateDir: string;
  readonly natsUrl: string;
  /** Undefined when `NATS_URL` names a server of the user's, and with files. */
  readonly bus: KeptAlive<LaunchedServer> | undefined;
  readonly controller: KeptAlive<Child>;
  readonly proxies: readonly KeptAlive<Child>[];
  /** `http://127.0.0.1:<port>` of a process's admin endpoint, as it is now. */
  adminOf(process: KeptAlive<Child>): string;
  stop(): Promise<void>;
}

const FLEET = "standalone";
/** Milliseconds: it has nothing to drain, and may be waiting for a bus that is gone. */
const CONTROLLER_GRACE = 3_000;
/**
 * The C library keeps more and more of what was freed unless its threshold is fixed (bytes; this is
 * the one that it starts with): memory of routes that came and went. Not for the proxy, whose
 * requests would pay for it.
 */
const CONTROLLER_ALLOCATOR = { MALLOC_TRIM_THRESHOLD_: "131072" };
const MODULES = {
  controller: new URL("../../controller/main.ts", import.meta.url).pathname,
  proxy: new URL("../../proxy/main.ts", import.meta.url).pathname,
};

/** Address that the n-th proxy binds, from 0. */
export function proxyAddress(index: number): string {
  return `127.0.0.${index + 1}`;
}

/** Starts everything and resolves when every process is up; routes follow within moments. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const builder = new StackBuilder(options);
  try {
    return await builder.start();
  } catch (error) {
    await builder.stop();
    throw error;
  }
}

interface Credentials {
  seed: string;
  nkey: string;
  role: BusRole;
}

class StackBuilder {
  readonly #options: StackOptions;
  readonly #temporary: boolean;
  readonly #linkFolder: string;
  #stateDir = "";
  #lock: FileLock | undefined;
  #bus: KeptAlive<LaunchedServer> | undefined;
  #controller: KeptAlive<Child> | undefined;
  readonly #proxies: KeptAlive<Child>[] = [];
  #stopping = false;

  constructor(options: StackOptions) {
    this.#options = options;
    this.#temporary = options.stateDir === undefined;
    this.#linkFolder = runtimeFolder(options.env);
  }

  async start(): Promise<Stack> {
    const { env, proxies: count = 1 } = this.#options;
    const settings = this.#options.settings ?? loadSettings({ env: { get: () => undefined } });
    const { controller: own, server, logLevel } = settings;
    if (server.ip !== undefined && count > 1) {
      throw new ConfigError(`server.ip: ${count} proxies need an address each; leave it out`);
    }
    const addressOf = (index: number) => server.ip ?? proxyAddress(index);
    this.#stateDir = await this.#openState();
    const users = {
      controller: credentials({ role: "controller", user: "controller" }),
      proxy: credentials({ role: "proxy", user: "proxy", fleet: FLEET }),
      reader: credentials({ role: "reader", user: "reader" }),
    };
    const external = env.get("NATS_URL");
    const url = external === undefined ? await this.#openBus(Object.values(users)) : "";
    const access = ({ seed, role }: Credentials): BusAccess =>
      external === undefined ? { url, user: role.user, seed } : accessFromUrl(external, role.user);
    const reader = access(users.reader);
    const signingKey = await this.#signingKey();
    const fleetKey = this.#options.fleetKey ?? await generateFleetKey();
    const trustedKeys = [createSigner(signingKey).publicKey];
    this.#progress("starting the controller");
    const controller = await this.#keep("controller", {
      script: MODULES.controller,
      env: CONTROLLER_ALLOCATOR,
      grace: CONTROLLER_GRACE,
      flags: controllerFlags({
        manifests: this.#options.manifests,
        stateDir: this.#stateDir,
        busUrl: reader.url,
      }),
      bootstrap: {
        fleet: FLEET,
        bus: access(users.controller),
        signingKey,
        fleetPublicKey: publicHalf(fleetKey),
        manifests: this.#options.manifests,
        inlineManifests: [
          ...this.#options.inlineManifests ?? [],
          ...await serverManifests(settings, Deno.readTextFile),
        ],
        settings: {
          ...own,
          statusAddress: own.statusAddress === "" ? addressOf(0) : own.statusAddress,
        },
        exactPorts: server.listeners.map(({ port }) => port),
        streamLimits: this.#options.streamLimits,
        logLevel,
        stateDir: this.#stateDir,
      },
    });
    this.#controller = controller;
    this.#progress(count === 1 ? "starting the proxy" : `starting ${count} proxies`);
    const openFiles = await inheritedOpenFiles();
    const started = await Promise.all(Array.from({ length: count }, async (_, index) => {
      const stateDir = `${this.#stateDir}/proxy-${index}`;
      await Deno.mkdir(stateDir, { recursive: true, mode: 0o700 });
      return await this.#keep(`proxy-${index}`, {
        script: MODULES.proxy,
        flags: proxyFlags({ stateDir, busUrl: reader.url, unixSockets: server.unixSockets }),
        bootstrap: {
          name: `proxy-${index}`,
          fleet: FLEET,
          bus: access(users.proxy),
          trustedKeys,
          fleetKey,
          bindAddress: addressOf(index),
          stateDir,
          accessLog: settings.accessLog,
          tracing: settings.tracing,
          workers: settings.workers,
          limits: settings.limits,
          logLevel,
          openFiles,
        },
      });
    }));
    this.#proxies.push(...started);
    await this.#describe({ trustedKeys, reader });
    return {
      stateDir: this.#stateDir,
      natsUrl: reader.url,
      bus: this.#bus,
      controller,
      proxies: this.#proxies,
      adminOf: (process) => adminUrl(process.current),
      stop: () => this.stop(),
    };
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    // Ctrl-C reaches every process at once: what ends by it must not be started again.
    for (const process of [...this.#proxies, this.#controller, this.#bus]) process?.letGo();
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
    await this.#controller?.stop();
    await this.#bus?.stop();
    if (this.#stateDir === "") return;
    await unlinkStackFile(this.#stateDir, this.#linkFolder);
    this.#lock?.release();
    if (this.#temporary) await Deno.remove(this.#stateDir, { recursive: true });
  }

  /** Two stacks on one folder would be two servers that write the same streams. */
  async #openState(): Promise<string> {
    const folder = this.#options.stateDir ?? await Deno.makeTempDir({ prefix: "lgw-" });
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    this.#lock = await FileLock.acquire(`${folder}/stack.lock`);
    if (this.#lock === undefined) {
      throw new ConfigError(`state folder ${folder}: another stack uses it; end that one first`);
    }
    return await Deno.realPath(folder);
  }

  /** The address of a bus of our own. */
  async #openBus(users: readonly Credentials[]): Promise<string> {
    const { bus, env } = this.#options;
    const folder = `${this.#stateDir}/bus`;
    if (bus === "file") return await fileBus(folder);
    this.#progress("looking for nats-server");
    let located: LocatedServer;
    try {
      const onProgress = (message: string) => this.#progress(message);
      located = await locateServer({ ...locateOptionsFromEnv(env), onProgress });
    } catch (error) {
      if (bus === "nats") throw error;
      this.#progress(`${errorMessage(error)}\nwithout a nats-server: snapshots travel in files`);
      return await fileBus(folder);
    }
    return await this.#startServer(located, users);
  }

  async #startServer(located: LocatedServer, users: readonly Credentials[]): Promise<string> {
    this.#progress(`starting nats-server ${located.version}`);
    let port: number | undefined;
    const bus = await KeptAlive.start({
      name: "nats-server",
      clock: systemClock,
      onEvent: (message) => this.#log("stack", message),
      start: async () => {
        const server = await launchServer({
          executable: located.path,
          stateDir: `${this.#stateDir}/nats`,
          users: users.map(({ nkey, role }) => {
            const { publish, subscribe } = permissionsFor(role);
            return {
              nkey,
              permissions: { publish: publish.allow, subscribe: subscribe.allow },
            };
          }),
          // The same port after a restart: clients come back by themselves.
          ...(port === undefined ? {} : { port }),
        });
        port = server.port;
        return server;
      },
    });
    this.#bus = bus;
    return bus.current.url;
  }

  /** The key that signs snapshots: new for a temporary stack, else kept with the state. */
  async #signingKey(): Promise<string> {
    if (this.#temporary) return generateSigningKey().privateKey;
    const path = `${this.#stateDir}/signing.key`;
    try {
      return (await Deno.readTextFile(path)).trim();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      const { privateKey } = generateSigningKey();
      await Deno.writeTextFile(path, `${privateKey}\n`, { mode: 0o600, createNew: true });
      return privateKey;
    }
  }

  #keep(
    name: string,
    options: Pick<ChildOptions, "script" | "flags" | "env" | "bootstrap" | "grace">,
  ): Promise<KeptAlive<Child>> {
    return KeptAlive.start({
      name,
      clock: systemClock,
      onEvent: (message) => this.#log("stack", message),
      start: () => startChild({ ...options, name, onLog: (line) => this.#log(name, line) }),
    });
  }

  async #describe(
    options: { trustedKeys: string[]; reader: BusAccess },
  ): Promise<void> {
    const write = () =>
      writeStackFile(this.#stateDir, {
        linkFolder: this.#linkFolder,
        content: {
          fleet: FLEET,
          reader: options.reader,
          trustedKeys: options.trustedKeys,
          controllerAdmin: adminUrl((this.#controller as KeptAlive<Child>).current),
          proxyAdmins: this.#proxies.map(({ current }) => adminUrl(current)),
        },
      });
    await write();
    // A process that was started again has another admin port.
    for (const process of [this.#controller as KeptAlive<Child>, ...this.#proxies]) {
      const follow = async () => {
        while (!this.#stopping) {
          await process.restarted;
          try {
            await write();
          } catch (error) {
            // The folder of a stack that ends goes away under it.
            if (this.#stopping) return;
            this.#log("stack", `stack.json was not written: ${errorMessage(error)}`);
          }
        }
      };
      void follow();
    }
  }

  #progress(message: string): void {
    this.#options.onProgress?.(message);
  }

  #log(process: string, line: string): void {
    this.#options.onLog?.(process, line);
  }
}

async function fileBus(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  return fileBusUrl(folder);
}

function credentials(role: BusRole): Credentials {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), nkey: pair.getPublicKey(), role };
}

function adminUrl(child: Child): string {
  const ready = parseObject(child.ready, { path: child.name, keys: ["adminPort"] });
  const port = parseInteger(ready.adminPort, { path: "adminPort", min: 1, max: 65_535 });
  return `http://127.0.0.1:${port}`;
}
