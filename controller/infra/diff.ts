/** From what is there to what should be: the fewest writes, and only to objects of ours. */
import type { Labels } from "../model/objects.ts";
import { asRecord } from "../source/decode/decoder.ts";
import type { DesiredInfrastructure } from "./desired.ts";
import { type ExistingObject, records, type Stored } from "./existing.ts";
import type { Manifest, ServiceManifest } from "./manifests.ts";
import { OWNED_ANNOTATION, ownerScope } from "./ownership.ts";

export interface ObjectName {
  kind: Manifest["kind"];
  namespace: string;
  name: string;
}

/** A JSON merge patch (RFC 7396); `null` takes a member away. */
export type MergePatch = { readonly [member: string]: unknown };

export interface InfrastructureChanges {
  create: Manifest[];
  patch: (ObjectName & { patch: MergePatch })[];
  /** `uid` is the precondition: an object made anew under the name is another. */
  delete: (ObjectName & { uid: string })[];
  /** Names that somebody else's object holds: the Gateway cannot have its Service. By scope. */
  blocked: Map<string, string>;
}

export interface DiffOptions {
  controllerName: string;
}

/** `existing` may hold any Services and EndpointSlices; what is not ours is left alone. */
export function diffInfrastructure(
  desired: DesiredInfrastructure,
  existing: readonly ExistingObject[],
  { controllerName }: DiffOptions,
): InfrastructureChanges {
  const changes: InfrastructureChanges = { create: [], patch: [], delete: [], blocked: new Map() };
  const there = new Map(existing.map((object) => [keyOf(object), object]));
  const wanted = new Set<string>();
  /** Services of others that hold a name of ours; the Services come first. */
  const taken = new Set<string>();
  for (const manifest of [...desired.services, ...desired.endpointSlices]) {
    const { kind, metadata } = manifest;
    const name: ObjectName = { kind, namespace: metadata.namespace, name: metadata.name };
    const object = there.get(keyOf(name));
    // A slice would bring our pods to the clients of somebody else's Service.
    if (isSliceOf(metadata, taken)) continue;
    wanted.add(keyOf(name));
    if (object === undefined) {
      changes.create.push(manifest);
      continue;
    }
    // Until it is gone its name is taken and a write to it is lost.
    if (object.deleting) continue;
    if (ownerScope(object, controllerName) === undefined) {
      if (kind === "Service") taken.add(keyOf(name));
      const scope = ownerScope(metadata, controllerName) ?? "";
      changes.blocked.set(
        scope,
        `${kind} "${name.namespace}/${name.name}" is not of this controller; delete or rename it`,
      );
      continue;
    }
    if (mustBeMadeAnew(manifest, object)) {
      changes.delete.push({ ...name, uid: object.uid });
      continue;
    }
    const patch = patchOf(manifest, object);
    if (patch !== undefined) changes.patch.push({ ...name, patch });
  }
  for (const object of existing) {
    if (wanted.has(keyOf(object)) || object.deleting) continue;
    const scope = ownerScope(object, controllerName);
    if (scope === undefined || desired.kept.has(scope)) continue;
    if (!desired.fleetKnown && object.kind === "EndpointSlice" && isSliceOf(object, wanted)) {
      continue;
    }
    const { kind, namespace, name, uid } = object;
    changes.delete.push({ kind, namespace, name, uid });
  }
  return changes;
}

function keyOf({ kind, namespace, name }: ObjectName): string {
  return `${kind}/${namespace}/${name}`;
}

/** Is it a slice of one of these Services? */
function isSliceOf(
  { namespace, labels }: Pick<ExistingObject, "namespace" | "labels">,
  services: ReadonlySet<string>,
): boolean {
  const service = labels["kubernetes.io/service-name"];
  return service !== undefined &&
    services.has(keyOf({ kind: "Service", namespace, name: service }));
}

/** The class of a load balancer cannot be changed. Another pass makes the Service anew. */
function mustBeMadeAnew(manifest: Manifest, { stored }: ExistingObject): boolean {
  if (manifest.kind !== "Service") return false;
  const spec = asRecord(stored.spec) ?? {};
  const { type, loadBalancerClass } = manifest.spec;
  return type === "LoadBalancer" && spec.type === "LoadBalancer" &&
    loadBalancerClass !== undefined && spec.loadBalancerClass !== loadBalancerClass;
}

/** What has to be written so that the object says what the manifest says; undefined = nothing. */
function patchOf(manifest: Manifest, object: ExistingObject): MergePatch | undefined {
  const metadata = metadataPatch(manifest, object);
  const body = manifest.kind === "Service"
    ? servicePatch(manifest, asRecord(object.stored.spec) ?? {})
    : membersPatch({ ports: manifest.ports, endpoints: manifest.endpoints }, object.stored);
  const patch = {
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(Object.keys(body).length === 0 ? {} : manifest.kind === "Service" ? { spec: body } : body),
  };
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function metadataPatch({ metadata }: Manifest, object: ExistingObject): MergePatch {
  const owned = ownedKeys(object.annotations[OWNED_ANNOTATION]);
  const labels = textsPatch(metadata.labels, { stored: object.labels, owned: owned.labels });
  const annotations = textsPatch(metadata.annotations, {
    stored: object.annotations,
    owned: owned.annotations,
  });
  const owners = covers(object.ownerReferences, metadata.ownerReferences);
  return {
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(owners ? {} : { ownerReferences: metadata.ownerReferences }),
  };
}

/** Others write labels and annotations there too, load balancer controllers above all. */
function textsPatch(
  wanted: Labels,
  { stored, owned }: { stored: Labels; owned: readonly string[] },
): MergePatch {
  const set = Object.entries(wanted).filter(([name, value]) => stored[name] !== value);
  const gone = owned.filter((name) => !(name in wanted) && name in stored);
  return Object.fromEntries([...set, ...gone.map((name) => [name, null])]);
}

function ownedKeys(annotation: string | undefined): { labels: string[]; annotations: string[] } {
  let parsed: Stored | undefined;
  try {
    parsed = asRecord(JSON.parse(annotation ?? "{}"));
  } catch {
    // Somebody wrote over it: what they left of ours stays, which harms nothing.
  }
  const names = (value: unknown) =>
    (Array.isArray(value) ? value : []).filter((name) => typeof name === "string");
  return { labels: names(parsed?.labels), annotations: names(parsed?.annotations) };
}

/** The members of a Service that are ours though they are not always there. */
const OPTIONAL = ["externalIPs", "externalTrafficPolicy"] as const;

function servicePatch({ spec }: ServiceManifest, stored: Stored): MergePatch {
  const { ports, ...rest } = spec;
  const known = records(stored.ports);
  // A list is patched as a whole: node ports that were given must not be given anew.
  const withNodePorts = ports.map((entry) => {
    const nodePort = known.find(({ port, protocol }) =>
      port === entry.port && (protocol ?? "TCP") === entry.protocol
    )?.nodePort;
    return spec.type === "ClusterIP" || typeof nodePort !== "number"
      ? entry
      : { ...entry, nodePort };
  });
  const gone = OPTIONAL.filter((name) => !(name in spec) && present(stored[name]));
  return {
    ...membersPatch({ ...rest, ports: withNodePorts }, stored),
    ...Object.fromEntries(gone.map((name) => [name, null])),
  };
}

function present(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

/** The members that are not there as they should be. */
function membersPatch(wanted: Stored, stored: Stored): MergePatch {
  return Object.fromEntries(
    Object.entries(wanted).filter(([name, value]) => !covers(stored[name], value)),
  );
}

/** Does a stored value say all that is wanted? API servers add members, never entries of lists. */
function covers(stored: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    // An empty list may be stored as nothing.
    if (wanted.length === 0) return !present(stored);
    return Array.isArray(stored) && stored.length === wanted.length &&
      wanted.every((entry, index) => covers(stored[index], entry));
  }
  const record = asRecord(wanted);
  if (record === undefined) return stored === wanted;
  const other = asRecord(stored);
  return other !== undefined &&
    Object.entries(record).every(([name, value]) => covers(other[name], value));
}
