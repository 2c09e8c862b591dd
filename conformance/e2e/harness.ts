/** The real stack under a test: its processes, a folder of manifests, and what it says of itself. */
import { startStack } from "../../deploy/standalone/stack.ts";
import type { Stack, StackOptions } from "../../deploy/standalone/stack.ts";
import { parseStatusReport } from "../../controller/status_report.ts";
import type { StatusReport } from "../../controller/status_report.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { GATEWAY_KEY } from "./manifests.ts";
import { eventually } from "./wait.ts";
import type { WaitOptions } from "./wait.ts";

export interface GatewayOptions extends
  Pick<
    StackOptions,
    "proxies" | "settings" | "bus" | "stateDir" | "inlineManifests" | "fleetKey" | "streamLimits"
  > {
  /** File name without `.yaml` → content. */
  files: Readonly<Record<string, string>>;
  /** `NATS_URL` of a server that is not the stack's. */
  natsUrl?: string;
}

/** What a test works with. */
export interface GatewayUnderTest {
  readonly stack: Stack;
  /** Folder that is watched. */
  readonly folder: string;
  /** Lines that the processes logged, the newest last; bounded. */
  readonly log: readonly string[];
  /** Saves a manifest as an editor would: into the same file. */
  save(name: string, content: string): Promise<void>;
  status(): Promise<StatusReport>;
  /** Values of all series of a proxy's `/metrics`, by name with labels. Default: the first. */
  metrics(proxy?: number): Promise<Map<string, number>>;
  /** The same of the controller. */
  controllerMetrics(): Promise<Map<string, number>>;
  /** Resolves when every proxy says that it is ready. */
  ready(options?: WaitOptions): Promise<void>;
}

const LOG_LINES = 60;

/** Starts a stack, runs the test against it, and ends the stack whatever happened. */
export async function withGateway(
  options: GatewayOptions,
  test: (gateway: GatewayUnderTest) => Promise<void>,
): Promise<void> {
  const temporary = await Deno.makeTempDir({ prefix: "lgw-e2e-" });
  try {
    await runGateway(options, { temporary, test });
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

async function runGateway(
  { files, natsUrl, ...options }: GatewayOptions,
  { temporary, test }: {
    temporary: string;
    test: (gateway: GatewayUnderTest) => Promise<void>;
  },
): Promise<void> {
  const folder = `${temporary}/manifests`;
  await Deno.mkdir(folder);
  const save = (name: string, content: string) =>
    Deno.writeTextFile(`${folder}/${name}.yaml`, content);
  for (const [name, content] of Object.entries(files)) await save(name, content);
  const log: string[] = [];
  const stack = await startStack({
    ...options,
    manifests: [folder],
    env: testEnvironment(temporary, natsUrl),
    onLog: (process, line) => {
      log.push(`[${process}] ${line}`);
      if (log.length > LOG_LINES) log.shift();
    },
  });
  try {
    await test({
      stack,
      folder,
      log,
      save,
      status: () => statusOf(stack),
      metrics: (proxy = 0) => metricsOf(adminOfProxy(stack, proxy)),
      controllerMetrics: () => metricsOf(stack.adminOf(stack.controller)),
      ready: (wait) => allReady(stack, wait),
    });
  } catch (error) {
    console.error(log.join("\n"));
    throw error;
  } finally {
    await stack.stop();
  }
}

/** The environment of a stack that must not meet the user's own running one. */
export function testEnvironment(
  runtimeFolder: string,
  natsUrl?: string,
): Pick<Deno.Env, "get"> {
  const passed = new Set(["PATH", "HOME", "XDG_CACHE_HOME"]);
  return {
    get: (name) => {
      if (name === "XDG_RUNTIME_DIR") return runtimeFolder;
      if (name === "NATS_URL") return natsUrl;
      return passed.has(name) ? Deno.env.get(name) : undefined;
    },
  };
}

async function statusOf(stack: Stack): Promise<StatusReport> {
  return parseStatusReport(await fetchJson(`${stack.adminOf(stack.controller)}/status`));
}

function adminOfProxy(stack: Stack, index: number): string {
  const proxy = stack.proxies[index];
  if (proxy === undefined) throw new RangeError(`there is no proxy ${index}`);
  return stack.adminOf(proxy);
}

async function metricsOf(admin: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return new Map(
    text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

async function allReady(stack: Stack, wait: WaitOptions = {}): Promise<void> {
  for (const [index, proxy] of stack.proxies.entries()) {
    await eventually(`proxy-${index} is ready`, async () => {
      const response = await fetch(`${stack.adminOf(proxy)}/readyz`);
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return true;
    }, wait);
  }
}

/** A condition of one of the Gateway's listeners; undefined while it is not there. */
export function listenerCondition(status: StatusReport, listener: string, type: string) {
  return status.objects[GATEWAY_KEY]?.listeners
    ?.find(({ name }) => name === listener)
    ?.conditions?.find((condition) => condition.type === type);
}
