import { assert, assertEquals, assertThrows } from "@std/assert";
import { FEATURES } from "../../controller/features.ts";
import { parseConformanceArguments, UsageError } from "./arguments.ts";
import { parseCatalog } from "./catalog.ts";
import { parseClaims, planRun, type Selection } from "./claims.ts";
import { condense, explain } from "./condense.ts";
import { countProfiles, shortfalls } from "./outcome.ts";
import { IMPLEMENTATION, reportFolder, reportName, reportsReadme } from "./report_files.ts";
import { suiteFlags } from "./run_suite.ts";
import { profileTables, slowestTable } from "./tables.ts";
import { TestEvents } from "./test_events.ts";

/** A small suite, in the form that the real one writes. */
const catalog = parseCatalog(JSON.stringify({
  tests: [
    { name: "HTTPRouteSimpleSameNamespace", features: ["Gateway", "HTTPRoute"] },
    { name: "HTTPRouteWeight", features: ["Gateway", "HTTPRoute"] },
    {
      name: "HTTPRouteMethodMatching",
      features: ["Gateway", "HTTPRoute", "HTTPRouteMethodMatching"],
    },
    { name: "GatewayStaticAddresses", features: ["Gateway", "GatewayStaticAddresses"] },
    { name: "HTTPRouteCORS", features: ["Gateway", "HTTPRoute", "HTTPRouteCORS"] },
    { name: "TLSRouteSimpleSameNamespace", features: ["Gateway", "TLSRoute"] },
    { name: "HTTPRouteDisallowedKind", features: ["Gateway", "HTTPRoute", "TLSRoute"] },
  ],
  profiles: [
    {
      name: "GATEWAY-HTTP",
      core: ["Gateway", "HTTPRoute"],
      extended: ["GatewayStaticAddresses", "HTTPRouteCORS", "HTTPRouteMethodMatching"],
    },
    {
      name: "GATEWAY-TLS",
      core: ["Gateway", "TLSRoute"],
      extended: ["GatewayStaticAddresses"],
    },
  ],
}));
const claims = [{ name: "GATEWAY-HTTP", core: 2, extended: 2 }];
const claimed = ["Gateway", "HTTPRoute", "HTTPRouteMethodMatching", "GatewayStaticAddresses"];
const everything: Selection = { profiles: [], features: [], tests: [] };

async function recorded(): Promise<TestEvents> {
  const events = new TestEvents();
  const text = await Deno.readTextFile(new URL("testdata/events.jsonl", import.meta.url));
  for (const line of text.split("\n")) if (line !== "") events.take(line);
  return events;
}

Deno.test("parseConformanceArguments() reads options and their defaults", () => {
  const parse = (line: string) => parseConformanceArguments(line.split(" ").filter(Boolean));
  const defaults = parse("");
  assertEquals(defaults.gatewayClass, "light-k8s-gateway");
  assertEquals(defaults.usableAddress, "10.96.200.1");
  assertEquals(defaults.unusableAddress, "203.0.113.254");
  assertEquals(defaults.repeat, 1);
  const options = parse(
    "--profile GATEWAY-HTTP --profile GATEWAY-TLS --test A,B --repeat 3 --channel standard " +
      "--keep --features Gateway,HTTPRoute --timeouts RequestTimeout:5",
  );
  assertEquals(options.profiles, ["GATEWAY-HTTP", "GATEWAY-TLS"]);
  assertEquals(options.tests, ["A", "B"]);
  assertEquals(options.features, ["Gateway", "HTTPRoute"]);
  assertEquals([options.repeat, options.channel, options.keep], [3, "standard", true]);
});

for (
  const [line, message] of [
    ["--repeat 0", "--repeat 0: expected a whole number"],
    ["--channel beta", "expected one of standard, experimental"],
    ["--profile", "--profile: a value is missing"],
    ["HTTPRouteWeight", "HTTPRouteWeight is not understood"],
  ] as const
) {
  Deno.test(`parseConformanceArguments() refuses "${line}"`, () => {
    assertThrows(() => parseConformanceArguments(line.split(" ")), UsageError, message);
  });
}

Deno.test("parseClaims() reads the repository's own claims, and names what is wrong", async () => {
  const text = await Deno.readTextFile(new URL("../profiles.yaml", import.meta.url));
  assertEquals(parseClaims(text)[0]?.name, "GATEWAY-HTTP");
  assertThrows(
    () => parseClaims("profiles:\n  - {name: A, core: many, extended: 1}"),
    Error,
    "profiles[0].core",
  );
});

Deno.test("the code claims no feature that the suite has no test for", () => {
  for (
    const name of [
      "ClusterTrustBundle",
      "GatewayAddressRoutability",
      "GatewayAddressRoutabilityCluster",
      "GatewayListenerFilters",
    ]
  ) assert(!FEATURES.some((feature) => feature.name === name), name);
});

Deno.test("planRun() runs every claimed feature when nothing is named", () => {
  const plan = planRun(everything, { catalog, claims, claimed: [...claimed, "TLSRoute"] });
  assertEquals(plan.profiles, ["GATEWAY-HTTP"]);
  assert(plan.whole);
  assert(plan.expected.includes("TLSRouteSimpleSameNamespace"), "in no claimed profile, yet run");
  assert(plan.expected.includes("HTTPRouteDisallowedKind"));
  assert(!plan.expected.includes("HTTPRouteCORS"), "not claimed");
});

Deno.test("planRun() claims only the features of the profiles that are named", () => {
  const selection = { ...everything, profiles: ["GATEWAY-HTTP"] };
  const plan = planRun(selection, { catalog, claims, claimed: [...claimed, "TLSRoute"] });
  assertEquals(plan.features, [...claimed].sort());
  assertThrows(
    () => planRun({ ...everything, profiles: ["X"] }, { catalog, claims, claimed }),
    Error,
    "the suite has GATEWAY-HTTP, GATEWAY-TLS",
  );
});

Deno.test("planRun() runs a named test alone, with the features that it needs", () => {
  const plan = planRun({ ...everything, tests: ["HTTPRouteCORS"] }, { catalog, claims, claimed });
  assertEquals(plan.expected, ["HTTPRouteCORS"]);
  assert(plan.features.includes("HTTPRouteCORS"));
  assertEquals(plan.skip.toSorted(), [
    "GatewayStaticAddresses",
    "HTTPRouteMethodMatching",
    "HTTPRouteSimpleSameNamespace",
    "HTTPRouteWeight",
  ]);
  assert(!plan.whole);
  assertThrows(
    () => planRun({ ...everything, tests: ["Nope"] }, { catalog, claims, claimed }),
    Error,
    "--test Nope",
  );
});

Deno.test("TestEvents keeps the suite's tests and not their subtests", async () => {
  const events = await recorded();
  assertEquals(events.results.map(({ name, outcome }) => `${name} ${outcome}`), [
    "HTTPRouteCORS skipped",
    "HTTPRouteMethodMatching passed",
    "HTTPRouteSimpleSameNamespace passed",
    "HTTPRouteWeight skipped",
    "TLSRouteSimpleSameNamespace skipped",
    "GatewayStaticAddresses failed",
  ]);
  assertEquals(events.ended, "failed");
  const condensed = condense(events.outputOf("GatewayStaticAddresses"));
  assert(condensed.some((line) => /expected Status True \(\d+ times\)$/.test(line)));
  assert(condensed.length < events.outputOf("GatewayStaticAddresses").length / 1.5);
});

Deno.test("explain() leaves out chores and the report, not the reason", () => {
  const time = "2026-11-21T14:39:52.719Z: ";
  assertEquals(
    explain([
      `    apply.go:289: ${time}Creating same-namespace Gateway`,
      `    helpers.go:171: ${time}Gateway is not ready after 1.5s`,
      `    helpers.go:171: ${time}Gateway is not ready after 1.6s`,
      "    suite.go:440: ",
      "        \tError:      \tcontext deadline exceeded",
      `    apply.go:295: ${time}Deleting same-namespace Gateway`,
      "    conformance.go:154: Conformance report:",
      "        apiVersion: gateway.networking.k8s.io/v1",
      "--- FAIL: TestConformance (39.26s)",
    ]),
    [
      "    helpers.go:171: Gateway is not ready after 1.6s (2 times)",
      "    suite.go:440: ",
      "        \tError:      \tcontext deadline exceeded",
      "--- FAIL: TestConformance (39.26s)",
    ],
  );
});

Deno.test("TestEvents takes what is no event as output of the run", () => {
  const events = new TestEvents();
  assertEquals(events.take("panic: out of luck"), undefined);
  assertEquals(events.take('{"broken'), undefined);
  assertEquals(events.outputOf(undefined), ["panic: out of luck", '{"broken']);
  assertEquals(events.ended, undefined);
});

Deno.test("the tables of a recorded run count by profile and level", async () => {
  const { results } = await recorded();
  const plan = planRun(everything, { catalog, claims, claimed });
  const lines = profileTables(countProfiles(results, { catalog, plan }));
  assertEquals(lines, [
    "GATEWAY-HTTP  passed  failed  skipped  no result  left out  of",
    "  core             1       0        1          0         0   2",
    "  extended         1       1        0          0         1   3",
    "  features not claimed: HTTPRouteCORS",
    "",
  ]);
  const slowest = slowestTable(results, 2);
  assertEquals(slowest.length, 3);
  assert(slowest[1]?.startsWith("  GatewayStaticAddresses"));
});

Deno.test("shortfalls() names what was skipped, failed, or fell below the claim", async () => {
  const { results } = await recorded();
  const plan = planRun(everything, { catalog, claims, claimed });
  assertEquals(shortfalls(results, { catalog, plan, claims }), [
    "HTTPRouteWeight: skipped",
    "GatewayStaticAddresses: failed",
    "GATEWAY-HTTP: 1 core tests passed, conformance/profiles.yaml claims 2",
    "GATEWAY-HTTP: 1 extended tests passed, conformance/profiles.yaml claims 2",
  ]);
  assertEquals(
    shortfalls([], { catalog, plan, claims }).filter((line) => line.endsWith("no result")).length,
    plan.expected.length,
  );
});

Deno.test("shortfalls() sees a claim that was given up silently", () => {
  const plan = planRun(everything, { catalog, claims, claimed: ["Gateway", "HTTPRoute"] });
  const results = plan.expected.map((name) => ({ name, outcome: "passed" as const, seconds: 1 }));
  assertEquals(shortfalls(results, { catalog, plan, claims }), [
    "GATEWAY-HTTP: 0 extended tests passed, conformance/profiles.yaml claims 2",
  ]);
});

Deno.test("shortfalls() asks of a part of the suite only what was run", () => {
  const selection = { ...everything, tests: ["HTTPRouteWeight"] };
  const plan = planRun(selection, { catalog, claims, claimed });
  const results = [{ name: "HTTPRouteWeight", outcome: "passed" as const, seconds: 1 }];
  assertEquals(shortfalls(results, { catalog, plan, claims }), []);
});

Deno.test("suiteFlags() gives every implementation field that a report needs", () => {
  const plan = planRun(everything, { catalog, claims, claimed });
  const options = parseConformanceArguments(["--keep", "--fail-fast"]);
  const flags = suiteFlags(plan, { options, version: "v1.2.3", report: "/tmp/r.yaml" });
  for (const name of ["organization", "project", "url", "contact", "version", "report-output"]) {
    assert(flags.some((flag) => flag.startsWith(`--${name}=`) && !flag.endsWith("=")), name);
  }
  assert(flags.includes("--cleanup-base-resources=false"));
  assert(!flags.some((flag) => flag.startsWith("--skip-tests")));
});

Deno.test("reports are named and listed as the upstream project prescribes", () => {
  assertEquals(reportFolder({ gatewayApi: "v1.7.0" }), "v1.7/networknt-light-k8s-gateway");
  const name = reportName({ channel: "standard", version: "v0.1.0" });
  assertEquals(name, "standard-v0.1.0-default-report.yaml");
  const readme = reportsReadme(["README.md", name]);
  assert(readme.includes(
    `| standard | [v0.1.0](${IMPLEMENTATION.url}/releases/tag/v0.1.0) | default | ` +
      "[v0.1.0 report](./standard-v0.1.0-default-report.yaml) |",
  ));
  assertEquals(readme.match(/^\| [a-z]/gm)?.length, 1);
});
