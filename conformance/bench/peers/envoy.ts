/** Envoy as a peer: one worker, no access log, the circuit breakers raised out of the way. */

const TYPES = "type.googleapis.com/envoy.extensions";

export interface EnvoyOptions {
  /** Tried in this order. */
  routes: readonly EnvoyRoute[];
  port: { plain: number; tls: number };
  backend: { port: number; protocol: "HTTP/1.1" | "HTTP/2" };
  /** Paths of PEM files. */
  tls: { certificate: string; key: string };
}

export interface EnvoyRoute {
  match: { path: string } | { path_separated_prefix: string };
  /** Set in the request. */
  header: { key: string; value: string };
}

/** Envoy as a reverse proxy for `bench.example.com`. */
export function envoyConfig({ routes, port, backend, tls }: EnvoyOptions): string {
  const secured = {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_certificates: [{
          certificate_chain: { filename: tls.certificate },
          private_key: { filename: tls.key },
        }],
      },
    },
  };
  const filters = [{
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: "bench",
      generate_request_id: false,
      route_config: {
        virtual_hosts: [{
          name: "bench",
          domains: ["bench.example.com"],
          routes: routes.map(({ match, header }) => ({
            match,
            route: { cluster: "backend" },
            request_headers_to_add: [{ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
          })),
        }],
      },
      http_filters: [{
        name: "envoy.filters.http.router",
        typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router` },
      }],
    },
  }];
  const listener = (name: string, port_value: number, transport: object) => ({
    name,
    address: { socket_address: { address: "127.0.0.1", port_value } },
    filter_chains: [{ filters, ...transport }],
  });
  const endpoint = {
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: backend.port } } },
  };
  const http2 = {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  return JSON.stringify({
    static_resources: {
      listeners: [
        listener("plain", port.plain, {}),
        listener("tls", port.tls, { transport_socket: secured }),
      ],
      clusters: [{
        name: "backend",
        type: "STATIC",
        connect_timeout: "5s",
        ...(backend.protocol === "HTTP/2" ? http2 : {}),
        circuit_breakers: {
          thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }],
        },
        load_assignment: { cluster_name: "backend", endpoints: [{ lb_endpoints: [endpoint] }] },
      }],
    },
  });
}
