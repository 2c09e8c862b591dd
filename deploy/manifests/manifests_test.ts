/** What the manifests and the processes have to agree on. */
import { assert, assertEquals } from "@std/assert";
import { parseAll } from "@std/yaml";
import { parseControllerConfig } from "../../controller/config.ts";
import { KINDS } from "../../controller/source/kinds.ts";
import { parseProxyConfig } from "../../proxy/config.ts";
import { readBootstrapFile } from "../../shared/lib/bootstrap_file.ts";
import { generateKeys } from "../cluster/keys.ts";

type Manifest = Record<string, unknown> & { kind: string; metadata: { name: string } };

async function manifests(file: string): Promise<Manifest[]> {
  const text = await Deno.readTextFile(new URL(file, import.meta.url));
  return parseAll(text) as Manifest[];
}

async function bootstrap(name: "controller" | "proxy"): Promise<unknown> {
  const all = await manifests(`base/${name}.yaml`);
  const map = all.find(({ kind }) => kind === "ConfigMap");
  const keys = await generateKeys({ namespace: "ns", fleet: "default", now: new Date(0) });
  const files = new Map([
    ...Object.entries((map?.data ?? {}) as Record<string, string>),
    ...Object.entries(keys[`${name}-keys`]).map(([file, text]) => [`keys/${file}`, text] as const),
  ]);
  return readBootstrapFile("/config/config.json", {
    file: (path) => {
      const text = files.get(path.replace("/config/", ""));
      assert(text !== undefined, `${path} is not mounted`);
      return text;
    },
    env: (variable) => `value of ${variable}`,
  });
}

Deno.test("the mounted configuration is one that the processes take", async () => {
  const controller = parseControllerConfig(await bootstrap("controller"));
  assertEquals(controller.kubernetes?.access, { kind: "pod" });
  assertEquals(controller.fleet, parseProxyConfig(await bootstrap("proxy")).fleet);
});

Deno.test("the controller may read every kind that it looks at, and write what it has to", async () => {
  for (
    const [file, kind] of [["base/rbac.yaml", "ClusterRole"], ["namespaced/rights.yaml", "Role"]]
  ) {
    const role = (await manifests(file ?? "")).find((manifest) => manifest.kind === kind);
    const rules = (role?.rules ?? []) as {
      apiGroups: string[];
      resources: string[];
      verbs: string[];
    }[];
    const may = (verb: string, group: string, resource: string) =>
      rules.some(({ apiGroups, resources, verbs }) =>
        apiGroups.includes(group) && verbs.includes(verb) &&
        (resources.includes(resource) || resources.includes("*"))
      );
    for (const { group, plural, namespaced } of KINDS) {
      if (kind === "Role" && !namespaced) continue;
      for (const verb of ["get", "list", "watch"]) {
        assert(may(verb, group, plural), `${file}: ${verb} ${plural}.${group}`);
      }
      if (group !== "gateway.networking.k8s.io" || plural === "referencegrants") continue;
      assert(may("patch", group, `${plural}/status`), `${file}: patch ${plural}/status`);
    }
    for (const verb of ["create", "patch", "delete"]) {
      assert(may(verb, "", "services") && may(verb, "discovery.k8s.io", "endpointslices"));
    }
  }
});

Deno.test("nobody but the controller has a token for the API server", async () => {
  for (const file of ["base/nats.yaml", "base/proxy.yaml"]) {
    for (const manifest of await manifests(file)) {
      if (manifest.kind !== "Deployment" && manifest.kind !== "StatefulSet") continue;
      const text = JSON.stringify(manifest);
      assert(text.includes('"automountServiceAccountToken":false'), file);
      assert(text.includes('"readOnlyRootFilesystem":true'), file);
    }
  }
});
