/** What the cluster needs of the machine: packages, interfaces, kernel settings. */
import { entryExists } from "../../shared/lib/files.ts";
import { NODE_BRIDGE, NODE_IP, SERVICE_CIDR } from "./addresses.ts";
import type { ClusterPaths } from "./paths.ts";
import { runCommand } from "../../shared/lib/run_command.ts";

/** A program → the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "/usr/bin/containerd": "containerd",
  "/usr/sbin/runc": "runc",
  "/usr/lib/cni/bridge": "containernetworking-plugins",
  "/usr/sbin/iptables": "iptables",
  "/usr/sbin/conntrack": "conntrack",
  "/sbin/ip": "iproute2",
};

/** Installs the packages that are missing. */
export async function ensurePackages(onProgress: (line: string) => void): Promise<void> {
  const missing: string[] = [];
  for (const [program, name] of Object.entries(PROGRAMS)) {
    if (!await entryExists(program)) missing.push(name);
  }
  if (missing.length === 0) return;
  onProgress(`installing ${missing.join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await runCommand(["apt-get", "update", "-q"], { env });
  await runCommand(["apt-get", "install", "-q", "-y", "--no-install-recommends", ...missing], {
    env,
  });
}

/** Kernel setting → the value that pods need. */
const SETTINGS: Readonly<Record<string, string>> = {
  "/proc/sys/net/ipv4/ip_forward": "1",
  // A Service's answer between two pods of one bridge must pass the translation of addresses.
  "/proc/sys/net/bridge/bridge-nf-call-iptables": "1",
};

/** What the kubelet and kube-proxy change by themselves. */
const CHANGED_BY_OTHERS = [
  "/proc/sys/kernel/panic",
  "/proc/sys/kernel/panic_on_oops",
  "/proc/sys/vm/overcommit_memory",
  "/proc/sys/net/ipv4/conf/all/route_localnet",
  "/proc/sys/net/ipv4/vs/conntrack",
];

/** Changes kernel settings and remembers what they were, once. */
export async function changeSettings(paths: ClusterPaths): Promise<void> {
  const file = `${paths.state}/settings.json`;
  const before: Record<string, string> = {};
  for (const setting of Object.keys(SETTINGS)) {
    if (!await entryExists(setting)) {
      await runCommand(["modprobe", "br_netfilter"], { mayFail: true });
    }
    before[setting] = (await Deno.readTextFile(setting)).trim();
  }
  for (const setting of CHANGED_BY_OTHERS) {
    if (await entryExists(setting)) before[setting] = (await Deno.readTextFile(setting)).trim();
  }
  if (!await entryExists(file)) await Deno.writeTextFile(file, JSON.stringify(before));
  for (const [setting, value] of Object.entries(SETTINGS)) {
    if (before[setting] !== value) await Deno.writeTextFile(setting, value);
  }
}

/** Puts kernel settings back to what they were before the cluster. */
export async function restoreSettings(paths: ClusterPaths): Promise<void> {
  let before: unknown;
  try {
    before = JSON.parse(await Deno.readTextFile(`${paths.state}/settings.json`));
  } catch {
    return;
  }
  if (typeof before !== "object" || before === null) return;
  for (const [setting, value] of Object.entries(before)) {
    if (!setting.startsWith("/proc/sys/") || typeof value !== "string") continue;
    await Deno.writeTextFile(setting, value).catch(() => {});
  }
}

/** Gives the node its own address, and Services a route from this machine. */
export async function ensureNodeAddress(): Promise<void> {
  const ip = (...args: string[]) => runCommand(["ip", ...args]);
  if (!await entryExists(`/sys/class/net/${NODE_BRIDGE}`)) {
    await ip("link", "add", NODE_BRIDGE, "type", "bridge");
  }
  await ip("address", "replace", `${NODE_IP}/32`, "dev", NODE_BRIDGE);
  await ip("link", "set", NODE_BRIDGE, "up");
  // The packets are translated before they are sent; without a route they would not be made.
  await ip("route", "replace", SERVICE_CIDR, "dev", NODE_BRIDGE, "src", NODE_IP);
}
