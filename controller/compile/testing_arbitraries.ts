/** What random objects are made of. */
import fc from "fast-check";
import type { Kind, Labels, ObjectMeta } from "../model/objects.ts";

export const NAMESPACES = ["a", "b"];

export const namespace = fc.constantFrom(...NAMESPACES);
export const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

export const pick = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** The usual value, and now and then the other. */
export const often = <T>(usual: T, other: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, fc.constant(other));

/** Mostly nothing. */
export const seldom = <T>(...values: T[]): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, fc.constantFrom(...values));

export type Present<T> =
  & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> };

/** Leaves out members that are undefined, as decoders do. */
export function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as Present<T>;
}

export interface MetaOptions {
  names: string[];
  namespaced?: boolean;
  labels?: fc.Arbitrary<Labels>;
}

export function meta(
  kind: Kind,
  { names, namespaced = true, labels = fc.constant({}) }: MetaOptions,
): fc.Arbitrary<ObjectMeta> {
  return fc.record({
    namespace: namespaced ? namespace : fc.constant(""),
    name: fc.constantFrom(...names),
    generation: fc.integer({ min: 1, max: 3 }),
    created: fc.integer({ min: 0, max: 2 }),
    labels,
    manager: fc.constantFrom("x.yaml", "y.yaml"),
  }).map((entry) => ({ ...entry, uid: `${kind}/${entry.namespace}/${entry.name}` }));
}
