/** What one edit of one route costs each process, everything that it triggers included. */
import type { Stack } from "../../deploy/standalone/stack.ts";
import { HOST, LOCAL_PORT, replaceRoute } from "./manifests.ts";
import { Probe } from "./probe.ts";
import { cpuSeconds } from "./process.ts";

/** Milliseconds between edits: slower than they are served, so that none is taken with another. */
const INTERVAL = 100;
/** Milliseconds for what trails behind: statuses, the proxy's local copy. */
const TAIL = 1500;

export interface EditCost {
  /** Milliseconds of CPU per edit. */
  controller: number;
  proxy: number;
  /** Bytes of messages per edit. */
  bytes: number;
}

/** Edits route 0 of the folder again and again. Throws when the last edit is not served. */
export async function measureEdits(
  stack: Stack,
  { folder, edits }: { folder: string; edits: number },
): Promise<EditCost> {
  const controller = stack.controller.current.pid;
  const proxy = stack.proxies[0]?.current.pid ?? 0;
  const read = async () => ({
    bytes: await publishedBytes(stack),
    controller: await cpuSeconds(controller),
    proxy: await cpuSeconds(proxy),
  });
  const edit = (path: string) =>
    replaceRoute(folder, 0, {
      name: "r0",
      host: HOST,
      prefix: path,
      backend: "backend",
      header: path,
    });
  const before = await read();
  for (let i = 1; i <= edits; i++) {
    await edit(`/edited-${i}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
  await new Promise((resolve) => setTimeout(resolve, TAIL));
  const after = await read();
  const probe = new Probe("127.0.0.1", LOCAL_PORT);
  const { status } = await probe.get(`/edited-${edits}`, HOST);
  probe.close();
  if (status !== 200) throw new Error(`the last of ${edits} edits answers ${status}`);
  return {
    controller: (after.controller - before.controller) * 1000 / edits,
    proxy: (after.proxy - before.proxy) * 1000 / edits,
    bytes: (after.bytes - before.bytes) / edits,
  };
}

async function publishedBytes(stack: Stack): Promise<number> {
  const response = await fetch(`${stack.adminOf(stack.controller)}/metrics`);
  const found = /^lgw_controller_published_bytes_total (\d+)/m.exec(await response.text());
  if (found === null) throw new Error("the controller does not count what it publishes");
  return Number(found[1]);
}
