import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";

const HERE = new URL("./", import.meta.url);
const SOURCE = new URL("../../../controller/source/schema/crds/", import.meta.url);

const definitions = (folder: URL) =>
  [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith("gateway.lightapi.net_")).sort();

Deno.test("crds/ holds every definition of our group as the controller judges by it", () => {
  const names = definitions(SOURCE);
  assertEquals(definitions(HERE), names);
  for (const name of names) {
    assertEquals(
      Deno.readTextFileSync(new URL(name, HERE)),
      Deno.readTextFileSync(new URL(name, SOURCE)),
      `deploy/manifests/crds/${name} is no copy of controller/source/schema/crds/${name}`,
    );
  }
  const { resources } = parse(Deno.readTextFileSync(new URL("kustomization.yaml", HERE))) as {
    resources: string[];
  };
  assertEquals(resources.toSorted(), names);
});

Deno.test("crds/ has printer columns and names that fit together", () => {
  for (const name of definitions(HERE)) {
    const { metadata, spec } = JSON.parse(Deno.readTextFileSync(new URL(name, HERE)));
    assertEquals(metadata.name, `${spec.names.plural}.${spec.group}`);
    for (const version of spec.versions) {
      assert(version.additionalPrinterColumns.length > 1, `${name} has no printer columns`);
    }
  }
});
