/** The controller's metrics (prom-client), declared in one place. */
import process from "node:process";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export class ControllerMetrics {
  readonly registry: Registry = new Registry();
  readonly #registers = [this.registry];

  readonly objectChanges = new Counter({
    name: "lgw_controller_object_changes_total",
    help: "Objects added, changed or removed, by kind",
    labelNames: ["kind"],
    registers: this.#registers,
  });
  readonly reconciles = new Counter({
    name: "lgw_controller_reconciles_total",
    help: "Objects decided anew, by kind: because they changed, or something that they refer to",
    labelNames: ["kind"],
    registers: this.#registers,
  });
  readonly reconcileSeconds = new Histogram({
    name: "lgw_controller_reconcile_duration_seconds",
    help: "Time to decide all objects of a kind that have to be decided anew, by kind",
    labelNames: ["kind"],
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly reconcileErrors = new Counter({
    name: "lgw_controller_reconcile_errors_total",
    help: "Objects that came to be refused before anything could be decided about them, by kind",
    labelNames: ["kind"],
    registers: this.#registers,
  });
  readonly compileSeconds = new Histogram({
    name: "lgw_controller_compile_duration_seconds",
    help: "Time to compile all objects",
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly publishSeconds = new Histogram({
    name: "lgw_controller_publish_duration_seconds",
    help: "Time from a change to its versions being stored on the bus",
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly versions = new Counter({
    name: "lgw_controller_snapshot_versions_total",
    help: "Versions published",
    registers: this.#registers,
  });
  readonly snapshotBytes = new Histogram({
    name: "lgw_controller_snapshot_size_bytes",
    help: "Size of what a publish stored on the bus: deltas, checkpoints and last-value data",
    buckets: [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304],
    registers: this.#registers,
  });
  readonly publishedBytes = new Counter({
    name: "lgw_controller_published_bytes_total",
    help: "Bytes of message bodies stored on the bus",
    registers: this.#registers,
  });
  readonly publishErrors = new Counter({
    name: "lgw_controller_publish_errors_total",
    help: "Publishes that failed and are tried again",
    registers: this.#registers,
  });
  readonly oversize = new Gauge({
    name: "lgw_controller_snapshot_oversize",
    help: "Scopes whose content does not fit onto the bus",
    registers: this.#registers,
  });
  readonly valueFailures = new Counter({
    name: "lgw_controller_value_failures_total",
    help: "Endpoint sets, bind maps and certificates that could not be written to the bus",
    registers: this.#registers,
  });
  readonly passFailures = new Counter({
    name: "lgw_controller_pass_failures_total",
    help: "Compiles or publishes that failed for a fault of the controller itself",
    registers: this.#registers,
  });
  readonly sourceProblems = new Gauge({
    name: "lgw_controller_source_problems",
    help: "Problems in the manifests now, by severity",
    labelNames: ["severity"],
    registers: this.#registers,
  });
  readonly statusUpdates = new Counter({
    name: "lgw_controller_status_updates_total",
    help: "Statuses that changed, by kind",
    labelNames: ["kind"],
    registers: this.#registers,
  });
  readonly cpuSeconds = new Counter({
    name: "process_cpu_seconds_total",
    help: "CPU that this process has used, seconds",
    registers: this.#registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  readonly residentMemory = new Gauge({
    name: "process_resident_memory_bytes",
    help: "Memory that this process holds, bytes",
    registers: this.#registers,
    collect() {
      this.set(Deno.memoryUsage().rss);
    },
  });
  readonly statusConflicts = new Counter({
    name: "lgw_controller_status_conflicts_total",
    help: "Statuses that somebody else had written meanwhile, and that were made anew",
    registers: this.#registers,
  });
  readonly statusErrors = new Counter({
    name: "lgw_controller_status_errors_total",
    help: "Statuses that could not be written and are tried again",
    registers: this.#registers,
  });
  readonly events = new Counter({
    name: "lgw_controller_events_total",
    help: "Events about conditions, by outcome: written, failed, or dropped from a full queue",
    labelNames: ["outcome"],
    registers: this.#registers,
  });
  readonly apiRequests = new Counter({
    name: "lgw_controller_api_requests_total",
    help: "Requests to the API server, by method and status; 0 = no answer",
    labelNames: ["method", "code"],
    registers: this.#registers,
  });
  readonly apiRequestSeconds = new Histogram({
    name: "lgw_controller_api_request_duration_seconds",
    help: "Time until the API server began to answer, by method",
    labelNames: ["method"],
    buckets: SECONDS,
    registers: this.#registers,
  });
  readonly watchEnds = new Counter({
    name: "lgw_controller_watch_ends_total",
    help: "Watches that ended and were taken up again, by kind and outcome",
    labelNames: ["kind", "outcome"],
    registers: this.#registers,
  });
  readonly followedObjects = new Gauge({
    name: "lgw_controller_followed_objects",
    help: "Secrets and ConfigMaps that are watched because something refers to them",
    registers: this.#registers,
  });
  readonly infrastructureWrites = new Counter({
    name: "lgw_controller_infrastructure_writes_total",
    help: "Services and EndpointSlices written, by kind and verb",
    labelNames: ["kind", "verb"],
    registers: this.#registers,
  });
  readonly infrastructureErrors = new Counter({
    name: "lgw_controller_infrastructure_errors_total",
    help: "Services and EndpointSlices that could not be written and are tried again",
    registers: this.#registers,
  });
  readonly leader = new Gauge({
    name: "lgw_controller_leader",
    help: "1 while this controller leads",
    registers: this.#registers,
  });
  readonly readyProxies = new Gauge({
    name: "lgw_controller_ready_proxies",
    help: "Proxies that say they are ready",
    registers: this.#registers,
  });

  /** The exposition text and its content type. */
  async expose(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }
}
