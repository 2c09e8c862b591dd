/**
 * nginx as backend and as peer: the same thousand routes, one header filter, upstream keep-alive,
 * one worker, no access log.
 */

export interface NginxOptions {
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
export function nginxConfig({ routes, port, backendPort, tls }: NginxOptions): string {
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

/** What every nginx here begins with: one worker in the foreground, no access log. */
export const NGINX_MAIN: readonly string[] = [
  "daemon off;",
  "worker_processes 1;",
  "master_process off;",
  "pid nginx.pid;",
  "error_log stderr crit;",
  "events { worker_connections 4096; }",
];

function nginx(http: readonly string[]): string {
  return [
    ...NGINX_MAIN,
    "http {",
    "  access_log off;",
    "  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
    ...http,
    "}",
    "",
  ].join("\n");
}
