/**
 * `deno task test:cluster`: the failures of a deployed gateway, against the cluster of KUBECONFIG.
 * The last line is `N passed, N failed`; without a gateway to test it is a failure that says why.
 *
 * `--restarts N`: how often the backend is restarted (20); `--pre-stop S`: seconds that its pods go on
 * after they were told to end (3). Other arguments go to `deno test`, such as `--filter <name>` or
 * the files to run.
 */
import { errorMessage } from "../../shared/lib/log.ts";
import { systemClock } from "../../shared/lib/clock.ts";
import { openAccess } from "../../controller/source/kubernetes/access.ts";
import { KubeApi } from "../../controller/source/kubernetes/api.ts";
import { kubeconfigPath } from "./rig.ts";
import { CONTROLLER, podsOf, PROXY } from "./system.ts";

/** Milliseconds. */
const REACHED = 5_000;
const FOLDER = new URL(".", import.meta.url).pathname;
/** What the tests change is shared: one after the other. */
const NEEDED = { [CONTROLLER]: 2, [PROXY]: 2 };

/** Throws with a sentence that says what is missing. */
async function requireGateway(): Promise<void> {
  const path = kubeconfigPath();
  const how = "deno task cluster up, deno task images, deno task cluster load, " +
    "deno task deploy --overlay one-node";
  let api: KubeApi;
  try {
    const access = await openAccess({ kind: "kubeconfig", path }, systemClock);
    api = new KubeApi({ access, userAgent: "light-k8s-gateway-e2e" });
    await api.request({ method: "GET", path: "/version", timeout: REACHED });
  } catch (error) {
    throw new Error(`no cluster behind ${path} (${errorMessage(error)}): ${how}`);
  }
  for (const [app, needed] of Object.entries(NEEDED)) {
    const ready = (await podsOf(api, app)).filter((pod) => pod.ready && !pod.terminating);
    if (ready.length !== needed) {
      throw new Error(`${ready.length} of ${needed} pods of ${app} are ready: ${how}`);
    }
  }
}

async function testFiles(): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (name.endsWith("_e2e.ts")) files.push(`${FOLDER}${name}`);
  }
  return files.sort();
}

/** The number after a flag, which is taken out of the arguments. */
function take(args: string[], flag: string, otherwise: string): string {
  const at = args.indexOf(flag);
  const value = at < 0 ? otherwise : args.splice(at, 2)[1] ?? "";
  if (!/^\d+$/.test(value)) throw new Error(`${flag}: a number is missing`);
  return value;
}

async function run(args: string[]): Promise<boolean> {
  const restarts = take(args, "--restarts", "20");
  const preStop = take(args, "--pre-stop", "3");
  const files = args.some((arg) => arg.endsWith(".ts")) ? [] : await testFiles();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--allow-all", ...args, ...files],
    env: { NO_COLOR: "1", LGW_E2E_RESTARTS: restarts, LGW_E2E_PRE_STOP: preStop },
    stdout: "piped",
  }).spawn();
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  const { success } = await child.status;
  const [, passed = "0", failed = "0"] =
    /\| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/.exec(output) ?? [];
  console.log(`${passed} passed, ${!success && failed === "0" ? 1 : failed} failed`);
  return success && passed !== "0";
}

try {
  await requireGateway();
  Deno.exit(await run([...Deno.args]) ? 0 : 1);
} catch (error) {
  console.log(errorMessage(error));
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}
