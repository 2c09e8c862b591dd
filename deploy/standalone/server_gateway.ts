/** Listeners of the configuration as manifests: a Gateway that routes name like any other. */
import { stringify } from "@std/yaml";
import type { Settings } from "../../shared/config/settings.ts";
import type { ServerListener } from "../../shared/config/server.ts";

/** Where the Gateway of the configuration's listeners is. */
export const SERVER_GATEWAY = { namespace: "lgw-system", name: "server" };
/** Its class, which nothing else uses. */
const CLASS = "light-k8s-gateway-server";

const GATEWAY_API = "gateway.networking.k8s.io/v1";

/**
 * The manifests of the listeners, none without listeners. Certificates are read with `readText`;
 * their keys are in the result, and nowhere else.
 */
export async function serverManifests(
  { controller, server }: Pick<Settings, "controller" | "server">,
  readText: (path: string) => Promise<string>,
): Promise<string[]> {
  if (server.listeners.length === 0) return [];
  const className = controller.gatewayClassName === "" ? CLASS : controller.gatewayClassName;
  const gateway = stringify({
    apiVersion: GATEWAY_API,
    kind: "Gateway",
    metadata: SERVER_GATEWAY,
    spec: { gatewayClassName: className, listeners: server.listeners.map(gatewayListener) },
  });
  const secrets = await Promise.all(
    server.listeners.flatMap(({ name, tls }) =>
      tls === undefined ? [] : [secret(name, {
        certificate: readText(tls.certPath),
        key: readText(tls.keyPath),
      })]
    ),
  );
  if (className !== CLASS) return [gateway, ...secrets];
  const gatewayClass = stringify({
    apiVersion: GATEWAY_API,
    kind: "GatewayClass",
    metadata: { name: CLASS },
    spec: { controllerName: controller.controllerName },
  });
  return [gatewayClass, gateway, ...secrets];
}

function gatewayListener({ name, protocol, port, hostname, tls }: ServerListener) {
  return {
    name,
    protocol,
    port,
    ...(hostname === "" ? {} : { hostname }),
    ...(tls === undefined
      ? {}
      : { tls: { mode: "Terminate", certificateRefs: [{ name: secretName(name) }] } }),
    // The operator's own listeners: whoever may write a route here may use them.
    allowedRoutes: { namespaces: { from: "All" } },
  };
}

function secretName(listener: string): string {
  return `server-${listener}`;
}

async function secret(
  listener: string,
  { certificate, key }: { certificate: Promise<string>; key: Promise<string> },
): Promise<string> {
  return stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: secretName(listener), namespace: SERVER_GATEWAY.namespace },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": await certificate, "tls.key": await key },
  });
}
