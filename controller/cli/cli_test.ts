import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { compileTable } from "../../shared/dataplane/table/compile.ts";
import { completionScript } from "./completion.ts";
import { explainRequest } from "./explain.ts";
import { showHistory } from "./history.ts";
import type { HistoryEntry } from "./history.ts";
import { compileManifests } from "./manifests.ts";
import { parseFormat, render, table } from "./output.ts";
import { lgwProgram } from "./program.ts";
import { showProxies } from "./proxies.ts";
import { parseRequest } from "./request_argument.ts";
import { showStatus } from "./status.ts";
import { validateManifests } from "./validate.ts";

const SAMPLES = new URL("../../deploy/samples/quickstart", import.meta.url).pathname;

async function sampleTables() {
  const { result } = await compileManifests([SAMPLES]);
  return [...result.scopes].map(([scope, { resources }]) =>
    compileTable({ scope, version: 7, digest: "", resources })
  );
}

const none = { method: "get", header: [] };

Deno.test("parseRequest() reads a URL and headers as curl does", () => {
  const asked = parseRequest("https://Shop.example.com/a?x=1", {
    method: "post",
    header: ["X-Beta:  true ", "Host: other.example.com:443"],
  });
  assertEquals(asked, {
    scheme: "https",
    port: 443,
    request: {
      method: "POST",
      host: "other.example.com",
      path: "/a",
      query: "x=1",
      headers: ["x-beta", "true"],
    },
  });
  assertEquals(parseRequest("http://a.com:8000", none).port, 8000);
  assertEquals(parseRequest("http://a.com", none).request.path, "/");
  assertThrows(() => parseRequest("a.com/x", none), TypeError, "expected a URL");
  assertThrows(() => parseRequest("http://a", { method: "GET", header: ["x"] }), TypeError, "-H x");
});

Deno.test("explainRequest() names the route and why every other candidate is not it", async () => {
  const tables = await sampleTables();
  const asked = parseRequest("http://shop.example.com/api/v1/items", none);
  const { output, exitCode } = explainRequest(tables, { asked, format: "table" });
  assertEquals(exitCode, 0);
  assertStringIncludes(output, "quickstart/public (version 7)");
  assertStringIncludes(output, "route     quickstart/api rule v1 (prefix /api/v1)");
  assertStringIncludes(output, "header x-beta: wants true, the request has none");
  assertStringIncludes(output, "hostname: wants old.example.com");
  assertStringIncludes(output, "matches, but quickstart/api rule v1");
  const json = explainRequest(tables, { asked, format: "json" });
  const [first] = JSON.parse(json.output);
  assertEquals([first.route, first.rule, first.others.length], ["quickstart/api", "v1", 3]);
});

Deno.test("explainRequest() exits with 1 when no Gateway routes the request", async () => {
  const tables = await sampleTables();
  const ask = (url: string) =>
    explainRequest(tables, { asked: parseRequest(url, none), format: "table" });
  const other = ask("http://nobody.example.org/");
  assertEquals(other.exitCode, 1);
  assertStringIncludes(other.output, "404: no route matches");
  assertStringIncludes(ask("http://shop.example.com:81/").output, "ports served: 80");
  assertStringIncludes(
    ask("https://shop.example.com:80/").output,
    "port 80 speaks HTTP, not HTTPS",
  );
});

Deno.test("validateManifests() exits with 1 and names object, field and fix", async () => {
  const { output, exitCode } = validateManifests(await compileManifests([SAMPLES]), {
    format: "table",
  });
  // The samples' certificate is made at start; without it that listener cannot be served.
  assertEquals(exitCode, 1);
  assertStringIncludes(output, 'Secret "quickstart/quickstart-tls" does not exist; create it');
  const json = validateManifests(await compileManifests([SAMPLES]), { format: "json" });
  assertEquals(JSON.parse(json.output).errors, 2);
});

Deno.test("showStatus() exits with 0 only when all is well and a proxy is ready", () => {
  const condition = (status: "True" | "False") => ({
    type: "Accepted",
    status,
    reason: "Because",
    message: "do something",
    observedGeneration: 1,
    lastTransitionTime: "2026-01-01T00:00:00Z",
  });
  const report = (status: "True" | "False", ready: boolean) => ({
    leading: true,
    objects: { "Gateway/ns/gw": { conditions: [condition(status)] } },
    scopes: {},
    proxies: [{ name: "p", ready, versions: { "gateway/ns/gw": 3 }, problems: [] }],
    problems: [],
    diagnostics: [],
  });
  const options = { format: "table", all: false } as const;
  assertEquals(showStatus(report("True", true), options).exitCode, 0);
  assertEquals(showStatus(report("True", false), options).exitCode, 1);
  const bad = showStatus(report("False", true), options);
  assertEquals(bad.exitCode, 1);
  assertStringIncludes(bad.output, "do something");
  assertStringIncludes(bad.output, "gateway/ns/gw@3");
});

Deno.test("showHistory() lists versions with the objects that caused them", () => {
  const entry = (version: number, scope = "gateway/ns/gw"): HistoryEntry => ({
    scope,
    version,
    epoch: 1,
    type: "delta",
    time: "2026-01-01T00:00:00.000Z",
    digest: "sha256:abcdef0123456789",
    bytes: 10,
    set: [],
    deleted: ["x"],
    changes: [1, 2, 3, 4].map((n) => ({
      object: `HTTPRoute/ns/r${n}`,
      generation: n,
      manager: "f",
    })),
  });
  const entries = [entry(1), entry(2), entry(3), entry(1, "gateway/ns/other")];
  const shown = showHistory(entries, { format: "table", gateway: "ns/gw", limit: 2 });
  assertEquals(shown.output.split("\n").length, 3);
  assertStringIncludes(shown.output, "HTTPRoute/ns/r3@3, and 1 more, -1 resources");
  assert(!shown.output.includes("other"));
  assertEquals(showHistory([], { format: "json", limit: 5 }), { output: "[]", exitCode: 1 });
});

Deno.test("showProxies() exits with 0 only when every proxy is ready and current", () => {
  const report = (ready: boolean, version: number) => ({
    scopes: { "gateway/ns/gw": { version: 3, digest: "d" } },
    proxies: [
      { name: "a", ready: true, versions: { "gateway/ns/gw": 3 }, problems: [] },
      { name: "b", ready, versions: { "gateway/ns/gw": version }, problems: ["port 80: taken"] },
    ],
  });
  const show = (ready: boolean, version: number, format: "table" | "yaml" = "table") =>
    showProxies(report(ready, version), { format });
  assertEquals([show(true, 3), show(false, 3), show(true, 2)].map(({ exitCode }) => exitCode), [
    0,
    1,
    1,
  ]);
  assertEquals(showProxies({ scopes: {}, proxies: [] }, { format: "table" }).exitCode, 1);
  assertStringIncludes(show(true, 2).output, "b      yes    ns/gw    2       3          behind");
  assertStringIncludes(show(true, 2).output, "b: port 80: taken");
  assertStringIncludes(show(true, 2, "yaml").output, "state: behind");
});

/** What a real bash offers for the last of `words`. */
async function complete(...words: string[]): Promise<string[]> {
  const script = completionScript(lgwProgram(), "bash");
  const { code, stdout } = await new Deno.Command("bash", {
    args: [
      "-c",
      `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lgw; printf '%s\\n' "\${COMPREPLY[@]}"`,
      "bash",
      ...words,
    ],
  }).output();
  assertEquals(code, 0);
  return new TextDecoder().decode(stdout).trim().split("\n");
}

Deno.test("completionScript() offers commands, options and their values", async () => {
  assertEquals(await complete("lgw", "st"), ["status"]);
  assertEquals(await complete("lgw", "explain", "--me"), ["--method"]);
  assertEquals(await complete("lgw", "status", "-o", ""), ["table", "json", "yaml"]);
  assertEquals(await complete("lgw", "log-level", "w"), ["warn"]);
  assertStringIncludes(
    completionScript(lgwProgram(), "fish"),
    "complete -c lgw -n '__fish_seen_subcommand_from status' -s o -l output",
  );
  assertStringIncludes(completionScript(lgwProgram(), "zsh"), "bashcompinit");
});

Deno.test("render() gives YAML that is JSON's twin", () => {
  const value = { a: [1, "x"], gone: undefined };
  assertEquals(render("yaml", value, () => ""), "a:\n  - 1\n  - x");
});

Deno.test("parseFormat() refuses a format that there is not", () => {
  assertThrows(() => parseFormat("xml"), TypeError, "expected one of table, json, yaml");
});

Deno.test("table() aligns all columns but the last", () => {
  assertEquals(table(["A", "B"], [["long", "x"], ["s", "y"]]), "A     B\nlong  x\ns     y");
});
