/**
 * Keeps Services and EndpointSlices as the Gateways want them: what is there comes by watches, what
 * should be there is a pure function, and the difference is written, a few objects at a time.
 */
import { errorMessage, type Logger } from "../../shared/lib/log.ts";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { KubeApiError, MERGE_PATCH, type Verb } from "../source/kubernetes/api.ts";
import { collectionPath, objectPath } from "../source/kubernetes/resource.ts";
import { type StatusAddress } from "../status/gateway.ts";
import { desiredInfrastructure } from "./desired.ts";
import { diffInfrastructure, type ObjectName } from "./diff.ts";
import type { FleetPod } from "./endpoint_slices.ts";
import { type ExistingObject, existingObject } from "./existing.ts";
import type { Binds } from "./fleet_ports.ts";
import { OwnObjects, type OwnObjectsOptions } from "./own_objects.ts";
import { CONTROLLER_LABEL, controllerLabel } from "./ownership.ts";
import { RESOURCES } from "./resources.ts";
import { bindsOfServices, gatewayAddresses } from "./read_back.ts";
import { WriteRetries } from "./write_retries.ts";

export interface InfrastructureOptions extends OwnObjectsOptions {
  /** Names us in managedFields. */
  fieldManager: string;
  /** What Gateways should say of their addresses or obstacles may be different. */
  onChange: () => void;
  hooks: {
    onWritten: (kind: ObjectName["kind"], verb: Verb) => void;
    onError: () => void;
  };
}

/** Milliseconds between looks at names that others hold: nobody tells when they are free. */
const RECHECK = 10_000;
/** Writes in flight at once. */
const CONCURRENCY = 8;

interface Write {
  name: ObjectName;
  method: Verb;
  path: string;
  body: unknown;
  contentType?: string;
}

export class SharedFleetInfrastructure {
  readonly #options: InfrastructureOptions;
  readonly #own: OwnObjects;
  /** Objects of others that hold a name of ours, found by being refused. */
  readonly #foreign = new Map<string, ExistingObject>();
  readonly #closing = new AbortController();
  #gateways: ReadonlyMap<string, GatewayInfrastructure> = new Map();
  #binds: Binds = new Map();
  #fleet: readonly FleetPod[] | undefined;
  #blocked: ReadonlyMap<string, string> = new Map();
  #leading = false;
  /** What is wanted was decided while leading. */
  #decided = false;
  #dirty = false;
  #running: Promise<void> | undefined;
  readonly #retries: WriteRetries;
  /** Ends the wait for what failed. */
  #retry: AbortController | undefined;
  /** Ends the wait for the next look at names that others hold. */
  #recheck: AbortController | undefined;

  constructor(options: InfrastructureOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#retries = new WriteRetries({ now: () => clock.monotonic(), random });
    this.#own = new OwnObjects({ ...options, onChange: () => this.#changed() });
  }

  /** Resolves when it is known what is there. */
  async start(): Promise<void> {
    await this.#own.start();
  }

  /** Fleet ports that our Services name. */
  binds(): Binds {
    const { controllerName } = this.#options;
    return bindsOfServices(this.#own.objects(), { controllerName });
  }

  addresses(scope: string): StatusAddress[] {
    const gateway = this.#gateways.get(scope);
    if (gateway === undefined) return [];
    const get = (namespace: string, name: string) =>
      this.#own.get({ kind: "Service", namespace, name });
    return gatewayAddresses(gateway, { get });
  }

  /** Why a Gateway cannot have its Service. */
  obstacle(scope: string): string | undefined {
    return this.#blocked.get(scope);
  }

  /** What the Gateways want; nothing is written before {@linkcode SharedFleetInfrastructure.lead}. */
  want(gateways: ReadonlyMap<string, GatewayInfrastructure>, binds: Binds): void {
    const first = this.#leading && !this.#decided;
    this.#decided = this.#leading;
    if (!first && gateways === this.#gateways && binds === this.#binds) return;
    this.#gateways = gateways;
    this.#binds = binds;
    this.#work();
  }

  /** The pods of the fleet; undefined = not known, then slices stay as they are. */
  setFleet(fleet: readonly FleetPod[] | undefined): void {
    if (JSON.stringify(fleet) === JSON.stringify(this.#fleet)) return;
    this.#fleet = fleet;
    this.#work();
  }

  /**
   * This controller may write, from the next {@linkcode SharedFleetInfrastructure.want} on: what it
   * wanted before was a guess at what another one decides.
   */
  lead(): void {
    this.#leading = true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#recheck?.abort();
    this.#retry?.abort();
    await this.#running;
    await this.#own.close();
  }

  #changed(): void {
    this.#options.onChange();
    this.#work();
  }

  /** One round after the other; what changes meanwhile is the next one's. */
  #work(): void {
    this.#dirty = true;
    if (!this.#decided || this.#running !== undefined || this.#closing.signal.aborted) return;
    this.#running = this.#rounds().finally(() => {
      this.#running = undefined;
      // What changed in the moment before is nobody's round yet.
      if (this.#dirty) this.#work();
    });
  }

  async #rounds(): Promise<void> {
    while (this.#dirty && !this.#closing.signal.aborted) {
      this.#dirty = false;
      await this.#round();
      if (this.#blocked.size > 0) this.#lookAgain();
    }
    this.#tryLater();
  }

  /** Writes what is different, but for what has to wait because it failed. */
  async #round(): Promise<void> {
    const { controllerName, onChange } = this.#options;
    const desired = desiredInfrastructure(this.#gateways, {
      binds: this.#binds,
      fleet: this.#fleet,
      controllerName,
    });
    const foreign = [...this.#foreign.values()].filter((object) => !this.#own.get(object));
    const existing = [...this.#own.objects(), ...foreign];
    const changes = diffInfrastructure(desired, existing, { controllerName });
    if (changes.blocked.size === 0) this.#foreign.clear();
    const before = JSON.stringify([...this.#blocked]);
    this.#blocked = changes.blocked;
    if (JSON.stringify([...changes.blocked]) !== before) onChange();
    // Services first: their addresses are what people wait for.
    const writes: Write[] = [
      ...changes.create.map((manifest): Write => {
        const { kind, metadata: { namespace, name } } = manifest;
        const path = collectionPath(RESOURCES[kind], namespace);
        return { name: { kind, namespace, name }, method: "POST", path, body: manifest };
      }),
      ...changes.patch.map(({ patch, ...name }): Write => ({
        name,
        method: "PATCH",
        path: objectPath({ resource: RESOURCES[name.kind], ...name }),
        body: patch,
        contentType: MERGE_PATCH,
      })),
      ...changes.delete.map(({ uid, ...name }): Write => ({
        name,
        method: "DELETE",
        path: objectPath({ resource: RESOURCES[name.kind], ...name }),
        body: { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid } },
      })),
    ];
    this.#retries.retain(new Set(writes.map(({ name }) => keyOf(name))));
    await this.#writeAll(writes.filter(({ name }) => this.#retries.ready(keyOf(name))));
  }

  #lookAgain(): void {
    if (this.#recheck !== undefined || this.#closing.signal.aborted) return;
    this.#recheck = this.#after(RECHECK, () => {
      this.#recheck = undefined;
      this.#foreign.clear();
      this.#work();
    });
  }

  #tryLater(): void {
    this.#retry?.abort();
    const { next } = this.#retries;
    if (next === undefined || this.#closing.signal.aborted) return;
    this.#retry = this.#after(next, () => this.#work());
  }

  #after(milliseconds: number, act: () => void): AbortController {
    const wait = new AbortController();
    this.#options.clock.delay(milliseconds, wait.signal).then(act, () => {});
    return wait;
  }

  async #writeAll(writes: Write[]): Promise<void> {
    const queue = [...writes];
    const worker = async () => {
      for (let write = queue.shift(); write !== undefined; write = queue.shift()) {
        if (this.#closing.signal.aborted) return;
        const key = keyOf(write.name);
        if (await this.#write(write)) this.#retries.succeeded(key);
        else this.#retries.failed(key);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, writes.length) }, worker));
  }

  async #write({ name, method, path, body, contentType }: Write): Promise<boolean> {
    const { api, fieldManager, hooks, log } = this.#options;
    try {
      const answer = await api.request({
        method,
        path,
        body,
        ...(contentType === undefined ? {} : { contentType }),
        ...(method === "DELETE" ? {} : { query: [["fieldManager", fieldManager]] }),
        signal: this.#closing.signal,
      });
      hooks.onWritten(name.kind, method);
      if (method === "DELETE") this.#own.gone(name);
      // The watch says the same a moment later: until then a round must not write it again.
      else this.#own.put({ ...answer, kind: name.kind });
      this.#options.onChange();
      return true;
    } catch (error) {
      if (this.#closing.signal.aborted) return true;
      return await this.#refused(error, { name, method, log, hooks });
    }
  }

  async #refused(
    error: unknown,
    { name, method, log, hooks }: {
      name: ObjectName;
      method: Verb;
      log: Logger;
      hooks: InfrastructureOptions["hooks"];
    },
  ): Promise<boolean> {
    const status = error instanceof KubeApiError ? error.status : 0;
    if (status === 404 && method !== "POST") {
      this.#own.gone(name);
      return false;
    }
    if (status === 409 && method === "POST") {
      // The next round knows whose it is, and does not try the same at once whatever it finds.
      if (await this.#lookAt(name)) {
        this.#dirty = true;
        return false;
      }
    }
    hooks.onError();
    // A namespace that goes takes everything along: nothing can be made in it.
    const reason = error instanceof KubeApiError ? error.reason : "";
    if (status === 403 && /being terminated/.test(errorMessage(error))) return true;
    if (status === 404 && method === "POST") return true;
    log.warn("infrastructure_not_written", {
      object: keyOf(name),
      reason,
      error: errorMessage(error),
    });
    return false;
  }

  /** The name is taken: by whom? False when that is not known. */
  async #lookAt(name: ObjectName): Promise<boolean> {
    const { api, controllerName } = this.#options;
    const key = keyOf(name);
    try {
      const path = objectPath({ resource: RESOURCES[name.kind], ...name });
      const stored = {
        ...await api.request({ method: "GET", path, signal: this.#closing.signal }),
        kind: name.kind,
      };
      const found = existingObject(stored);
      if (found === undefined) return false;
      // The watch has just not told of it yet.
      if (found.labels[CONTROLLER_LABEL] === controllerLabel(controllerName)) this.#own.put(stored);
      else this.#foreign.set(key, found);
      return true;
    } catch {
      // Gone again, or away: it is tried again.
      this.#foreign.delete(key);
      return false;
    }
  }
}

function keyOf({ kind, namespace, name }: ObjectName): string {
  return `${kind}/${namespace}/${name}`;
}
