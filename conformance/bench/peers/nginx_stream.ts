/** nginx as a proxy of connections and datagrams: one worker, no access log, buffers as large as writes. */
import { NGINX_MAIN } from "./nginx.ts";

export interface StreamPeerOptions {
  /** Path of the stream module that belongs to this nginx. */
  module: string;
  port: { tcp: number; tls: number; udp: number };
  /** Of TCP and of UDP. */
  backendPort: number;
  /** What the TLS port passes on, by server name. */
  serverName: string;
}

/** nginx's `stream`: a port of TCP, one of TLS by server name (`ssl_preread`), one of UDP. */
export function streamConfig(options: StreamPeerOptions): string {
  const { module, port, backendPort, serverName } = options;
  const backend = `127.0.0.1:${backendPort}`;
  return [
    `load_module ${module};`,
    ...NGINX_MAIN,
    "stream {",
    "  access_log off;",
    "  proxy_buffer_size 64k;",
    "  proxy_half_close on;",
    `  map $ssl_preread_server_name $named { ${serverName} ${backend}; }`,
    `  server { listen 127.0.0.1:${port.tcp}; proxy_pass ${backend}; }`,
    `  server { listen 127.0.0.1:${port.tls}; ssl_preread on; proxy_pass $named; }`,
    `  server { listen 127.0.0.1:${port.udp} udp; proxy_pass ${backend}; proxy_timeout 30s; }`,
    "}",
    "",
  ].join("\n");
}
