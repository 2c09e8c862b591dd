/**
 * The addresses of the cluster. The node has one of its own, on a bridge without ports, so that
 * nothing listens on the machine's networks and a changed address of the machine does no harm.
 */

export const NODE_NAME = "lgw-node";
/** Interface (at most 15 characters) that holds {@linkcode NODE_IP}. */
export const NODE_BRIDGE = "lgw-node";
export const NODE_IP = "10.97.0.1";
/** Interface that connects the pods. */
export const POD_BRIDGE = "lgw-pods";
export const POD_CIDR = "10.244.0.0/24";
export const CLUSTER_CIDR = "10.244.0.0/16";
export const SERVICE_CIDR = "10.96.0.0/16";
/** The API server's own Service: the first address of the range. */
export const API_SERVICE_IP = "10.96.0.1";
export const DNS_IP = "10.96.0.10";
export const API_PORT = 6443;
export const API_URL = `https://${NODE_IP}:${API_PORT}`;
/** Not the usual port: another etcd may be running. */
export const ETCD_URL = "http://127.0.0.1:12379";
export const ETCD_PEER_URL = "http://127.0.0.1:12380";
