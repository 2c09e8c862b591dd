import { assertEquals } from "@std/assert";
import { keyOf } from "../../model/objects.ts";
import { ManifestSet } from "./manifest_set.ts";
import { objectUid } from "./uid.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const newSet = () => new ManifestSet({ now: () => NOW });

function service(name: string, { port = 80, label = "a", namespace = "default" } = {}): string {
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace}, labels: { l: ${label} } }
spec: { ports: [{ port: ${port} }] }
`;
}

function secret(value: string): string {
  return `apiVersion: v1\nkind: Secret\nmetadata: { name: s }\nstringData: { k: "${value}" }\n`;
}

Deno.test("ManifestSet counts generations of the spec, not of labels or files", () => {
  const set = newSet();
  const generation = (file: string, text: string) => {
    set.setFile(file, text, { removals: "apply" });
    const { upserts } = set.take();
    return upserts.find((object) => object.kind === "Service")?.meta.generation;
  };
  assertEquals(generation("a.yaml", service("s")), 1);
  assertEquals(generation("a.yaml", `# moved down\n${service("s")}`), undefined);
  assertEquals(generation("a.yaml", service("s", { label: "b" })), 1);
  assertEquals(generation("a.yaml", service("s", { port: 81 })), 2);
});

Deno.test("ManifestSet sees a changed Secret and never shows its value", () => {
  const set = newSet();
  set.setFile("s.yaml", secret("one"), { removals: "apply" });
  set.take();
  set.setFile("s.yaml", secret("two"), { removals: "apply" });
  const batch = set.take();
  assertEquals(batch.upserts.map(keyOf), ["Secret/default/s"]);
  assertEquals(Deno.inspect(batch, { depth: 9 }).includes("two"), false);
  assertEquals(set.takeRemembered().map(([key]) => key), ["Namespace//default"]);
});

Deno.test("ManifestSet holds removals back until they are applied", () => {
  const set = newSet();
  const both = service("a") + service("b");
  assertEquals(set.setFile("f.yaml", both, { removals: "apply" }), false);
  set.take();
  assertEquals(set.setFile("f.yaml", "", { removals: "hold" }), true);
  assertEquals(set.take().deletes, []);
  assertEquals(set.setFile("f.yaml", service("a"), { removals: "hold" }), true);
  assertEquals(set.setFile("f.yaml", both, { removals: "hold" }), false);
  assertEquals(set.take().deletes, []);
  assertEquals(set.setFile("f.yaml", service("b"), { removals: "apply" }), false);
  assertEquals(set.take().deletes, ["Service/default/a"]);
});

Deno.test("ManifestSet makes a Namespace with its name label for whatever is in it, and drops it", () => {
  const set = newSet();
  set.setFile("f.yaml", service("a", { namespace: "blue" }), { removals: "apply" });
  const [namespace] = set.take().upserts;
  assertEquals(namespace?.meta.labels, { "kubernetes.io/metadata.name": "blue" });
  set.removeFile("f.yaml");
  assertEquals(set.take().deletes, ["Namespace//blue", "Service/blue/a"]);
});

Deno.test("ManifestSet takes the object of the first file by name, whatever came first", () => {
  const set = newSet();
  set.setFile("b.yaml", service("s", { port: 2 }), { removals: "apply" });
  set.setFile("a.yaml", service("s", { port: 1 }), { removals: "apply" });
  const batch = set.take();
  assertEquals(batch.problems.map(({ file }) => file), ["b.yaml"]);
  assertEquals(batch.upserts.at(-1)?.meta.manager, "a.yaml");
  set.removeFile("a.yaml");
  assertEquals(set.take().upserts.at(-1)?.meta.manager, "b.yaml");
});

Deno.test("ManifestSet goes on from what an earlier run remembered", () => {
  const first = newSet();
  first.setFile("f.yaml", service("a") + service("b"), { removals: "apply" });
  first.take();
  first.setFile("f.yaml", service("a", { port: 2 }) + service("b"), { removals: "apply" });
  first.take();
  const known = new Map(
    first.takeRemembered().flatMap(([key, value]) => value === undefined ? [] : [[key, value]]),
  );
  assertEquals(first.takeRemembered(), []);
  const later = new ManifestSet({ now: () => NOW + 60_000, known });
  later.setFile("f.yaml", service("a", { port: 2 }) + service("b", { port: 2 }), {
    removals: "apply",
  });
  const metas = later.take().upserts.filter(({ kind }) => kind === "Service");
  assertEquals(metas.map(({ meta }) => meta.generation), [2, 2]);
  assertEquals(metas[0]?.meta.created, NOW / 1000);
});

Deno.test("ManifestSet never throws, whatever the text is", () => {
  const texts = [
    "\u0000",
    "a: *missing",
    "a: &a [*a]",
    "&a a: *a",
    "[".repeat(20_000),
    "a: &x [1,2]\n" + "b: [*x,*x,*x,*x,*x,*x,*x,*x,*x,*x]\n",
    "%YAML 9.9\n---\na: 1",
    "? [complex]\n: value",
    "- 1\n- 2",
    "apiVersion: v1\nkind: List\nitems: [1, null, {}]",
    "apiVersion: v1\nkind: Service\nmetadata: []\nspec: 3",
    "!!binary x",
    "{__proto__: {apiVersion: v1, kind: Service}}",
  ];
  for (const text of texts) {
    const set = newSet();
    set.setFile("f.yaml", text, { removals: "apply" });
    assertEquals(set.take().upserts, []);
  }
});

Deno.test("objectUid() is a UUIDv5 that depends on the key alone", () => {
  const uid = objectUid("Service/default/a");
  assertEquals(uid, objectUid("Service/default/a"));
  assertEquals(
    /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uid),
    true,
  );
});
