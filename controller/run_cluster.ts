/** A controller in, or beside, a cluster: objects and statuses are the API server's. */
import { systemClock } from "../shared/lib/clock.ts";
import { CollectAfterShrinking } from "../shared/lib/collect_garbage.ts";
import type { Logger } from "../shared/lib/log.ts";
import { serveControllerAdmin, serveControllerHealth } from "./admin.ts";
import type { ControllerConfig, KubernetesConfig } from "./config.ts";
import { FleetFollower } from "./fleet_follower.ts";
import { fleetView } from "./fleet_view.ts";
import { SharedFleetInfrastructure } from "./infra/apply.ts";
import { SHARED_FLEET_PORTS } from "./infra/binds.ts";
import { FleetPorts } from "./infra/fleet_ports.ts";
import { ControllerLoop } from "./loop.ts";
import { ControllerMetrics } from "./observe/metrics.ts";
import type { Publisher } from "./publish/publisher.ts";
import { busConnected, openPublishing } from "./publishing.ts";
import { kindOf } from "./model/objects.ts";
import { openAccess } from "./source/kubernetes/access.ts";
import { KubeApi, KubeApiError } from "./source/kubernetes/api.ts";
import { FOLLOWED_KINDS, KubernetesSource } from "./source/kubernetes/kubernetes_source.ts";
import { LeaseElection } from "./source/kubernetes/lease.ts";
import { withinScope } from "./source/watch_scope.ts";
import { TermPause } from "./term_pause.ts";
import { EventWriter } from "./status/events.ts";
import { StatusWriter } from "./status/writer.ts";

const FIELD_MANAGER = "light-k8s-gateway";

/** Runs until `ended` resolves, through any number of times in office. */
export async function runCluster(
  config: ClusterConfig,
  { ended, log }: { ended: Promise<unknown>; log: Logger },
): Promise<void> {
  const stopped = ended.then(() => "stopped" as const);
  const pause = new TermPause(Math.random);
  for (;;) {
    const began = systemClock.monotonic();
    const end = await runTerm(config, { stopped, log });
    if (end === "stopped") return;
    const wait = pause.after(systemClock.monotonic() - began);
    log.error("starting_anew", { reason: end.lost, wait: Math.round(wait) });
    const waiting = new AbortController();
    void stopped.then(() => waiting.abort());
    await systemClock.delay(wait, waiting.signal).catch(() => {});
  }
}

type ClusterConfig = ControllerConfig & { kubernetes: KubernetesConfig };

/**
 * Runs until it is told to stop, or leads no more: then what it believes may be another's by now,
 * and everything begins anew, as a follower.
 */
async function runTerm(
  config: ClusterConfig,
  options: { stopped: Promise<"stopped">; log: Logger },
): Promise<"stopped" | { lost: string }> {
  const { stopped, log } = options;
  const { settings, kubernetes, health } = config;
  const { controllerName, watchNamespaces: namespaces } = settings;
  const clock = systemClock;
  const random = Math.random;
  const metrics = new ControllerMetrics();
  const access = await openAccess(kubernetes.access, clock);
  const api = new KubeApi({
    access,
    userAgent: FIELD_MANAGER,
    observer: {
      request: ({ method, code, milliseconds }) => {
        metrics.apiRequests.inc({ method, code: String(code) });
        metrics.apiRequestSeconds.observe({ method }, milliseconds / 1000);
      },
    },
  });
  let lease: LeaseElection | undefined;
  // What the bus refuses by the epoch, the API server would take: statuses, Services, slices.
  const writes: Pick<KubeApi, "request" | "open"> = {
    open: (request) => api.open(request),
    request: (request) => {
      if (request.method === "GET" || lease?.valid === true) return api.request(request);
      return Promise.reject(new KubeApiError(0, "", "not sent: the Lease may be another's by now"));
    },
  };
  const { bus, acks, openPublisher } = openPublishing(config, { metrics, log });
  const memoryUse = new CollectAfterShrinking({ clock, afterGrowth: true });
  const events = new EventWriter({
    api,
    controllerName,
    identity: kubernetes.identity,
    clock,
    hooks: {
      onWritten: () => metrics.events.inc({ outcome: "written" }),
      onError: () => metrics.events.inc({ outcome: "failed" }),
      onDropped: () => metrics.events.inc({ outcome: "dropped" }),
    },
  });
  const statuses = new StatusWriter({
    api: writes,
    controllerName,
    clock,
    random,
    log,
    fieldManager: FIELD_MANAGER,
    hooks: {
      onWritten: (key) => metrics.statusUpdates.inc({ kind: kindOf(key) }),
      onConflict: () => metrics.statusConflicts.inc(),
      onError: () => metrics.statusErrors.inc(),
      onChange: (object, before) => events.onChange(object, before),
    },
  });
  const source = new KubernetesSource({
    api,
    namespaces,
    assumedClass: { name: settings.gatewayClassName, controllerName },
    onBatch: (batch) => loop.onBatch("kubernetes", withinScope(batch, settings)),
    onStored: (key, object) => statuses.onStored(key, object),
    observer: {
      watchEnded: (kind, outcome) => metrics.watchEnds.inc({ kind, outcome }),
      following: (count) => metrics.followedObjects.set(count),
    },
    clock,
    random,
    log,
  });
  const infrastructure = new SharedFleetInfrastructure({
    api: writes,
    controllerName,
    namespaces,
    clock,
    random,
    log,
    fieldManager: FIELD_MANAGER,
    onChange: () => loop.onSurroundingsChanged(),
    hooks: {
      onWritten: (kind, verb) => metrics.infrastructureWrites.inc({ kind, verb }),
      onError: () => metrics.infrastructureErrors.inc(),
    },
  });
  const ports = new FleetPorts({
    preferred: () => SHARED_FLEET_PORTS.first,
    last: SHARED_FLEET_PORTS.last,
    holdFreed: true,
    inForce: () => publisher === undefined ? infrastructure.binds() : undefined,
    clock,
    log,
  });
  // Set once this controller leads; until then it compiles to be warm, and writes nothing.
  let publisher: Publisher | undefined;
  const loop = new ControllerLoop({
    publisher: {
      publish: (desired, cause) =>
        publisher?.publish(desired, cause) ?? Promise.resolve({ kind: "standby" }),
    },
    fleet: fleetView(acks),
    controllerName,
    ports,
    servicesByName: false,
    surroundings: infrastructure,
    references: { kinds: FOLLOWED_KINDS, follow: (keys) => source.follow(keys) },
    statuses,
    metrics,
    clock,
    log,
    onHeld: (objects) => memoryUse.observe(objects),
  });
  acks.onChange(() => loop.onFleetChanged());
  let warm = false;
  const sources = { metrics, ready: () => warm, waitingFor: () => source.waitingFor };
  const admin = serveControllerAdmin({
    ...sources,
    port: config.adminPort,
    loop,
    onLogLevel: (level) => log.setLevel(level),
  });
  const probes = health && serveControllerHealth(health, sources);
  console.log(JSON.stringify({ adminPort: admin.port }));
  log.info("started", { adminPort: admin.port, server: access.server });
  const fleet = new FleetFollower({ api, bus, acks, kubernetes, clock, random, infrastructure });
  const synced = await Promise.race([
    Promise.all([source.start(), infrastructure.start(), busConnected(bus)]),
    stopped,
  ]);
  let lost: string | undefined;
  if (synced !== "stopped") {
    loop.start();
    warm = true;
    lease = new LeaseElection({
      api,
      namespace: kubernetes.namespace,
      name: kubernetes.lease,
      identity: kubernetes.identity,
      clock,
      random,
      log,
      note: () => publisher?.lineage,
    });
    const elected = await Promise.race([lease.elected.then((note) => ({ note })), stopped]);
    if (elected !== "stopped") {
      ports.restore(infrastructure.binds());
      publisher = openPublisher({ holder: kubernetes.identity, previousLineage: elected.note });
      infrastructure.lead();
      loop.trigger();
      const end = await Promise.race([
        stopped,
        lease.lost,
        publisher.deposed.then(() => "another controller has raised the epoch"),
      ]);
      if (end !== "stopped") lost = end;
    }
  }
  // First what writes, then the Lease: whoever takes it must find nobody writing.
  loop.close();
  statuses.close();
  await events.close();
  await infrastructure.close();
  await publisher?.close();
  await lease?.close();
  await fleet.close();
  memoryUse.close();
  await source.close();
  await acks.close();
  await bus.close();
  await probes?.close();
  await admin.close();
  access.close();
  return lost === undefined ? "stopped" : { lost };
}
