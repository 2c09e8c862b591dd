/**
 * An API server for tests: objects in memory behind a real socket, with versions, pages, watches
 * and preconditions as the API concepts of Kubernetes have them, and failures by order.
 */
import { asRecord } from "../decode/decoder.ts";
import { KubeApi } from "./api.ts";
import {
  type Address,
  addressOf,
  bookmark,
  type Failure,
  json,
  JSON_BODY,
  merged,
  refusal,
} from "./testing_api_messages.ts";

/** An object as it is stored. */
export type TestingObject = Record<string, unknown> & {
  metadata: Record<string, unknown> & {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
  };
};

export interface SeenRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, unknown>;
}

interface StoredEvent {
  collection: string;
  type: "ADDED" | "MODIFIED" | "DELETED";
  version: number;
  object: TestingObject;
}

interface OpenWatch {
  collection: string;
  send: (event: { type: string; object: unknown }) => void;
  matches: (object: TestingObject) => boolean;
  end: (how: "close" | "cut") => void;
}

export class TestingApiServer {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #client = Deno.createHttpClient({});
  readonly #objects = new Map<string, Map<string, TestingObject>>();
  readonly #events: StoredEvent[] = [];
  readonly #watches = new Set<OpenWatch>();
  readonly #failures: { matches: (request: SeenRequest) => boolean; failure: Failure }[] = [];
  readonly #waiting = new Set<() => void>();
  #version = 100;
  #horizon = 0;
  #uids = 0;
  /** `<group>/<version>/<plural>` that are not served. */
  readonly missing = new Set<string>();
  /** Does it stream lists? */
  streams = true;
  readonly requests: SeenRequest[] = [];
  readonly api: KubeApi;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const answer = await this.#answer(request);
        this.notify();
        return answer;
      },
    );
    this.api = new KubeApi({
      access: {
        server: `http://127.0.0.1:${this.#server.addr.port}`,
        client: this.#client,
        headers: () => Promise.resolve({}),
      },
      userAgent: "test",
    });
  }

  get watching(): number {
    return this.#watches.size;
  }

  /** The next requests that match fail, one failure each. */
  fail(matches: (request: SeenRequest) => boolean, ...failures: Failure[]): void {
    for (const failure of failures) this.#failures.push({ matches, failure });
  }

  /** Something happened: whoever waits looks again. */
  notify(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves when `holds()`; looked at whenever something happens here or `notify` is called. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  /** Stores an object as if somebody had written it. */
  put(collection: string, object: Record<string, unknown>): TestingObject {
    const metadata = asRecord(object.metadata) ?? {};
    const place = `${metadata.namespace ?? ""}/${metadata.name}`;
    const objects = this.#collection(collection);
    const before = objects.get(place);
    const version = ++this.#version;
    const after = structuredClone({
      ...object,
      metadata: {
        ...metadata,
        name: String(metadata.name),
        uid: typeof metadata.uid === "string"
          ? metadata.uid
          : before?.metadata.uid ?? `uid-${++this.#uids}`,
        resourceVersion: String(version),
      },
    }) as TestingObject;
    objects.set(place, after);
    this.#tell({
      collection,
      type: before === undefined ? "ADDED" : "MODIFIED",
      version,
      object: after,
    });
    return after;
  }

  remove(collection: string, place: string): void {
    const before = this.#collection(collection).get(place);
    if (before === undefined) return;
    this.#collection(collection).delete(place);
    const version = ++this.#version;
    const object = structuredClone(before);
    object.metadata.resourceVersion = String(version);
    this.#tell({ collection, type: "DELETED", version, object });
  }

  get(collection: string, place: string): TestingObject | undefined {
    return this.#collection(collection).get(place);
  }

  places(collection: string): string[] {
    return [...this.#collection(collection).keys()].sort();
  }

  /** Versions until now are too old to continue from. */
  expire(): void {
    this.#horizon = ++this.#version;
  }

  /** As after a restore from a backup: versions begin again further down. */
  turnBack(version: number): void {
    this.#version = version;
    this.#horizon = 0;
    this.#events.length = 0;
  }

  /** Ends every open watch. */
  end(how: "close" | "cut"): void {
    for (const watch of [...this.#watches]) watch.end(how);
  }

  async close(): Promise<void> {
    this.end("close");
    this.#client.close();
    await this.#server.shutdown();
  }

  #collection(name: string): Map<string, TestingObject> {
    const objects = this.#objects.get(name) ?? new Map<string, TestingObject>();
    this.#objects.set(name, objects);
    return objects;
  }

  #tell(event: StoredEvent): void {
    this.#events.push(event);
    for (const watch of [...this.#watches]) {
      if (watch.collection === event.collection && watch.matches(event.object)) watch.send(event);
    }
    this.notify();
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const text = await request.text();
    const seen: SeenRequest = {
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      body: text === "" ? {} : asRecord(JSON.parse(text)) ?? {},
    };
    this.requests.push(seen);
    const index = this.#failures.findIndex(({ matches }) => matches(seen));
    const failure = index < 0 ? undefined : this.#failures.splice(index, 1)[0]?.failure;
    if (failure?.kind === "status") return refusal(failure);
    const address = addressOf(url.pathname);
    const [group = "", plural = ""] = address?.collection.split("/") ?? [];
    if (address === undefined || this.missing.has(`${group}/${address.version}/${plural}`)) {
      return new Response("404 page not found\n", { status: 404 });
    }
    if (address.name !== "") return this.#single(seen, address);
    if (seen.method === "POST") return this.#create(seen, address);
    if (seen.query.get("watch") === "true") return this.#watch(seen, { address, failure });
    return this.#list(seen, address);
  }

  #selected({ query }: SeenRequest, { namespace }: Address): (object: TestingObject) => boolean {
    const name = query.get("fieldSelector")?.replace("metadata.name=", "");
    const [label = "", value] = query.get("labelSelector")?.split("=") ?? [];
    return ({ metadata }) =>
      (namespace === "" || metadata.namespace === namespace) &&
      (name === undefined || metadata.name === name) &&
      (value === undefined || asRecord(metadata.labels)?.[label] === value);
  }

  #list(seen: SeenRequest, address: Address): Response {
    const all = [...this.#collection(address.collection).values()]
      .filter(this.#selected(seen, address));
    const limit = Number(seen.query.get("limit") ?? all.length);
    const first = Number(seen.query.get("continue") ?? 0);
    const next = first + limit;
    return json({
      kind: "List",
      metadata: {
        resourceVersion: String(this.#version),
        ...(next < all.length ? { continue: String(next) } : {}),
      },
      items: all.slice(first, next),
    });
  }

  #watch(
    seen: SeenRequest,
    { address, failure }: { address: Address; failure: Failure | undefined },
  ): Response {
    const { query } = seen;
    const listing = query.get("sendInitialEvents") === "true";
    if (listing && !this.streams) {
      return refusal({ kind: "status", code: 422, reason: "Invalid" });
    }
    const matches = this.#selected(seen, address);
    const since = Number(query.get("resourceVersion") ?? 0);
    const encoder = new TextEncoder();
    let left = failure?.kind === "cut" ? failure.after : Infinity;
    let watch: OpenWatch | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const end = (how: "close" | "cut") => {
          if (watch !== undefined) this.#watches.delete(watch);
          if (how === "close") controller.close();
          else controller.error(new Error("cut off"));
        };
        const send = (event: { type: string; object: unknown }) => {
          const line = `${JSON.stringify({ type: event.type, object: event.object })}\n`;
          controller.enqueue(encoder.encode(left > 0 ? line : line.slice(0, line.length / 2)));
          if (left-- <= 0) end("cut");
        };
        if (failure?.kind === "close") return end("close");
        watch = { collection: address.collection, send, matches, end };
        this.#watches.add(watch);
        this.#begin(watch, { listing, since });
      },
      cancel: () => {
        if (watch !== undefined) this.#watches.delete(watch);
        this.notify();
      },
    });
    return new Response(body, { headers: JSON_BODY });
  }

  #begin(watch: OpenWatch, { listing, since }: { listing: boolean; since: number }): void {
    const open = () => this.#watches.has(watch);
    if (listing) {
      for (const object of this.#collection(watch.collection).values()) {
        if (open() && watch.matches(object)) watch.send({ type: "ADDED", object });
      }
      if (open()) watch.send(bookmark(this.#version, { last: true }));
      return;
    }
    if (since < this.#horizon) {
      watch.send({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } });
      return watch.end("close");
    }
    for (const event of this.#events) {
      if (event.collection !== watch.collection || event.version <= since) continue;
      if (open() && watch.matches(event.object)) watch.send(event);
    }
  }

  /** Tells every open watch how far it has come. */
  bookmark(): void {
    for (const watch of [...this.#watches]) watch.send(bookmark(this.#version, { last: false }));
  }

  #create({ body }: SeenRequest, { collection, namespace }: Address): Response {
    const metadata = asRecord(body.metadata) ?? {};
    const name = typeof metadata.name === "string"
      ? metadata.name
      : `${metadata.generateName ?? ""}${++this.#uids}`;
    if (this.#collection(collection).has(`${namespace}/${name}`)) {
      return refusal({ kind: "status", code: 409, reason: "AlreadyExists" });
    }
    const { resourceVersion: _none, ...rest } = metadata;
    return json(this.put(collection, { ...body, metadata: { ...rest, name, namespace } }), 201);
  }

  #single(seen: SeenRequest, { collection, namespace, name, subresource }: Address): Response {
    const place = `${namespace}/${name}`;
    const stored = this.#collection(collection).get(place);
    if (stored === undefined) return refusal({ kind: "status", code: 404, reason: "NotFound" });
    const metadata = asRecord(seen.body.metadata) ?? {};
    const { resourceVersion, uid } = seen.method === "DELETE"
      ? asRecord(seen.body.preconditions) ?? {}
      : metadata;
    const stale = resourceVersion !== undefined &&
      resourceVersion !== stored.metadata.resourceVersion;
    if (stale || (uid !== undefined && uid !== stored.metadata.uid)) {
      return refusal({ kind: "status", code: 409, reason: "Conflict" });
    }
    switch (seen.method) {
      case "GET":
        return json(stored);
      case "DELETE":
        this.remove(collection, place);
        return json({ kind: "Status", status: "Success" });
      case "PUT":
        return json(
          this.put(collection, {
            ...seen.body,
            metadata: { ...metadata, namespace, name, uid: stored.metadata.uid },
          }),
        );
      case "PATCH": {
        const patch = subresource === "status" ? { status: seen.body.status } : seen.body;
        return json(this.put(collection, asRecord(merged(stored, patch)) ?? {}));
      }
      default:
        return refusal({ kind: "status", code: 405 });
    }
  }
}
