/**
 * Which result read what: a change makes dirty what read it, and nothing else.
 *
 * A read has a name. Objects are read under their key; what is read of several objects at once has
 * a name of its own, and {@linkcode readsOf} says which names a change of an object touches. Both
 * stand here, side by side, because one without the other is a result that never changes again.
 */
import { keyOf, type Kind, type KubeObject, objectKey } from "../model/objects.ts";
import { grantNamespace, policyServices, setGateway, sliceService } from "./group.ts";
import type { ClusterView, ObjectChange } from "./view.ts";

/** Takes the name of each read. */
export type Reads = (name: string) => void;

const slicesName = (service: string) => `slices of ${service}`;
const grantsName = (namespace: string) => `grants in ${namespace}`;
const policiesName = (service: string) => `policies of ${service}`;
const setsName = (gateway: string) => `listener sets of ${gateway}`;
const listName = (kind: Kind) => `all ${kind}`;

/** The view, telling what is read of it. */
export function recordReads(view: ClusterView, reads: Reads): ClusterView {
  return {
    get: (kind, namespace, name) => {
      reads(objectKey(kind, namespace, name));
      return view.get(kind, namespace, name);
    },
    list: (kind) => {
      reads(listName(kind));
      return view.list(kind);
    },
    slicesOf: (namespace, service) => {
      reads(slicesName(`${namespace}/${service}`));
      return view.slicesOf(namespace, service);
    },
    grantsIn: (namespace) => {
      reads(grantsName(namespace));
      return view.grantsIn(namespace);
    },
    policiesOf: (namespace, service) => {
      reads(policiesName(`${namespace}/${service}`));
      return view.policiesOf(namespace, service);
    },
    listenerSetsOf: (namespace, gateway) => {
      reads(setsName(`${namespace}/${gateway}`));
      return view.listenerSetsOf(namespace, gateway);
    },
    namespaceLabels: (namespace) => {
      reads(objectKey("Namespace", "", namespace));
      return view.namespaceLabels(namespace);
    },
  };
}

/** The names of the reads whose answers a change may alter. */
export function readsOf({ before, after }: ObjectChange): Set<string> {
  const names = new Set<string>();
  for (const object of [before, after]) {
    if (object === undefined) continue;
    names.add(keyOf(object));
    names.add(listName(object.kind));
    for (const group of groupNames(object)) names.add(group);
  }
  return names;
}

function groupNames(object: KubeObject): string[] {
  switch (object.kind) {
    case "EndpointSlice": {
      const service = sliceService(object);
      return service === undefined ? [] : [slicesName(service)];
    }
    case "ReferenceGrant":
      return [grantsName(grantNamespace(object))];
    case "BackendTLSPolicy":
      return policyServices(object).map(policiesName);
    case "ListenerSet": {
      const gateway = setGateway(object);
      return gateway === undefined ? [] : [setsName(gateway)];
    }
    default:
      return [];
  }
}

/**
 * Objects of some kinds that anybody refers to now, whether they are there or not: what a source
 * that reads single objects has to look for.
 */
export class Referred {
  readonly #kinds: readonly string[];
  readonly #counts = new Map<string, number>();
  #keys: ReadonlySet<string> | undefined;

  constructor(kinds: readonly Kind[]) {
    this.#kinds = kinds.map((kind) => `${kind}/`);
  }

  /** Their keys. The same set until something is different. */
  keys(): ReadonlySet<string> {
    return this.#keys ??= new Set(this.#counts.keys());
  }

  /** Somebody reads a name (+1), or nobody there does any more (-1). */
  count(name: string, by: 1 | -1): void {
    if (!this.#kinds.some((prefix) => name.startsWith(prefix))) return;
    const before = this.#counts.get(name) ?? 0;
    const after = before + by;
    if (after > 0) this.#counts.set(name, after);
    else this.#counts.delete(name);
    if ((before > 0) !== (after > 0)) this.#keys = undefined;
  }
}

interface Read {
  name: string;
  readers: Set<string>;
}

/** What each result read last, and who read what. */
export class References {
  readonly #byName = new Map<string, Read>();
  readonly #byResult = new Map<string, readonly Read[]>();
  readonly #referred: Referred | undefined;

  constructor(referred?: Referred) {
    this.#referred = referred;
  }

  /** Takes the place of what was recorded of the result before. */
  record(result: string, names: ReadonlySet<string>): void {
    const before = this.#byResult.get(result) ?? [];
    const now: Read[] = [];
    for (const name of names) {
      let read = this.#byName.get(name);
      if (read === undefined) {
        this.#byName.set(name, read = { name, readers: new Set() });
        this.#referred?.count(name, 1);
      }
      read.readers.add(result);
      now.push(read);
    }
    for (const read of before) {
      if (names.has(read.name)) continue;
      read.readers.delete(result);
      if (read.readers.size > 0) continue;
      this.#byName.delete(read.name);
      this.#referred?.count(read.name, -1);
    }
    if (now.length === 0) this.#byResult.delete(result);
    else this.#byResult.set(result, now);
  }

  /** The result is gone. */
  forget(result: string): void {
    this.record(result, new Set());
  }

  /** Results that read any of the names. */
  readersOf(names: Iterable<string>): Set<string> {
    const readers = new Set<string>();
    for (const name of names) {
      for (const result of this.#byName.get(name)?.readers ?? []) readers.add(result);
    }
    return readers;
  }
}
