/** What a user sees when manifests are wrong: good traffic goes on, and the place is named. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Problem } from "../../controller/source/batch.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually } from "./wait.ts";

const TARGET = { port: PORTS.manifests };
const GOOD = { host: "good.example.com", bodies: ["hello"] };

/** A gateway that serves `good.example.com`, under traffic all the time. */
async function withGoodRoute(test: (gateway: GatewayUnderTest) => Promise<void>): Promise<void> {
  const origin = ScriptedBackend.start(answering("hello"));
  try {
    await withGateway({
      files: {
        gateway: gateway({ http: TARGET.port }),
        backend: backend("good", origin.port),
        route: route({ host: GOOD.host, backend: "good" }),
      },
    }, async (edge) => {
      await edge.ready();
      await underTraffic(TARGET, { ...GOOD, disturb: () => test(edge) });
    });
  } finally {
    await origin.stop();
  }
}

function problemIn(
  edge: GatewayUnderTest,
  file: string,
  includes: string,
): Promise<Problem> {
  return eventually(`a problem in ${file} that says "${includes}"`, async () => {
    const { problems } = await edge.status();
    const found = problems.find((problem) =>
      problem.file.endsWith(`/${file}.yaml`) &&
      `${problem.field ?? ""} ${problem.message}`.includes(includes)
    );
    if (found === undefined) throw new Error(JSON.stringify(problems));
    return found;
  });
}

async function noProblems(edge: GatewayUnderTest): Promise<void> {
  await eventually("no problem is left", async () => (await edge.status()).problems.length === 0);
}

const answers = (host: string, status: number) =>
  eventually(`${host} answers ${status}`, async () => {
    const response = await get(TARGET, { host });
    if (response.status !== status) throw new Error(`${response.status} ${response.body}`);
    return response;
  });

Deno.test("malformed YAML over a good file: traffic goes on, file and line are named, a fix heals", () =>
  withGoodRoute(async (edge) => {
    const good = await Deno.readTextFile(`${edge.folder}/route.yaml`);
    await edge.save("route", `${good}  broken: [1, 2\n`);
    const problem = await problemIn(edge, "route", "");
    assertEquals(problem.severity, "error");
    assert(problem.line >= good.split("\n").length - 1, `line ${problem.line}`);
    assertEquals((await get(TARGET, { host: GOOD.host })).status, 200);
    await edge.save("route", good);
    await noProblems(edge);
  }));

Deno.test("an unknown field and a wrong type: named with file, line and field; the rest goes on", () =>
  withGoodRoute(async (edge) => {
    const text = route({ host: "other.example.com", backend: "good" });
    await edge.save("unknown", text.replace("  hostnames:", "  hostnamez:\n    - x\n  hostnames:"));
    const unknown = await problemIn(edge, "unknown", "hostnamez");
    assertStringIncludes(text.split("\n")[unknown.line - 1] ?? "", "hostnames:");
    await answers("other.example.com", 200);
    await edge.save(
      "wrong",
      route({ host: "wrong.example.com", backend: "good" }).replace(
        /hostnames:\n.*\n/,
        "hostnames: 17\n",
      ),
    );
    const wrong = await problemIn(edge, "wrong", "hostnames");
    assertEquals(wrong.severity, "error");
    await edge.save("wrong", route({ host: "wrong.example.com", backend: "good" }));
    await answers("wrong.example.com", 200);
  }));

Deno.test("a bad object among good ones in one file stops none of them", () =>
  withGoodRoute(async (edge) => {
    await edge.save(
      "three",
      [
        route({ host: "first.example.com", backend: "good" }),
        route({ host: "second.example.com", backend: "good" }).replace("backendRefs", "backendRef"),
        "just text\n",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {}\n",
        route({ host: "third.example.com", backend: "missing" }),
        route({ host: "last.example.com", backend: "good" }),
      ].join("---\n"),
    );
    await answers("first.example.com", 200);
    await answers("last.example.com", 200);
    const missing = await answers("third.example.com", 500);
    assertStringIncludes(missing.body, "backend");
    await problemIn(edge, "three", "");
    const condition = await eventually("the route says what is missing", async () => {
      const { objects } = await edge.status();
      return objects["HTTPRoute/e2e/third"]?.parents?.[0]?.conditions
        ?.find(({ type }) => type === "ResolvedRefs");
    });
    assertEquals([condition.status, condition.reason], ["False", "BackendNotFound"]);
    assertStringIncludes(condition.message, "missing");
  }));

Deno.test("a file that is removed takes its routes with it, and brings them back", () =>
  withGoodRoute(async (edge) => {
    const text = route({ host: "other.example.com", backend: "good" });
    await edge.save("other", text);
    await answers("other.example.com", 200);
    await Deno.remove(`${edge.folder}/other.yaml`);
    await answers("other.example.com", 404);
    await edge.save("other", text);
    await answers("other.example.com", 200);
  }));
