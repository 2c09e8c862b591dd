/** Settings from the environment: they override the file, value by value. */
import { ParseError } from "../lib/parse.ts";

type Kind = "text" | "list" | "boolean" | "integer";

/** Variable → the setting that it overrides. */
export const ENVIRONMENT: Readonly<Record<string, { path: readonly string[]; kind: Kind }>> = {
  LGW_ENABLED: { path: ["k8sGatewayApi", "enabled"], kind: "boolean" },
  LGW_MODE: { path: ["k8sGatewayApi", "mode"], kind: "text" },
  LGW_CONTROLLER_NAME: { path: ["k8sGatewayApi", "controllerName"], kind: "text" },
  LGW_GATEWAY_CLASS_NAME: { path: ["k8sGatewayApi", "gatewayClassName"], kind: "text" },
  LGW_WATCH_NAMESPACES: { path: ["k8sGatewayApi", "watchNamespaces"], kind: "list" },
  LGW_STATUS_ADDRESS: { path: ["k8sGatewayApi", "statusAddress"], kind: "text" },
  LGW_SERVER_IP: { path: ["server", "ip"], kind: "text" },
  LGW_SERVER_ENABLE_HTTP: { path: ["server", "enableHttp"], kind: "boolean" },
  LGW_SERVER_HTTP_PORT: { path: ["server", "httpPort"], kind: "integer" },
  LGW_SERVER_ENABLE_HTTPS: { path: ["server", "enableHttps"], kind: "boolean" },
  LGW_SERVER_HTTPS_PORT: { path: ["server", "httpsPort"], kind: "integer" },
  LGW_SERVER_TLS_CERT_PATH: { path: ["server", "tlsCertPath"], kind: "text" },
  LGW_SERVER_TLS_KEY_PATH: { path: ["server", "tlsKeyPath"], kind: "text" },
  LGW_WORKERS: { path: ["workers"], kind: "integer" },
  LGW_ACCESS_LOG: { path: ["accessLog"], kind: "boolean" },
  LGW_TRACING: { path: ["tracing"], kind: "boolean" },
  LGW_LOG_LEVEL: { path: ["logLevel"], kind: "text" },
};

/** What the environment overrides, by `<path>` with dots: for messages that name the place. */
export type Overridden = ReadonlyMap<string, string>;

/**
 * Puts the environment over the value of a file. Throws a `ParseError` that names the variable when
 * its text is not of the setting's type.
 */
export function applyEnvironment(
  value: unknown,
  env: Pick<Deno.Env, "get">,
): { value: unknown; overridden: Overridden } {
  const overridden = new Map<string, string>();
  let result: unknown = value ?? {};
  for (const [name, { path, kind }] of Object.entries(ENVIRONMENT)) {
    const text = env.get(name);
    if (text === undefined) continue;
    overridden.set(path.join("."), name);
    result = put(result, { path, member: typed(text, { name, kind }) });
  }
  return { value: result, overridden };
}

function typed(text: string, { name, kind }: { name: string; kind: Kind }): unknown {
  switch (kind) {
    case "text":
      return text;
    case "list":
      return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
    case "boolean":
      if (text === "true" || text === "false") return text === "true";
      throw new ParseError(name, "true or false");
    case "integer":
      if (/^-?\d{1,15}$/.test(text)) return Number(text);
      throw new ParseError(name, "an integer");
  }
}

/** A copy with the member at `path` set. What is no object stays, for the parser to refuse. */
function put(
  value: unknown,
  { path, member }: { path: readonly string[]; member: unknown },
): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return member;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const members = new Map<string, unknown>(Object.entries(value));
  members.set(first, put(members.get(first) ?? {}, { path: rest, member }));
  return Object.fromEntries(members);
}
