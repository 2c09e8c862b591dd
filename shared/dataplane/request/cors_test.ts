import { assertEquals } from "@std/assert";
import type { CorsFilter } from "../../snapshot/schema.ts";
import { answeringOrigin, refusingPort } from "../upstream/testing_origin.ts";
import { to, withCore } from "./testing_core.ts";
import type { Answer, TestCore } from "./testing_core.ts";

function cors(filter: Partial<CorsFilter>): CorsFilter {
  return {
    type: "cors",
    allowOrigins: [],
    allowCredentials: false,
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    maxAge: 5,
    ...filter,
  };
}

/** The headers of an answer that are about CORS, without the common part of their names. */
function said({ headers }: Answer): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith("access-control-"))
      .map(([name, value]) => [name.slice("access-control-".length), value]),
  );
}

function preflight(core: TestCore, origin: string, asks: string[] = []): Promise<Answer> {
  const headers = ["origin", origin, "access-control-request-method", "PUT", ...asks];
  return core.ask({ method: "OPTIONS", headers });
}

const ASKED = ["access-control-request-headers", "x-one, X-Two"];

Deno.test("a preflight is answered with what the filter allows, and not forwarded", async () => {
  const filter = cors({
    allowOrigins: ["https://www.foo.com", "https://*.bar.com"],
    allowMethods: ["GET", "OPTIONS"],
    allowHeaders: ["x-one", "x-two"],
    exposeHeaders: ["x-three", "x-four"],
    allowCredentials: true,
    maxAge: 3600,
  });
  await withCore({ rules: [{ filters: [filter] }] }, async (core) => {
    for (const origin of ["https://www.foo.com", "https://www.bar.com", "https://a.b.bar.com"]) {
      const answer = await preflight(core, origin, ASKED);
      assertEquals([answer.status, answer.body, answer.headers["vary"]], [204, "", "Origin"]);
      assertEquals(said(answer), {
        "allow-origin": origin,
        "allow-credentials": "true",
        "allow-methods": "GET, OPTIONS",
        "allow-headers": "x-one, x-two",
        "expose-headers": "x-three, x-four",
        "max-age": "3600",
      });
    }
    for (const origin of ["https://foobar.com", "http://www.foo.com", "https://bar.com", "null"]) {
      const answer = await preflight(core, origin, ASKED);
      assertEquals([answer.status, answer.headers["x-origin"]], [204, undefined]);
      assertEquals(said(answer), {}, origin);
    }
  });
});

Deno.test("a wildcard is sent as such without credentials and never with them", async () => {
  const all = { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"] };
  const open = cors({ ...all, exposeHeaders: ["*"] });
  await withCore({ rules: [{ filters: [open] }] }, async (core) => {
    const answer = await preflight(core, "https://other.foo.com:12345", ASKED);
    assertEquals(answer.headers["vary"], undefined);
    assertEquals(said(answer), {
      "allow-origin": "*",
      "allow-methods": "*",
      "allow-headers": "*",
      "expose-headers": "*",
      "max-age": "5",
    });
    assertEquals(said(await core.ask({ headers: ["origin", "https://a.b"] })), {
      "allow-origin": "*",
      "expose-headers": "*",
    });
  });
  const closed = cors({ ...all, exposeHeaders: ["*"], allowCredentials: true });
  await withCore({ rules: [{ filters: [closed] }] }, async (core) => {
    assertEquals(said(await preflight(core, "https://a.b", ASKED)), {
      "allow-origin": "https://a.b",
      "allow-credentials": "true",
      "allow-methods": "PUT",
      "allow-headers": "x-one, X-Two",
      "max-age": "5",
    });
    // Nothing asked for, nothing to echo.
    assertEquals(said(await preflight(core, "null"))["allow-headers"], undefined);
    assertEquals(said(await preflight(core, "not an origin")), {});
    assertEquals(said(await core.ask({ headers: ["origin", "https://a.b"] })), {
      "allow-origin": "https://a.b",
      "allow-credentials": "true",
      "expose-headers": "x-origin, content-length",
    });
  });
});

Deno.test("an actual request goes on, and its answer has the filter's headers, not the backend's", async () => {
  const origin = answeringOrigin(() =>
    "HTTP/1.1 200 OK\r\nVary: Accept\r\nAccess-Control-Allow-Origin: *\r\n" +
    "Access-Control-Allow-Credentials: true\r\nContent-Length: 0\r\n\r\n"
  );
  const filter = cors({ allowOrigins: ["https://*"], exposeHeaders: ["x-a"] });
  await withCore({ origin, rules: [{ filters: [filter] }] }, async (core) => {
    const allowed = await core.ask({ headers: ["origin", "https://Foo.com"] });
    assertEquals([allowed.status, allowed.headers["vary"]], [200, "Accept, Origin"]);
    assertEquals(said(allowed), { "allow-origin": "https://Foo.com", "expose-headers": "x-a" });
    const others = [["origin", "http://foo.com"], [], [
      ...["origin", "https://a.b"],
      ...["origin", "https://a.b"],
    ]];
    for (const headers of others) {
      const answer = await core.ask({ headers });
      assertEquals([answer.status, answer.headers["vary"]], [200, "Accept, Origin"]);
      assertEquals(said(answer), {});
    }
    // No method announced: an OPTIONS like any other.
    const options = await core.ask({ method: "OPTIONS", headers: ["origin", "https://a.b"] });
    assertEquals([options.status, said(options)["allow-origin"]], [200, "https://a.b"]);
  });
});

Deno.test("ports of origins count, and each scheme has its own", async () => {
  const filter = cors({ allowOrigins: ["https://a.com", "http://b.com:8080"] });
  await withCore({ rules: [{ filters: [filter] }] }, async (core) => {
    const allowed = async (origin: string) =>
      "allow-origin" in said(await core.ask({ headers: ["origin", origin] }));
    assertEquals(await allowed("https://a.com"), true);
    assertEquals(await allowed("https://a.com:443"), true);
    assertEquals(await allowed("https://a.com:8443"), false);
    assertEquals(await allowed("http://b.com:8080"), true);
    assertEquals(await allowed("http://b.com"), false);
  });
});

Deno.test("redirects and failures of the proxy have the headers too", async () => {
  const filter = cors({ allowOrigins: ["https://a.com"] });
  const headers = ["origin", "https://a.com"];
  const rules = [
    {
      matches: [{ path: { type: "prefix" as const, value: "/redirect" } }],
      filters: [{ type: "redirect" as const, hostname: "b.com", status: 302 }, filter],
    },
    { backends: [to("b", 1, [filter])] },
  ];
  await withCore({ rules, backends: { b: refusingPort() } }, async (core) => {
    const redirect = await core.ask({ target: "/redirect", headers });
    assertEquals([redirect.status, said(redirect)["allow-origin"]], [302, "https://a.com"]);
    const asked = [...headers, "access-control-request-method", "GET"];
    const early = await core.ask({ method: "OPTIONS", target: "/redirect", headers: asked });
    assertEquals(early.status, 204);
    const failed = await core.ask({ headers });
    assertEquals([failed.status, said(failed)["allow-origin"]], [503, "https://a.com"]);
    assertEquals((await preflight(core, "https://a.com")).status, 204);
  });
});
