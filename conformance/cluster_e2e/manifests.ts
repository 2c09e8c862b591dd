/** What the tests deploy. */

/** Of the official suite: says who it is, and ends at once when told to. */
const ECHO_IMAGE = "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0";

export interface EchoOptions {
  replicas?: number;
  /** Seconds that a pod goes on after it was told to end; 0 = it does not. */
  preStop?: number;
}

/** A Deployment of echo servers and its Service, both `echo`. */
export function echoManifests({ replicas = 2, preStop = 3 }: EchoOptions = {}): object[] {
  const labels = { app: "echo" };
  const field = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return [{
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "echo" },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 3000 }] },
  }, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "echo" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: replicas } },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: preStop + 2,
          containers: [{
            name: "echo",
            image: ECHO_IMAGE,
            imagePullPolicy: "IfNotPresent",
            env: [field("POD_NAME", "metadata.name"), field("NAMESPACE", "metadata.namespace")],
            // One try a second, the first at once.
            readinessProbe: { tcpSocket: { port: 3000 }, periodSeconds: 1 },
            ...(preStop === 0 ? {} : { lifecycle: { preStop: { sleep: { seconds: preStop } } } }),
          }],
        },
      },
    },
  }];
}

export const HTTP_LISTENER = { name: "http", port: 80, protocol: "HTTP" };

/** A listener that ends TLS with the certificate of a Secret. */
export function httpsListener(
  name: string,
  { hostname, secret }: { hostname: string; secret: string },
): object {
  return {
    name,
    port: 443,
    protocol: "HTTPS",
    hostname,
    tls: { certificateRefs: [{ name: secret }] },
  };
}

export function gatewayManifest(
  name: string,
  { className = "light-k8s-gateway", listeners = [HTTP_LISTENER], addresses }: {
    className?: string;
    listeners?: object[];
    addresses?: object[];
  } = {},
): object {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name },
    spec: {
      gatewayClassName: className,
      listeners,
      ...(addresses === undefined ? {} : { addresses }),
    },
  };
}

/** A route to a backend; answers carry `x-mark` when there is a mark. */
export function routeManifest(
  name: string,
  { gateway, host, mark, backend = { name: "echo", port: 80 } }: {
    gateway: string;
    host: string;
    mark?: string;
    backend?: object;
  },
) {
  const set = [{ name: "x-mark", value: mark }];
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name },
    spec: {
      parentRefs: [{ name: gateway }],
      hostnames: [host],
      rules: [{
        ...(mark === undefined
          ? {}
          : { filters: [{ type: "ResponseHeaderModifier", responseHeaderModifier: { set } }] }),
        backendRefs: [backend],
      }],
    },
  };
}

/** A Secret with a certificate, or with what stands in its place. */
export function tlsSecret(
  name: string,
  { certificate, key }: { certificate: string; key: string },
): object {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  };
}
