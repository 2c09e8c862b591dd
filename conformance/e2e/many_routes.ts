/** Thousands of routes, one object per file, written in a second. */
import { route } from "./manifests.ts";

export interface ManyRoutes {
  count: number;
  /** Name of the LightBackend that all of them forward to. */
  backend: string;
}

/** The n-th route's host. */
export function hostOf(index: number): string {
  return `r${index}.example.com`;
}

/** The n-th route's file, without `.yaml`. */
export function fileOf(index: number): string {
  return `route-${index}`;
}

/** The n-th route. */
export function routeAt(index: number, backend: string): string {
  return route({ host: hostOf(index), backend });
}

/** File name → manifest. */
export function manyRoutes({ count, backend }: ManyRoutes): Record<string, string> {
  const MARK = "mark-of-the-route";
  // Writing YAML is the slow part: one text serves as the pattern of all.
  const [before = "", between = "", after = ""] = route({
    host: `${MARK}.example.com`,
    name: MARK,
    backend,
  }).split(MARK);
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [fileOf(i), `${before}r${i}${between}r${i}${after}`]),
  );
}
