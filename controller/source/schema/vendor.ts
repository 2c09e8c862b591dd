/**
 * Rewrites `crds/` from a local folder of the Go module `sigs.k8s.io/gateway-api`:
 *
 *     deno run --allow-env --allow-read --allow-write=controller/source/schema/crds \
 *       controller/source/schema/vendor.ts <folder of the module>
 *
 * Descriptions go, because nothing here reads them and they are nine tenths of the text; every
 * keyword that validates, defaults or prunes stays.
 */
import { parse } from "@std/yaml";
import { asRecord } from "../decode/decoder.ts";

const KINDS = [
  "backendtlspolicies",
  "gatewayclasses",
  "gateways",
  "grpcroutes",
  "httproutes",
  "listenersets",
  "referencegrants",
  "tcproutes",
  "tlsroutes",
  "udproutes",
];
const GROUP = "gateway.networking.k8s.io";

/** The schema without descriptions. A property that is called `description` stays. */
function withoutDescriptions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDescriptions);
  const record = asRecord(value);
  if (record === undefined) return value;
  return Object.fromEntries(
    Object.entries(record)
      .filter(([name, entry]) => name !== "description" || typeof entry !== "string")
      .map(([name, entry]) => [name, withoutDescriptions(entry)]),
  );
}

if (import.meta.main) {
  const [module] = Deno.args;
  if (module === undefined) throw new Error("name the folder of the module gateway-api");
  for (const plural of KINDS) {
    const name = `${GROUP}_${plural}`;
    const text = await Deno.readTextFile(`${module}/config/crd/standard/${name}.yaml`);
    const crd = asRecord(withoutDescriptions(parse(text))) ?? {};
    // An example of what the API server fills in, not part of the definition.
    const { status: _status, ...definition } = crd;
    const target = new URL(`crds/${name}.json`, import.meta.url);
    await Deno.writeTextFile(target, `${JSON.stringify(definition)}\n`);
  }
}
