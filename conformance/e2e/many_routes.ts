/** Thousands of routes, one object per file, written in a second; and few that weigh as much. */
import { stringify } from "@std/yaml";
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

/** The n-th heavy route's host. */
export function heavyHostOf(i: number): string {
  return `heavy-${i}.example.com`;
}

/** A route that carries as much as one rule may: sixteen headers of 4 kB. */
export function heavyRoute(i: number, backend: string): string {
  return stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: `heavy-${i}`, namespace: "e2e" },
    spec: {
      parentRefs: [{ name: "edge" }],
      hostnames: [heavyHostOf(i)],
      rules: [{
        filters: [{
          type: "ResponseHeaderModifier",
          responseHeaderModifier: {
            set: Array.from({ length: 16 }, (_, n) => ({ name: `x-${n}`, value: randomText() })),
          },
        }],
        backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: backend }],
      }],
    },
  });
}

function randomText(): string {
  return crypto.getRandomValues(new Uint8Array(3072)).toBase64({ alphabet: "base64url" });
}
