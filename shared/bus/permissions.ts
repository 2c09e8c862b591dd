/** What each bus user may do. The server enforces it; readers are never trusted to behave. */
import { BIND_FILTER, ENDPOINTS_FILTER, EPOCH_SUBJECT, keyToTokens, ROOT } from "./subjects.ts";
import { SECRET_FILTER, TRUST_FILTER } from "./subjects.ts";

/** Permissions of one user in the form of a nats-server configuration. */
export interface UserPermissions {
  publish: { allow: string[] };
  subscribe: { allow: string[] };
}

/** Who the user is. `user` is the user's name on the bus. */
export type BusRole =
  | { role: "controller"; user: string }
  /** A fleet's proxies. */
  | { role: "proxy"; user: string; fleet: string }
  /** The CLI: snapshots, history and heartbeats, no secrets, nothing to write. */
  | { role: "reader"; user: string };

/** Prefix of the user's inboxes; clients connect with it as `inboxPrefix`. */
export function inboxPrefix(user: string): string {
  return `_INBOX.${user}`;
}

/** The permissions of a role. */
export function permissionsFor(role: BusRole): UserPermissions {
  return {
    publish: { allow: publishable(role) },
    subscribe: { allow: [`${inboxPrefix(role.user)}.>`] },
  };
}

function publishable(role: BusRole): string[] {
  switch (role.role) {
    case "controller":
      return [`${ROOT}.>`, "$JS.API.>", "$JS.FC.>"];
    case "proxy": {
      const fleet = keyToTokens(role.fleet);
      return [
        `${ROOT}.proxy.${fleet}.*`,
        ...readable("LGW_CURRENT", [
          EPOCH_SUBJECT,
          `${ROOT}.snapshot.fleet.${fleet}.>`,
          `${ROOT}.snapshot.gateway.>`,
        ]),
        ...readable("LGW_STATE", [ENDPOINTS_FILTER, BIND_FILTER, TRUST_FILTER]),
        ...readable("LGW_SECRETS", [SECRET_FILTER]),
        "$JS.FC.>",
      ];
    }
    case "reader":
      return [
        ...readable("LGW_CURRENT", [EPOCH_SUBJECT, `${ROOT}.snapshot.>`]),
        ...readable("LGW_HISTORY", [EPOCH_SUBJECT, `${ROOT}.snapshot.>`]),
        ...readable("LGW_PINS", [`${ROOT}.pin.>`]),
        ...readable("LGW_STATE", [ENDPOINTS_FILTER, BIND_FILTER, TRUST_FILTER]),
        ...readable("LGW_FLEET", [`${ROOT}.proxy.>`]),
        "$JS.FC.>",
      ];
    default:
      return role satisfies never;
  }
}

/** Consumers with exactly one filter, and direct reads, of the named subjects. */
function readable(stream: string, filters: readonly string[]): string[] {
  return [
    `$JS.API.STREAM.INFO.${stream}`,
    ...filters.flatMap((filter) => [
      `$JS.API.CONSUMER.CREATE.${stream}.*.${filter}`,
      `$JS.API.DIRECT.GET.${stream}.${filter}`,
    ]),
  ];
}
