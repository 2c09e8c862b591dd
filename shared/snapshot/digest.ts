/**
 * The digest of a snapshot: root of a Merkle tree of fixed shape over its resources.
 *
 *     leaf   = H(0x00 | u32be length of id | id | canonical JSON of the resource)
 *     bucket = H(0x02 | leaf hashes in byte order of their ids); 256 buckets by first byte of H(id)
 *     node   = H(0x01 | left | right), eight levels
 *
 * The shape is fixed so that one changed resource costs one bucket and eight nodes.
 */
import { canonicalBytes } from "./canonical.ts";
import { digestText, sha256 } from "./hash.ts";

const BUCKETS = 256;
const LEAF = Uint8Array.of(0x00);
const NODE = Uint8Array.of(0x01);
const BUCKET = Uint8Array.of(0x02);
const encoder = new TextEncoder();

interface Leaf {
  readonly name: string;
  readonly id: Uint8Array;
  readonly hash: Uint8Array;
}

/** What changes between two trees. */
export interface TreeChange {
  /** Id → resource, new or changed. */
  set: Iterable<readonly [string, unknown]>;
  /** Ids that go; unknown ones are ignored. */
  deleted: Iterable<string>;
}

/** An immutable Merkle tree; {@linkcode DigestTree.with} shares what does not change. */
export class DigestTree {
  readonly #buckets: readonly (readonly Leaf[])[];
  /** Heap order: the root is 1, bucket b is 256 + b; 0 is unused. */
  readonly #nodes: readonly Uint8Array[];

  private constructor(buckets: readonly (readonly Leaf[])[], nodes: readonly Uint8Array[]) {
    this.#buckets = buckets;
    this.#nodes = nodes;
  }

  /** The tree of no resources. */
  static empty(): DigestTree {
    const nodes: Uint8Array[] = new Array(2 * BUCKETS);
    let hash = sha256(BUCKET);
    for (let first = BUCKETS; first >= 1; first /= 2) {
      nodes.fill(hash, first, 2 * first);
      hash = sha256(NODE, hash, hash);
    }
    nodes[0] = hash;
    return new DigestTree(new Array(BUCKETS).fill([]), nodes);
  }

  /** The tree of `resources`, whatever their order. */
  static of(resources: Iterable<readonly [string, unknown]>): DigestTree {
    return DigestTree.empty().with({ set: resources, deleted: [] });
  }

  /** The tree after a change; the receiver stays as it is. */
  with(change: TreeChange): DigestTree {
    const dirty = new Map<number, Map<string, Leaf | undefined>>();
    const touch = (id: string, bytes: Uint8Array, leaf: Leaf | undefined) => {
      const bucket = sha256(bytes)[0] ?? 0;
      const entries = dirty.get(bucket);
      if (entries === undefined) dirty.set(bucket, new Map([[id, leaf]]));
      else entries.set(id, leaf);
    };
    for (const id of change.deleted) touch(id, encoder.encode(id), undefined);
    for (const [id, resource] of change.set) {
      const bytes = encoder.encode(id);
      touch(id, bytes, { name: id, id: bytes, hash: leafHash(bytes, resource) });
    }
    if (dirty.size === 0) return this;
    const buckets = this.#buckets.slice();
    const nodes = this.#nodes.slice();
    let parents = new Set<number>();
    for (const [bucket, entries] of dirty) {
      const leaves = mergeLeaves(buckets[bucket] ?? [], entries);
      buckets[bucket] = leaves;
      nodes[BUCKETS + bucket] = sha256(BUCKET, ...leaves.map((leaf) => leaf.hash));
      parents.add((BUCKETS + bucket) >> 1);
    }
    while (parents.size > 0) {
      const next = new Set<number>();
      for (const node of parents) {
        nodes[node] = sha256(NODE, nodeAt(nodes, 2 * node), nodeAt(nodes, 2 * node + 1));
        if (node > 1) next.add(node >> 1);
      }
      parents = next;
    }
    return new DigestTree(buckets, nodes);
  }

  /** `sha256:` + lower-case hex of the root. */
  get digest(): string {
    return digestText(nodeAt(this.#nodes, 1));
  }
}

/** The digest of a whole resource map. */
export function snapshotDigest(resources: Iterable<readonly [string, unknown]>): string {
  return DigestTree.of(resources).digest;
}

function leafHash(id: Uint8Array, resource: unknown): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, id.length);
  return sha256(LEAF, length, id, canonicalBytes(resource));
}

function nodeAt(nodes: readonly Uint8Array[], index: number): Uint8Array {
  const node = nodes[index];
  if (node === undefined) throw new RangeError(`no node ${index}`);
  return node;
}

function mergeLeaves(
  leaves: readonly Leaf[],
  changes: ReadonlyMap<string, Leaf | undefined>,
): Leaf[] {
  const kept = leaves.filter((leaf) => !changes.has(leaf.name));
  for (const leaf of changes.values()) if (leaf !== undefined) kept.push(leaf);
  return kept.sort((a, b) => compareBytes(a.id, b.id));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
