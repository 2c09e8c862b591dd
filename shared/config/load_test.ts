import { assertEquals, assertThrows } from "@std/assert";
import { DEFAULT_LIMITS } from "../dataplane/request/limits.ts";
import { ENVIRONMENT } from "./environment.ts";
import { ConfigError, loadSettings } from "./load.ts";

const environment = (values: Record<string, string> = {}) => ({
  get: (name: string) => values[name],
});

const load = (text: string, env: Record<string, string> = {}) =>
  loadSettings({ file: { path: "lgw.yaml", text }, env: environment(env) });

/** The message that a file is refused with. */
function refusal(text: string, env: Record<string, string> = {}): string {
  return assertThrows(() => load(text, env), ConfigError).message;
}

Deno.test("loadSettings() has a default for everything", () => {
  const settings = loadSettings({ env: environment() });
  assertEquals(settings, {
    controller: {
      enabled: true,
      mode: "ingress",
      controllerName: "networknt.com/light-k8s-gateway",
      gatewayClassName: "",
      watchNamespaces: [],
      statusAddress: "",
    },
    server: { listeners: [], unixSockets: [] },
    limits: DEFAULT_LIMITS,
    accessLog: false,
    tracing: false,
    workers: 1,
    logLevel: "info",
  });
  assertEquals(load("# nothing but a comment\n"), settings);
});

Deno.test("loadSettings() reads the listener list, and the shorthand for the same", () => {
  const list = load(`
server:
  listeners:
    - { name: http, protocol: HTTP, ip: 0.0.0.0, port: 80 }
    - name: https-api
      protocol: HTTPS
      ip: 0.0.0.0
      port: 443
      hostname: api.example.com
      tlsCertPath: /tls/tls.crt
      tlsKeyPath: /tls/tls.key
`);
  assertEquals(list.server, {
    ip: "0.0.0.0",
    unixSockets: [],
    listeners: [
      { name: "http", protocol: "HTTP", port: 80, hostname: "" },
      {
        name: "https-api",
        protocol: "HTTPS",
        port: 443,
        hostname: "api.example.com",
        tls: { certPath: "/tls/tls.crt", keyPath: "/tls/tls.key" },
      },
    ],
  });
  const short = load(`
server:
  enableHttp: true
  httpPort: 8000
  enableHttps: true
  tlsCertPath: a
  tlsKeyPath: b
`);
  assertEquals(short.server.listeners.map(({ name, port }) => [name, port]), [
    ["http", 8000],
    ["https", 443],
  ]);
  // Ports without a switch are settings that wait for it.
  assertEquals(load("server: { httpPort: 8000 }").server.listeners, []);
});

Deno.test("loadSettings() lets the environment override the file, value by value", () => {
  const settings = load("k8sGatewayApi: { controllerName: a.example/x, statusAddress: 10.0.0.1 }", {
    LGW_CONTROLLER_NAME: "b.example/y",
    LGW_WATCH_NAMESPACES: "one, two",
    LGW_WORKERS: "4",
    LGW_ACCESS_LOG: "true",
  });
  assertEquals(settings.controller.controllerName, "b.example/y");
  assertEquals(settings.controller.statusAddress, "10.0.0.1");
  assertEquals(settings.controller.watchNamespaces, ["one", "two"]);
  assertEquals([settings.workers, settings.accessLog], [4, true]);
});

Deno.test("loadSettings() refuses unknown keys and wrong values, with the place", () => {
  const cases: [string, string][] = [
    ["a: 1", "lgw.yaml:1:4: a: expected one of k8sGatewayApi, "],
    ["k8sGatewayApi:\n  controlerName: x\n", "lgw.yaml:2:18: k8sGatewayApi.controlerName: "],
    ["k8sGatewayApi: { mode: mesh }", "lgw.yaml:1:24: k8sGatewayApi.mode: expected ingress"],
    ["k8sGatewayApi: { controllerName: gateway }", "expected a domain and a path"],
    ["k8sGatewayApi: { watchNamespaces: [ok, Not_ok] }", "watchNamespaces[1]: expected the name"],
    ["k8sGatewayApi: { enabled: 1 }", "k8sGatewayApi.enabled: expected true or false"],
    ["k8sGatewayApi: []", "k8sGatewayApi: expected an object"],
    ["limits: { headTimeout: 0 }", "limits.headTimeout: expected an integer from 1"],
    ["limits: { headTimout: 5 }", "limits.headTimout: expected one of"],
    ["limits: { maxEjectedPercent: 101 }", "expected an integer from 0 to 100"],
    ["limits: { panicPercent: 0 }", "limits.panicPercent: expected an integer from 1 to 100"],
    ["workers: 0", "workers: expected an integer from 1 to 64"],
    ["logLevel: loud", "logLevel: expected one of debug"],
    ["server: { listeners: [{ name: a, protocol: TCP, port: 1 }] }", "expected HTTP or HTTPS"],
    ["server: { listeners: [{ name: a, protocol: HTTP }] }", "listeners[0].port: expected"],
    ["server: { listeners: [{ name: a, protocol: HTTPS, port: 1 }] }", "tlsCertPath: expected"],
    ["server: { enableHttps: true, tlsCertPath: x }", "server.tlsKeyPath: expected the key"],
    [
      "server:\n  ip: 10.0.0.1\n  listeners:\n    - { name: a, protocol: HTTP, port: 1, ip: 10.0.0.2 }",
      "lgw.yaml:4:47: server.listeners[0].ip: expected 10.0.0.1",
    ],
    [
      "server: { enableHttp: true, listeners: [{ name: a, protocol: HTTP, port: 1 }] }",
      "server.listeners: expected a list without enableHttp",
    ],
    ["server: { unixSockets: [run/app.sock] }", "unixSockets[0]: expected an absolute path"],
    ["a: [", "lgw.yaml:1:5: "],
  ];
  for (const [text, wanted] of cases) {
    const message = refusal(text);
    assertEquals(message.includes(wanted), true, `${text}\n${message}`);
  }
});

Deno.test("loadSettings() takes 0 for limits where it says never", () => {
  const text = "limits: { ejectAfterFailures: 0, ejectAfterGatewayErrors: 0, maxFailovers: 0 }";
  const { limits } = load(text);
  assertEquals(
    [limits.ejectAfterFailures, limits.ejectAfterGatewayErrors, limits.maxFailovers],
    [0, 0, 0],
  );
});

Deno.test("loadSettings() names the variable whose value is wrong", () => {
  const wrong: Record<string, string> = {
    LGW_ENABLED: "yes",
    LGW_MODE: "mesh",
    LGW_WORKERS: "many",
    LGW_WATCH_NAMESPACES: "ok,Not_ok",
    LGW_LOG_LEVEL: "loud",
  };
  for (const [name, value] of Object.entries(wrong)) {
    const message = refusal("{}", { [name]: value });
    assertEquals(message.startsWith(`${name}: `), true, message);
  }
});

Deno.test("every variable overrides a setting that there is", () => {
  const values = { text: "x.example/y", list: "a", boolean: "true", integer: "5" };
  for (const [name, { kind }] of Object.entries(ENVIRONMENT)) {
    let message = "";
    try {
      load("{}", { [name]: values[kind] });
    } catch (error) {
      message = String(error);
    }
    // Values may be refused; the settings must be known.
    assertEquals(message.includes("one of k8sGatewayApi"), false, name);
    assertEquals(/expected one of (ip|enabled),/.test(message), false, `${name}: ${message}`);
  }
});
