/**
 * The pods of the fleet: what proxies say in heartbeats, and what the cluster says of their pods. A
 * heartbeat tells which ports accept; the pod's state tells of an end long before silence does.
 */
import type { Heartbeat } from "../../shared/bus/heartbeat.ts";
import { asRecord } from "../source/decode/decoder.ts";
import type { RawObject } from "../source/kubernetes/raw_object.ts";
import type { FleetPod } from "./endpoint_slices.ts";

/** A Pod, as far as it matters here. */
export interface PodState {
  namespace: string;
  name: string;
  address: string;
  ready: boolean;
  terminating: boolean;
  nodeName: string | undefined;
}

/** What a Pod says; undefined when it has run its course. */
export function podState({ namespace, name, body, metadata }: RawObject): PodState | undefined {
  const status = asRecord(body.status) ?? {};
  const { phase, podIP, conditions } = status;
  if (phase === "Succeeded" || phase === "Failed") return undefined;
  const ready = (Array.isArray(conditions) ? conditions : []).some((entry) => {
    const condition = asRecord(entry);
    return condition?.type === "Ready" && condition.status === "True";
  });
  const nodeName = asRecord(body.spec)?.nodeName;
  return {
    namespace,
    name,
    address: typeof podIP === "string" ? podIP : "",
    ready,
    terminating: metadata.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null,
    nodeName: typeof nodeName === "string" ? nodeName : undefined,
  };
}

type Said = Pick<Heartbeat, "address" | "bound" | "ready" | "draining">;

export class FleetPods {
  /** Proxy → its last words; kept while its Pod is there. */
  readonly #said = new Map<string, Said>();

  /**
   * The fleet now.
   * @param heartbeats of proxies that were heard of lately, by name
   * @param pods by name; undefined = nobody watches pods, heartbeats are all there is
   */
  update(
    heartbeats: ReadonlyMap<string, Said>,
    pods: ReadonlyMap<string, PodState> | undefined,
  ): FleetPod[] {
    for (const [name, { address, bound, ready, draining }] of heartbeats) {
      this.#said.set(name, { address, bound, ready, draining });
    }
    for (const name of this.#said.keys()) {
      if (!heartbeats.has(name) && !pods?.has(name)) this.#said.delete(name);
    }
    return [...this.#said].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, said]) => {
      const pod = pods?.get(name);
      if (pods !== undefined && pod === undefined) return [];
      return podOf(name, { said, pod });
    });
  }
}

function podOf(
  name: string,
  { said, pod }: { said: Said; pod: PodState | undefined },
): FleetPod[] {
  // The pod's own word is enough on a machine; in a cluster nobody points a Service elsewhere.
  const address = pod === undefined ? said.address : pod.address;
  if (address === "") return [];
  const terminating = said.draining || pod?.terminating === true;
  return [{
    name,
    address,
    bound: [...said.bound].sort((a, b) => a - b),
    // Said `ready` once, a proxy that drains says no more: it serves until it is gone.
    ready: terminating || (said.ready && pod?.ready !== false),
    ...(terminating ? { terminating } : {}),
    ...(pod === undefined ? {} : { namespace: pod.namespace }),
    ...(pod?.nodeName === undefined ? {} : { nodeName: pod.nodeName }),
  }];
}
