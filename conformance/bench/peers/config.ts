/**
 * The peers' configuration: the same thousand routes, one header filter, upstream keep-alive, one
 * worker, no access log.
 */

export interface PeerOptions {
  /** Number of routes `/r0` … */
  routes: number;
  port: { plain: number; tls: number };
  backendPort: number;
  /** Paths of PEM files. */
  tls: { certificate: string; key: string };
}

/**
 * An nginx that answers `/…/<size>` with the file `www/<size>` of its folder: the backend of every
 * proxy. It says which route's header reached it.
 */
export function backendConfig(port: number): string {
  return nginx([
    "  keepalive_requests 1000000000;",
    "  open_file_cache max=16;",
    "  server {",
    `    listen 127.0.0.1:${port} backlog=4096;`,
    "    default_type text/plain;",
    "    root www;",
    "    location ~ ^/.*/([0-9]+)$ {",
    "      add_header x-backend bench; add_header x-seen-route $http_x_route;",
    "      try_files /$1 =404;",
    "    }",
    "  }",
  ]);
}

/** nginx as a reverse proxy. */
export function nginxConfig({ routes, port, backendPort, tls }: PeerOptions): string {
  const locations = Array.from({ length: routes }, (_, i) => [
    `    location /r${i}/ {`,
    "      proxy_http_version 1.1;",
    '      proxy_set_header connection "";',
    "      proxy_set_header host $http_host;",
    "      proxy_set_header x-forwarded-for $remote_addr;",
    `      proxy_set_header x-route r${i};`,
    "      proxy_pass http://backend;",
    "    }",
  ]).flat();
  return nginx([
    "  keepalive_requests 1000000000;",
    `  upstream backend { server 127.0.0.1:${backendPort}; keepalive 1024; keepalive_requests 1000000000; }`,
    "  server {",
    `    listen 127.0.0.1:${port.plain} backlog=4096;`,
    `    listen 127.0.0.1:${port.tls} ssl http2 backlog=4096;`,
    `    ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`,
    "    ssl_protocols TLSv1.2 TLSv1.3;",
    "    server_name bench.example.com;",
    ...locations,
    "  }",
  ]);
}

function nginx(http: readonly string[]): string {
  return [
    "daemon off;",
    "worker_processes 1;",
    "master_process off;",
    "pid nginx.pid;",
    "error_log stderr crit;",
    "events { worker_connections 4096; }",
    "http {",
    "  access_log off;",
    "  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
    ...http,
    "}",
    "",
  ].join("\n");
}

/** Envoy as a reverse proxy: one worker, the circuit breakers raised out of the way. */
export function envoyConfig({ routes, port, backendPort, tls }: PeerOptions): string {
  const endpoint = (port: number) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
  });
  const secured = {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type":
        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
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
      "@type":
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      stat_prefix: "bench",
      generate_request_id: false,
      route_config: {
        virtual_hosts: [{
          name: "bench",
          domains: ["bench.example.com"],
          routes: Array.from({ length: routes }, (_, i) => ({
            match: { path_separated_prefix: `/r${i}` },
            route: { cluster: "backend" },
            request_headers_to_add: [{
              header: { key: "x-route", value: `r${i}` },
              append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
            }],
          })),
        }],
      },
      http_filters: [{
        name: "envoy.filters.http.router",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
      }],
    },
  }];
  const listener = (name: string, port_value: number, transport: object) => ({
    name,
    address: { socket_address: { address: "127.0.0.1", port_value } },
    filter_chains: [{ filters, ...transport }],
  });
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
        circuit_breakers: {
          thresholds: [{ max_connections: 4096, max_pending_requests: 4096, max_requests: 4096 }],
        },
        load_assignment: {
          cluster_name: "backend",
          endpoints: [{ lb_endpoints: [endpoint(backendPort)] }],
        },
      }],
    },
  });
}
