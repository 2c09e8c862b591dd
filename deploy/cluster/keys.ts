/** The keys of an installation: made once, as Secrets; what is there stays. */
import { nkeys } from "nats";
import { Buffer } from "node:buffer";
import { type BusRole, permissionsFor } from "../../shared/bus/permissions.ts";
import { serverConfigText } from "../../shared/bus/server/config.ts";
import { generateFleetKey, publicHalf } from "../../shared/secrets/fleet_key.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { createSigner, generateSigningKey } from "../../shared/snapshot/keys.ts";

/** A Secret: file name → text. */
export type SecretData = Readonly<Record<string, string>>;

export interface InstallationKeys {
  /** Configuration and certificate of the bus. */
  "bus-server": SecretData;
  "controller-keys": SecretData;
  "proxy-keys": SecretData;
  /** For `lgw`: may read snapshots and heartbeats, nothing else. */
  "reader-keys": SecretData;
}

export interface KeyOptions {
  namespace: string;
  /** As the manifests name it. */
  fleet: string;
  now: Date;
}

const DAY = 24 * 3600 * 1000;
/** Of the bus's certificate. It is its own authority: nothing else is trusted through it. */
const LIFE = 10 * 365 * DAY;

/** Makes all keys of an installation: none of them depends on anything that is there. */
export async function generateKeys(options: KeyOptions): Promise<InstallationKeys> {
  const { namespace, fleet, now } = options;
  const tls = await selfSigned({
    names: [
      `nats.${namespace}.svc`,
      `*.nats.${namespace}.svc`,
      `nats.${namespace}.svc.cluster.local`,
      `*.nats.${namespace}.svc.cluster.local`,
    ],
    notBefore: new Date(now.getTime() - DAY),
    notAfter: new Date(now.getTime() + LIFE),
  });
  const signingKey = generateSigningKey().privateKey;
  const fleetKey = await generateFleetKey();
  const [controller, proxy, reader] = [user(), user(), user()];
  const config = busConfig({
    fleet,
    nkeys: { controller: controller.nkey, proxy: proxy.nkey, reader: reader.nkey },
  });
  const bus = ({ seed }: { seed: string }) => ({ "bus.seed": seed, "bus-ca.crt": tls.certificate });
  return {
    "bus-server": { "nats.conf": config, "tls.crt": tls.certificate, "tls.key": tls.key },
    "controller-keys": {
      ...bus(controller),
      "signing.key": signingKey,
      "fleet.pub.json": JSON.stringify(publicHalf(fleetKey)),
    },
    "proxy-keys": {
      ...bus(proxy),
      "signing.pub": createSigner(signingKey).publicKey,
      "fleet.key.json": JSON.stringify(fleetKey),
    },
    "reader-keys": { ...bus(reader), "signing.pub": createSigner(signingKey).publicKey },
  };
}

/** Users of the bus → their public nkeys. */
export type BusNkeys = Readonly<Record<"controller" | "proxy" | "reader", string>>;

/** What the bus is configured with: who may do what. Another version may allow something else. */
export function busConfig({ fleet, nkeys }: { fleet: string; nkeys: BusNkeys }): string {
  const roles: BusRole[] = [
    { role: "controller", user: "controller" },
    { role: "proxy", user: "proxy", fleet },
    { role: "reader", user: "reader" },
  ];
  return serverConfigText({
    host: "0.0.0.0",
    port: 4222,
    storeDir: "/data",
    users: roles.map((role) => {
      const { publish, subscribe } = permissionsFor(role);
      return {
        nkey: nkeys[role.role],
        permissions: { publish: publish.allow, subscribe: subscribe.allow },
      };
    }),
    tls: { certificate: "/etc/nats/tls.crt", key: "/etc/nats/tls.key" },
    monitorPort: 8222,
  });
}

/** The public nkey of a seed. Throws a `TypeError` that repeats nothing of it when it is none. */
export function nkeyOfSeed(seed: string): string {
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed.trim())).getPublicKey();
  } catch {
    throw new TypeError("bus.seed: not the seed of an nkey");
  }
}

function user(): { seed: string; nkey: string } {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), nkey: pair.getPublicKey() };
}

/** Secrets as the API takes them; the keys are in the text. */
export function secretManifests(keys: InstallationKeys, namespace: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: Object.entries(keys).map(([name, data]) => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace, labels: { "app.kubernetes.io/part-of": "light-k8s-gateway" } },
      type: "Opaque",
      data: Object.fromEntries(
        Object.entries(data as SecretData).map((
          [file, text],
        ) => [file, Buffer.from(text).toString("base64")]),
      ),
    })),
  });
}
