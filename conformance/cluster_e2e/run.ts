/**
 * `deno task test:cluster`: the failures of a deployed gateway, against the cluster of KUBECONFIG.
 * The last line is `N passed, N failed`; without a gateway to test it is a failure that says why.
 *
 * `--restarts N`: how often the backend is restarted (20); `--pre-stop S`: seconds that its pods go on
 * after they were told to end (3); `--filter TEXT`: tests whose name has it. Other arguments name
 * what is run: `backends proxies`.
 */
import { errorMessage } from "../../shared/lib/log.ts";
import { systemClock } from "../../shared/lib/clock.ts";
import { openAccess } from "../../controller/source/kubernetes/access.ts";
import { KubeApi } from "../../controller/source/kubernetes/api.ts";
import { runDenoTest } from "../checks/count_tests.ts";
import { kubeconfigPath } from "./rig.ts";
import { CONTROLLER, podsOf, PROXY } from "./system.ts";

/** Milliseconds. */
const REACHED = 5_000;
const FOLDER = new URL(".", import.meta.url).pathname;
const SUFFIX = "_e2e.ts";
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

/** The files of the tests with these names; without a name, all of them. */
async function testFiles(names: readonly string[]): Promise<string[]> {
  const all = new Map<string, string>();
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (name.endsWith(SUFFIX)) all.set(name.slice(0, -SUFFIX.length), `${FOLDER}${name}`);
  }
  const known = [...all.keys()].sort();
  return (names.length > 0 ? names : known).map((name) => {
    const file = all.get(name);
    if (file === undefined) throw new Error(`there is no test ${name}; there are ${known}`);
    return file;
  });
}

/** The value after a flag, taken out of the arguments with it; undefined without the flag. */
function takeValue(args: string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args.splice(at, 2)[1] ?? "";
}

function takeNumber(args: string[], flag: string, otherwise: string): string {
  const value = takeValue(args, flag) ?? otherwise;
  if (!/^\d+$/.test(value)) throw new Error(`${flag}: a number is missing`);
  return value;
}

async function run(args: string[]): Promise<boolean> {
  const restarts = takeNumber(args, "--restarts", "20");
  const preStop = takeNumber(args, "--pre-stop", "3");
  const filter = takeValue(args, "--filter");
  const files = await testFiles(args);
  await requireGateway();
  const { success, summary } = await runDenoTest([
    ...filter === undefined ? [] : ["--filter", filter],
    ...files,
  ], {
    LGW_E2E_RESTARTS: restarts,
    LGW_E2E_PRE_STOP: preStop,
  });
  console.log(summary);
  return success;
}

try {
  Deno.exit(await run([...Deno.args]) ? 0 : 1);
} catch (error) {
  console.log(errorMessage(error));
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}
