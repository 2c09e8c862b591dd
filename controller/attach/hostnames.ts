/** Have a route and a listener a host in common? */
import { hostnamesIntersect } from "../../shared/gwapi/hostname.ts";

/**
 * No hostname on either side means every host. Hostnames of the route that do not intersect are
 * ignored as long as one does (HTTPRoute `spec.hostnames`).
 */
export function hostsInCommon(routeHostnames: readonly string[], listener: string): boolean {
  if (routeHostnames.length === 0 || listener === "") return true;
  return routeHostnames.some((hostname) => hostnamesIntersect(hostname.toLowerCase(), listener));
}
