/**
 * The golden compile cases: `testdata/<area>/<case>/`. A new case is a new folder; it adds no code.
 * See `testdata/README.md` for the files of a case. `LGW_UPDATE_GOLDEN=1` rewrites the goldens.
 */
import { assert, assertEquals } from "@std/assert";
import { parse, stringify } from "@std/yaml";
import { compileTable } from "../../shared/dataplane/table/compile.ts";
import type { Decision, RouteTable } from "../../shared/dataplane/table/types.ts";
import { compile, type CompileResult } from "./compile.ts";
import type { ScopeContent } from "../publish/types.ts";
import { formatProblem } from "../source/batch.ts";
import { ManifestSet } from "../source/files/manifest_set.ts";
import { ObjectStore } from "../store/store.ts";

const ROOT = new URL("../testdata/", import.meta.url);
const NOW = Date.parse("2026-01-01T00:00:00Z");
const UPDATE = Deno.env.get("LGW_UPDATE_GOLDEN") === "1";
const FILES = new Set([
  "input.yaml",
  "edit.yaml",
  "options.yaml",
  "requests.yaml",
  "snapshot.golden.yaml",
  "status.golden.yaml",
  "infrastructure.golden.yaml",
]);

interface CaseOptions {
  controllerName?: string;
  /** What the proxies acknowledged; absent = nothing known. */
  programmed?: boolean;
  addresses?: { type: string; value: string }[];
  /** Why no Gateway's newest content can be served. */
  obstacle?: string;
  /** The time at which it is compiled. */
  now?: string;
}

interface RequestCase {
  /** `namespace/name`. */
  gateway: string;
  /** Default 80. */
  port?: number;
  method?: string;
  host?: string;
  path?: string;
  /** A connection rather than a request: its server name, empty when it has none. */
  stream?: string;
  query?: string;
  headers?: Record<string, string>;
  /** Members of {@linkcode Answer} that must be equal. */
  expect: Partial<Answer>;
}

/** What a request comes to, as far as the table decides it. */
interface Answer {
  listener: string;
  route: string;
  rule: string;
  /** `namespace/name weight`, or `reason weight` for references that do not resolve. */
  backends: string[];
  status: number;
}

interface Compiled {
  result: CompileResult;
  problems: string[];
}

function readText(path: URL): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** `{{crt:example}}` and `{{key:example}}` stand for the files in `_tls`, base64 with `64` added. */
function fillCertificates(text: string): string {
  return text.replaceAll(
    /\{\{(crt|key)(64)?:([a-z]+)\}\}/g,
    (_, kind: string, base64: string | undefined, name: string) => {
      const pem = Deno.readTextFileSync(new URL(`_tls/${name}.${kind}`, ROOT));
      return base64 === undefined ? JSON.stringify(pem) : btoa(pem);
    },
  );
}

function compileTexts(
  texts: { defaults: string | undefined; inputs: string[] },
  options: CaseOptions,
): Compiled {
  const set = new ManifestSet({ now: () => NOW });
  const store = new ObjectStore();
  let problems: string[] = [];
  if (texts.defaults !== undefined) {
    set.setFile("_defaults.yaml", fillCertificates(texts.defaults), { removals: "apply" });
  }
  for (const input of texts.inputs) {
    set.setFile("input.yaml", fillCertificates(input), { removals: "apply" });
    const batch = set.take();
    store.apply(batch);
    problems = batch.problems.map(formatProblem);
  }
  if (texts.inputs.length === 0) store.apply(set.take());
  const { programmed, addresses, controllerName, obstacle, now } = options;
  const result = compile(store.view(), {
    ...(controllerName === undefined ? {} : { controllerName }),
    ...(programmed === undefined
      ? {}
      : { programmed: () => programmed, setProgrammed: () => programmed }),
    ...(addresses === undefined ? {} : { addresses: () => addresses }),
    ...(obstacle === undefined ? {} : { obstacle: () => obstacle }),
    ...(now === undefined ? {} : { now: Date.parse(now) }),
  });
  return { result, problems };
}

function scopeValue({ resources }: ScopeContent) {
  return Object.fromEntries([...resources].sort(([a], [b]) => a < b ? -1 : 1));
}

/** Only what differs from the area's defaults: the base objects are the same in every case. */
function difference<V>(
  after: ReadonlyMap<string, V>,
  { before, show }: { before: ReadonlyMap<string, V>; show: (value: V) => unknown },
): Record<string, unknown> {
  const text = (value: V) => JSON.stringify(show(value));
  return Object.fromEntries(
    [...after].filter(([key, value]) => {
      const known = before.get(key);
      return known === undefined || text(known) !== text(value);
    }).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => [key, show(value)]),
  );
}

function render(value: unknown): string {
  return stringify(JSON.parse(JSON.stringify(value)), { lineWidth: -1 });
}

/** Also what is around Gateways, where a case has a golden for it. */
function infrastructureGolden(folder: URL, { result }: Compiled, base: CompileResult) {
  if (readText(new URL("infrastructure.golden.yaml", folder)) === undefined) return {};
  return {
    "infrastructure.golden.yaml": render(
      difference(result.infrastructure, { before: base.infrastructure, show: (value) => value }),
    ),
  };
}

function goldens({ result, problems }: Compiled, base: CompileResult) {
  const known = new Set(
    [...base.diagnostics.values()].map((diagnostic) => JSON.stringify(diagnostic)),
  );
  return {
    "snapshot.golden.yaml": render({
      scopes: difference(result.scopes, { before: base.scopes, show: scopeValue }),
      endpoints: difference(result.endpoints, { before: base.endpoints, show: (set) => set }),
      certificates: [...result.certificates.keys()].sort(),
      ...(result.trust.size === 0 ? {} : { trust: [...result.trust.keys()].sort() }),
    }),
    "status.golden.yaml": render({
      statuses: difference(result.statuses, { before: base.statuses, show: (status) => status }),
      diagnostics: [...result.diagnostics.values()].filter((entry) =>
        !known.has(JSON.stringify(entry))
      ),
      problems,
    }),
  };
}

function answerOf(decision: Decision): Partial<Answer> {
  if (decision.kind === "no_listener") return { status: 404 };
  if (decision.kind === "no_route") return { listener: decision.listener.name, status: 404 };
  const { listener, rule } = decision.candidate;
  const redirect = rule.filters.find((filter) => filter.type === "redirect");
  const good = rule.backends.some((backend) => backend.error === "" && backend.weight > 0);
  const status = redirect?.status ?? (good ? undefined : 500);
  return {
    listener: listener.name,
    route: `${rule.routeNamespace}/${rule.routeName}`,
    rule: rule.rule,
    backends: rule.backends.map(({ error, name, weight }) => `${error || name} ${weight}`),
    ...(status === undefined ? {} : { status }),
  };
}

function checkRequest(request: RequestCase, result: CompileResult): void {
  const scope = `gateway/${request.gateway}`;
  const content = result.scopes.get(scope);
  assert(content !== undefined, `requests.yaml: there is no scope ${scope}`);
  const { resources } = content;
  const table: RouteTable = compileTable({ scope, version: 1, digest: "", resources });
  const port = table.ports.get(request.port ?? 80);
  const decision: Decision = (request.stream === undefined
    ? port?.route({
      method: request.method ?? "GET",
      host: request.host ?? "",
      path: request.path ?? "",
      query: request.query ?? "",
      headers: Object.entries(request.headers ?? {}).flat(),
    })
    : port?.stream(request.stream)) ?? { kind: "no_listener" };
  const answer = answerOf(decision);
  for (const member of Object.keys(request.expect) as (keyof Answer)[]) {
    assertEquals(
      answer[member],
      request.expect[member],
      `${JSON.stringify(request)} came to ${JSON.stringify(answer)}`,
    );
  }
}

function runCase(folder: URL, defaults: string | undefined): void {
  for (const { name } of Deno.readDirSync(folder)) {
    assert(FILES.has(name), `${folder.pathname}${name} belongs to no case: orphan`);
  }
  const input = readText(new URL("input.yaml", folder));
  assert(input !== undefined, `${folder.pathname} has goldens but no input.yaml`);
  assert(input.startsWith("# "), "input.yaml must start with a comment that names the spec rule");
  const edit = readText(new URL("edit.yaml", folder));
  const options = parse(readText(new URL("options.yaml", folder)) ?? "{}") as CaseOptions;
  const inputs = edit === undefined ? [input] : [input, edit];
  const compiled = compileTexts({ defaults, inputs }, options);
  const base = compileTexts({ defaults, inputs: [] }, options).result;
  const texts = { ...goldens(compiled, base), ...infrastructureGolden(folder, compiled, base) };
  for (const [name, text] of Object.entries(texts)) {
    const path = new URL(name, folder);
    if (UPDATE) Deno.writeTextFileSync(path, text);
    else assertEquals(text, readText(path), `${name} differs; \`deno task golden\` rewrites it`);
  }
  const requests = parse(readText(new URL("requests.yaml", folder)) ?? "[]") as RequestCase[];
  for (const request of requests) checkRequest(request, compiled.result);
}

function folders(at: URL): string[] {
  return [...Deno.readDirSync(at)]
    .filter(({ isDirectory, name }) => isDirectory && !name.startsWith("_"))
    .map(({ name }) => name).sort();
}

for (const area of folders(ROOT)) {
  const areaUrl = new URL(`${area}/`, ROOT);
  const defaults = readText(new URL("_defaults.yaml", areaUrl));
  for (const name of folders(areaUrl)) {
    Deno.test(`compile() golden ${area}/${name}`, () => {
      runCase(new URL(`${name}/`, areaUrl), defaults);
    });
  }
}
