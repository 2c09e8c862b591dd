/** A gateway in a cluster as the command line asks it: through kubectl, with the rights of its user. */
import { Buffer } from "node:buffer";
import { asRecord } from "../source/decode/decoder.ts";
import type { StackFile } from "../../shared/bus/stack_file.ts";
import {
  findKubectlProgram,
  type ForwardedPort,
  forwardPort,
  type Kubectl,
  type KubectlEnvironment,
  kubectlOf,
} from "../../shared/lib/kubectl.ts";

const NAMESPACE = "light-k8s-gateway";
const FLEET = "default";
const LEASE = "light-k8s-gateway-controller";
const BUS_POD = "nats-0";
const BUS_PORT = 4222;
const ADMIN_PORT = 9901;

/** Runs `use` while ports of the cluster's pods lead to this machine. */
export async function withClusterStack<T>(
  env: KubectlEnvironment,
  use: (stack: StackFile) => Promise<T>,
): Promise<T> {
  const program = await findKubectlProgram(env);
  const kubectl = kubectlOf(program);
  const open: ForwardedPort[] = [];
  const forward = async (pod: string, port: number) => {
    const forwarded = await forwardPort(program, { namespace: NAMESPACE, pod, port });
    open.push(forwarded);
    return forwarded.port;
  };
  try {
    const keys = await readerKeys(kubectl);
    const leader = await get(kubectl, ["lease", LEASE]);
    const holder = asRecord(leader.spec)?.holderIdentity;
    if (typeof holder !== "string" || holder === "") throw new Error("no controller leads");
    const [controller, bus, ...proxies] = await Promise.all([
      forward(holder, ADMIN_PORT),
      forward(BUS_POD, BUS_PORT),
      ...(await proxyPods(kubectl)).map((pod) => forward(pod, ADMIN_PORT)),
    ]);
    const admin = (port: number | undefined) => `http://127.0.0.1:${port}`;
    return await use({
      fleet: FLEET,
      // The name that the bus's certificate has for this way to it.
      reader: { url: `nats://localhost:${bus}`, user: "reader", seed: keys.seed, ca: keys.ca },
      trustedKeys: [keys.signer],
      controllerAdmin: admin(controller),
      proxyAdmins: proxies.map(admin),
    });
  } finally {
    await Promise.all(open.map((forwarded) => forwarded.close()));
  }
}

async function get(kubectl: Kubectl, what: readonly string[]): Promise<Record<string, unknown>> {
  const text = await kubectl(["get", ...what, "-n", NAMESPACE, "-o", "json"]);
  return asRecord(JSON.parse(text)) ?? {};
}

async function readerKeys(kubectl: Kubectl): Promise<{ seed: string; ca: string; signer: string }> {
  const data = asRecord((await get(kubectl, ["secret", "reader-keys"])).data) ?? {};
  const text = (name: string) => {
    const value = data[name];
    if (typeof value !== "string") throw new Error(`Secret reader-keys has no ${name}`);
    return Buffer.from(value, "base64").toString().trim();
  };
  return { seed: text("bus.seed"), ca: text("bus-ca.crt"), signer: text("signing.pub") };
}

async function proxyPods(kubectl: Kubectl): Promise<string[]> {
  const selector = "app.kubernetes.io/name=light-k8s-gateway-proxy";
  const { items } = await get(kubectl, [
    ...["pods", "-l", selector],
    "--field-selector=status.phase=Running",
  ]);
  return (Array.isArray(items) ? items : []).flatMap((item) => {
    const name = asRecord(asRecord(item)?.metadata)?.name;
    return typeof name === "string" ? [name] : [];
  });
}
