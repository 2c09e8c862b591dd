/** What a table's rule needs on the request path, prepared on its first request and kept with it. */
import type { HttpFilter, RedirectFilter, RewriteFilter } from "../../snapshot/schema.ts";
import type { BackendStats, RequestStats, RuleLabels } from "../observe/request_stats.ts";
import type { Candidate, TableBackend, TableRule } from "../table/types.ts";
import { CorsPolicy } from "./filters/cors.ts";
import { type CompiledModifier, compileModifier } from "./filters/header_modifier.ts";

/** Filters in the fixed order in which they apply, whatever the manifest's order. */
export interface FilterPlan {
  /** Before all: a preflight is about the request to come, and every answer has its headers. */
  readonly cors: CorsPolicy | null;
  /** First: later filters and the backend see what they changed. */
  readonly requestHeaders: readonly CompiledModifier[];
  /** Second: answers without a backend. */
  readonly redirect: RedirectFilter | null;
  /** Third: the path that matching saw is no longer needed. */
  readonly rewrite: RewriteFilter | null;
  /** Last, on the way back. */
  readonly responseHeaders: readonly CompiledModifier[];
}

/** One backend with its filters and counters. */
export interface BackendPlan {
  readonly backend: TableBackend;
  readonly filters: FilterPlan;
  readonly stats: BackendStats;
}

/** One rule, ready for requests. */
export interface RulePlan {
  readonly rule: TableRule;
  readonly filters: FilterPlan;
  readonly backends: readonly BackendPlan[];
  readonly labels: RuleLabels;
  /** Counts what is answered without a backend. */
  readonly stats: BackendStats;
}

/** Plans by rule; a rule that leaves with its table takes its plan along. */
export class RulePlans {
  readonly #plans = new WeakMap<TableRule, RulePlan>();
  readonly #stats: RequestStats;

  constructor(stats: RequestStats) {
    this.#stats = stats;
  }

  get(candidate: Candidate, scope: string): RulePlan {
    const known = this.#plans.get(candidate.rule);
    if (known !== undefined) return known;
    const plan = this.#make(candidate, scope);
    this.#plans.set(candidate.rule, plan);
    return plan;
  }

  #make(candidate: Candidate, scope: string): RulePlan {
    const { rule, listener } = candidate;
    const labels: RuleLabels = {
      gateway: scope,
      listener: listener.name,
      routeKind: candidate.calls ? "GRPCRoute" : "HTTPRoute",
      routeNamespace: rule.routeNamespace,
      routeName: rule.routeName,
      rule: rule.rule,
    };
    return {
      rule,
      labels,
      filters: planFilters(rule.filters),
      backends: rule.backends.map((backend) => ({
        backend,
        filters: planFilters(backend.filters),
        stats: this.#stats.backend(labels, backend.name),
      })),
      stats: this.#stats.backend(labels, ""),
    };
  }
}

function planFilters(filters: readonly HttpFilter[]): FilterPlan {
  const requestHeaders: CompiledModifier[] = [];
  const responseHeaders: CompiledModifier[] = [];
  let redirect: RedirectFilter | null = null;
  let rewrite: RewriteFilter | null = null;
  let cors: CorsPolicy | null = null;
  for (const filter of filters) {
    switch (filter.type) {
      case "requestHeaders":
        requestHeaders.push(compileModifier(filter));
        break;
      case "responseHeaders":
        responseHeaders.push(compileModifier(filter));
        break;
      case "redirect":
        redirect ??= filter;
        break;
      case "rewrite":
        rewrite ??= filter;
        break;
      case "cors":
        cors ??= new CorsPolicy(filter);
        break;
      case "mirror":
        // With the cluster it names, in the table.
        break;
    }
  }
  return { cors, requestHeaders, redirect, rewrite, responseHeaders };
}
