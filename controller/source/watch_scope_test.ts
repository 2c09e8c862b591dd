import { assertEquals } from "@std/assert";
import { loadInline } from "./files/inline.ts";
import { withinScope } from "./watch_scope.ts";
import type { WatchScope } from "./watch_scope.ts";

const MANIFESTS = `
apiVersion: v1
kind: Namespace
metadata: { name: one }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: ours }
spec: { controllerName: a.example/b }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: other }
spec: { controllerName: a.example/b }
---
apiVersion: v1
kind: Service
metadata: { name: s, namespace: one }
spec: { ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: s, namespace: two }
spec: { ports: [{ port: 80 }] }
`;

function watched(scope: WatchScope): string[] {
  return withinScope(loadInline(MANIFESTS, "test"), scope).upserts
    .map(({ kind, meta }) => `${kind}/${meta.namespace}/${meta.name}`).sort();
}

Deno.test("withinScope() keeps everything without a scope", () => {
  assertEquals(watched({ gatewayClassName: "", watchNamespaces: [] }).length, 6);
});

Deno.test("withinScope() leaves out other classes and other namespaces", () => {
  assertEquals(watched({ gatewayClassName: "ours", watchNamespaces: [] }), [
    "GatewayClass//ours",
    "Namespace//one",
    "Namespace//two",
    "Service/one/s",
    "Service/two/s",
  ]);
  assertEquals(watched({ gatewayClassName: "", watchNamespaces: ["two"] }), [
    "GatewayClass//other",
    "GatewayClass//ours",
    "Namespace//one",
    "Namespace//two",
    "Service/two/s",
  ]);
});
