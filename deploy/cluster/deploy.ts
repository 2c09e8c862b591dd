/**
 * `deno task deploy`: the gateway into the cluster of the current kubeconfig, and back when it is
 * ready. Run again, it changes what is different and keeps keys and data.
 */
import { Command } from "commander";
import { errorMessage } from "../../shared/lib/log.ts";
import { Buffer } from "node:buffer";
import { busConfig, generateKeys, nkeyOfSeed, secretManifests } from "./keys.ts";
import { parseController } from "../../shared/config/settings.ts";
import { findKubectl, type Kubectl } from "../../shared/lib/kubectl.ts";

const NAMESPACE = "light-k8s-gateway";
const FLEET = "default";
const MANIFESTS = new URL("../manifests", import.meta.url).pathname;
/** Secrets that belong together: a part of them would fit to nothing. */
const SECRETS = ["bus-server", "controller-keys", "proxy-keys", "reader-keys"];

interface DeployOptions {
  overlay: string;
  timeout: string;
  restart?: boolean;
}

/** The label of what the controller makes for Gateways: its name, with `_` for the slash. */
const OWN_OBJECTS = "gateway.lightapi.net/controller=networknt.com_light-k8s-gateway";

const OWN_KINDS = ["gatewayparameters", "lightbackends"];

/** What has to be ready, in the order in which it can be. */
const WORKLOADS = ["statefulset/nats", "deployment/controller", "deployment/proxy"];

async function deploy(
  { overlay, timeout, restart = false }: DeployOptions,
  tell: (line: string) => void,
) {
  const kubectl = await findKubectl(Deno.env);
  tell(`cluster: ${(await kubectl(["config", "current-context"])).trim()}`);
  await requireGatewayApi(kubectl);
  await kubectl(["apply", "-f", `${MANIFESTS}/base/namespace.yaml`]);
  // Objects of our kinds follow: the API server must know the kinds by then.
  await kubectl(["apply", "--server-side", "--force-conflicts", "-k", `${MANIFESTS}/crds`]);
  const crds = OWN_KINDS.map((plural) => `crd/${plural}.gateway.lightapi.net`);
  await kubectl(["wait", "--for=condition=Established", ...crds, "--timeout=60s"]);
  await ensureKeys(kubectl, tell);
  await removeHeadlessBus(kubectl, tell);
  tell(`applying ${overlay}`);
  await kubectl(["apply", "--server-side", "--force-conflicts", "-k", `${MANIFESTS}/${overlay}`]);
  await ensureBusConfig(kubectl, tell);
  if (restart) await kubectl(["rollout", "restart", "-n", NAMESPACE, ...WORKLOADS]);
  for (const workload of WORKLOADS) {
    tell(`waiting for ${workload}`);
    try {
      await kubectl(["rollout", "status", "-n", NAMESPACE, workload, `--timeout=${timeout}s`]);
    } catch (error) {
      throw new Error(`${errorMessage(error)}\n${await whatHappened(kubectl)}`);
    }
  }
  const namespaces = await watchedNamespaces(kubectl);
  if (namespaces.length > 0) {
    // Who may not read classes writes no status of theirs.
    return tell(`ready, for Gateways in ${namespaces.join(", ")}`);
  }
  tell("waiting for the GatewayClass");
  await kubectl([
    "wait",
    "--for=condition=Accepted",
    "gatewayclass/light-k8s-gateway",
    `--timeout=${timeout}s`,
  ]);
  tell("ready");
}

async function requireGatewayApi(kubectl: Kubectl): Promise<void> {
  const found = await kubectl(["get", "crd", "gateways.gateway.networking.k8s.io", "-o", "name"], {
    mayFail: true,
  });
  if (found.trim() !== "") return;
  throw new Error(
    "the cluster has no Gateway API; install its CRDs (v1.7.0, standard or experimental) first",
  );
}

/** A Service can never get an address that it was made without. */
async function removeHeadlessBus(kubectl: Kubectl, tell: (line: string) => void): Promise<void> {
  const args = ["get", "service", "-n", NAMESPACE, "nats", "--ignore-not-found"];
  const address = await kubectl([...args, "-o", "jsonpath={.spec.clusterIP}"]);
  if (address !== "None") return;
  tell("making the Service of the bus anew");
  await kubectl(["delete", "service", "-n", NAMESPACE, "nats"]);
}

/** The namespaces that the deployed controller is limited to; none = the whole cluster. */
async function watchedNamespaces(kubectl: Kubectl): Promise<string[]> {
  const path = "jsonpath={.data.settings\\.json}";
  const text = await kubectl(["get", "configmap", "-n", NAMESPACE, "controller", "-o", path]);
  const { watchNamespaces } = parseController(JSON.parse(text));
  return [...watchNamespaces];
}

async function ensureKeys(kubectl: Kubectl, tell: (line: string) => void): Promise<void> {
  const args = ["get", "secret", "-n", NAMESPACE, "--ignore-not-found", "-o", "name", ...SECRETS];
  const there = (await kubectl(args)).split("\n").filter((line) => line !== "");
  if (there.length === SECRETS.length) return;
  if (there.length > 0) {
    throw new Error(
      `only ${there.join(", ")} of ${SECRETS.join(", ")} in namespace ${NAMESPACE}: restore the ` +
        "others, or delete these to begin with new keys",
    );
  }
  tell("making keys");
  const keys = await generateKeys({ namespace: NAMESPACE, fleet: FLEET, now: new Date() });
  // Through standard input: keys belong into no file, and into no list of processes.
  await kubectl(["create", "-f", "-"], { stdin: secretManifests(keys, NAMESPACE) });
}

/** What users of the bus may do belongs to the version that is deployed, not to the keys. */
async function ensureBusConfig(kubectl: Kubectl, tell: (line: string) => void): Promise<void> {
  const read = async (secret: string, file: string) => {
    const path = `{.data.${file.replaceAll(".", "\\.")}}`;
    const args = ["get", "secret", "-n", NAMESPACE, secret, "-o", `jsonpath=${path}`];
    return new TextDecoder().decode(Buffer.from(await kubectl(args), "base64"));
  };
  const nkeyOf = async (secret: string) => nkeyOfSeed(await read(secret, "bus.seed"));
  const config = busConfig({
    fleet: FLEET,
    nkeys: {
      controller: await nkeyOf("controller-keys"),
      proxy: await nkeyOf("proxy-keys"),
      reader: await nkeyOf("reader-keys"),
    },
  });
  if (await read("bus-server", "nats.conf") === config) return;
  tell("configuring the bus anew");
  const data = { "nats.conf": Buffer.from(config).toString("base64") };
  await kubectl([
    ...["patch", "secret", "-n", NAMESPACE, "bus-server", "--type=merge"],
    ...["-p", JSON.stringify({ data })],
  ]);
  await kubectl(["rollout", "restart", "-n", NAMESPACE, "statefulset/nats"]);
}

/** The states of the pods, and the last lines of those that failed. */
async function whatHappened(kubectl: Kubectl): Promise<string> {
  const options = { mayFail: true };
  const pods = await kubectl(["get", "pods", "-n", NAMESPACE, "-o", "wide"], options);
  const events = await kubectl([
    "get",
    "events",
    "-n",
    NAMESPACE,
    "--field-selector=type=Warning",
    "--sort-by=.lastTimestamp",
  ], options);
  return `${pods}\n${events.split("\n").slice(-10).join("\n")}`;
}

async function remove(overlay: string, tell: (line: string) => void): Promise<void> {
  const kubectl = await findKubectl(Deno.env);
  // The class first: the controller takes its Services away while it still can. Without one there
  // is nobody to wait for.
  await kubectl(["delete", "gatewayclass", "light-k8s-gateway", "--ignore-not-found"]);
  tell("waiting for the Services of Gateways to go");
  const own = ["service", "--all-namespaces", `--selector=${OWN_OBJECTS}`];
  await kubectl(["wait", ...own, "--for=delete", "--timeout=30s"], { mayFail: true });
  tell("removing");
  await kubectl(["delete", "-k", `${MANIFESTS}/${overlay}`, "--ignore-not-found"]);
  // With rights in single namespaces the controller was not told of its class.
  const left = ["service,endpointslice", "--all-namespaces", `--selector=${OWN_OBJECTS}`];
  await kubectl(["delete", ...left, "--ignore-not-found"]);
}

if (import.meta.main) {
  const program = new Command("deploy")
    .description("Deploys light-k8s-gateway into the cluster of the current kubeconfig.")
    .option("--overlay <name>", "folder of deploy/manifests to apply", "base")
    .option("--timeout <seconds>", "how long each workload may take to be ready", "180")
    .option("--restart", "start every pod anew, for images that were loaded under the same tag")
    .option("--remove", "take everything away again, keys included");
  program.parse(Deno.args, { from: "user" });
  const options = program.opts<DeployOptions & { remove?: boolean }>();
  try {
    if (options.remove) await remove(options.overlay, console.error);
    else await deploy(options, console.error);
  } catch (error) {
    console.error(errorMessage(error));
    Deno.exit(1);
  }
}
