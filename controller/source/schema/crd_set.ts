/** The custom resources that are served, by kind and version, each made ready when first needed. */
import backendTlsPolicies from "./crds/gateway.networking.k8s.io_backendtlspolicies.json" with {
  type: "json",
};
import gatewayClasses from "./crds/gateway.networking.k8s.io_gatewayclasses.json" with {
  type: "json",
};
import gateways from "./crds/gateway.networking.k8s.io_gateways.json" with { type: "json" };
import grpcRoutes from "./crds/gateway.networking.k8s.io_grpcroutes.json" with { type: "json" };
import httpRoutes from "./crds/gateway.networking.k8s.io_httproutes.json" with { type: "json" };
import listenerSets from "./crds/gateway.networking.k8s.io_listenersets.json" with {
  type: "json",
};
import referenceGrants from "./crds/gateway.networking.k8s.io_referencegrants.json" with {
  type: "json",
};
import tcpRoutes from "./crds/gateway.networking.k8s.io_tcproutes.json" with { type: "json" };
import tlsRoutes from "./crds/gateway.networking.k8s.io_tlsroutes.json" with { type: "json" };
import udpRoutes from "./crds/gateway.networking.k8s.io_udproutes.json" with { type: "json" };
import gatewayParameters from "./crds/gateway.lightapi.net_gatewayparameters.json" with {
  type: "json",
};
import lightBackends from "./crds/gateway.lightapi.net_lightbackends.json" with { type: "json" };
import { asRecord, type At, type Fail } from "../decode/decoder.ts";
import { CelRules } from "./cel.ts";
import { compileSchema, type SchemaNode, type SkippedAt } from "./compile.ts";
import { type JsonSchema, schemaOf } from "./json_schema.ts";
import { validate } from "./validate.ts";

const DEFINITIONS: readonly unknown[] = [
  backendTlsPolicies,
  gatewayClasses,
  gateways,
  grpcRoutes,
  httpRoutes,
  listenerSets,
  referenceGrants,
  tcpRoutes,
  tlsRoutes,
  udpRoutes,
  lightBackends,
  gatewayParameters,
];

/** One served version of a custom resource. */
export interface CrdVersion {
  group: string;
  kind: string;
  version: string;
  /** Of the whole object; metadata and status are left to others. */
  schema: JsonSchema;
}

/** Members of an object that its schema does not judge: the source reads or drops them. */
const NOT_OURS = ["apiVersion", "kind", "metadata", "status"];

/** Every served version of every definition. Throws for a definition that cannot be enforced. */
export function crdVersions(): CrdVersion[] {
  return DEFINITIONS.flatMap((definition) => {
    const spec = asRecord(asRecord(definition)?.spec) ?? {};
    const group = String(spec.group);
    const kind = String(asRecord(spec.names)?.kind);
    const versions = Array.isArray(spec.versions) ? spec.versions : [];
    return versions.map(asRecord).filter((version) => version?.served === true).map((version) => {
      const name = String(version?.name);
      const schema = schemaOf(asRecord(version?.schema)?.openAPIV3Schema, `${kind} ${name}`);
      return { group, kind, version: name, schema: withoutOthers(schema) };
    });
  });
}

function withoutOthers(schema: JsonSchema): JsonSchema {
  const own = Object.entries(schema.properties ?? {}).filter(([name]) => !NOT_OURS.includes(name));
  return { ...schema, properties: Object.fromEntries(own) };
}

/** The definitions, made ready one by one as objects come. */
export class CrdSet {
  readonly #versions = new Map<string, CrdVersion>();
  readonly #nodes = new Map<string, SchemaNode>();
  /** Versions mostly share their schema: its text → the node. */
  readonly #byText = new Map<string, SchemaNode>();
  readonly #rules = new CelRules();
  readonly #skipped: (SkippedAt & { kind: string })[] = [];

  constructor(versions: readonly CrdVersion[] = crdVersions()) {
    for (const version of versions) this.#versions.set(keyOf(version), version);
  }

  /** The schema of a version; undefined when there is no definition of it. */
  node(of: { group: string; kind: string; version: string }): SchemaNode | undefined {
    const key = keyOf(of);
    const version = this.#versions.get(key);
    if (version === undefined) return undefined;
    let node = this.#nodes.get(key);
    if (node === undefined) {
      node = this.#compile(version);
      this.#nodes.set(key, node);
    }
    return node;
  }

  #compile({ kind, schema }: CrdVersion): SchemaNode {
    const text = `${kind}${JSON.stringify(schema)}`;
    let node = this.#byText.get(text);
    if (node === undefined) {
      const skipped = (rule: SkippedAt) => void this.#skipped.push({ ...rule, kind });
      node = compileSchema(schema, { rules: this.#rules, skipped });
      this.#byText.set(text, node);
    }
    return node;
  }

  /**
   * The object as an API server would store it, without metadata and status; FAIL after an error
   * was reported. A kind without a definition is returned as it is.
   */
  admit(
    value: unknown,
    { at, ...of }: { group: string; kind: string; version: string; at: At },
  ): unknown | Fail {
    const node = this.node(of);
    if (node === undefined) return value;
    const own = Object.entries(asRecord(value) ?? {}).filter(([name]) => !NOT_OURS.includes(name));
    return validate(Object.fromEntries(own), { node, at });
  }

  /** The rules of every definition that are not run, with the reason. */
  skippedRules(): readonly (SkippedAt & { kind: string })[] {
    for (const version of this.#versions.values()) this.node(version);
    return this.#skipped;
  }
}

function keyOf({ group, kind, version }: { group: string; kind: string; version: string }): string {
  return `${group}/${version}/${kind}`;
}
