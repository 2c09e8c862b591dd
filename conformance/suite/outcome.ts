/** Compares what a run showed with what it should have shown. */
import { type Catalog, levelOf } from "./catalog.ts";
import type { Plan, ProfileClaim } from "./claims.ts";
import type { TestResult } from "./test_events.ts";

/** The tests of one level of a profile. */
export interface LevelCount {
  passed: number;
  failed: string[];
  /** Claimed, but skipped by the test itself. */
  skipped: string[];
  /** Claimed, but without a result: the run ended before. */
  missing: string[];
  /** Tests of the level that the suite has. */
  total: number;
}

/** One profile of a run. */
export interface ProfileOutcome {
  name: string;
  core: LevelCount;
  extended: LevelCount;
  featuresNotClaimed: string[];
}

/** Counts a run's results by profile and level. */
export function countProfiles(
  results: readonly TestResult[],
  options: { catalog: Catalog; plan: Plan },
): ProfileOutcome[] {
  const { catalog, plan } = options;
  const byName = new Map(results.map((result) => [result.name, result.outcome]));
  return catalog.profiles.filter(({ name }) => plan.profiles.includes(name)).map((profile) => {
    const count = (level: "core" | "extended"): LevelCount => {
      const tests = catalog.tests.filter((test) => levelOf(test, profile) === level);
      const expected = tests.map(({ name }) => name).filter((name) => plan.expected.includes(name));
      const those = (outcome: TestResult["outcome"] | undefined) =>
        expected.filter((name) => byName.get(name) === outcome);
      return {
        passed: those("passed").length,
        failed: those("failed"),
        skipped: those("skipped"),
        missing: those(undefined),
        total: tests.length,
      };
    };
    return {
      name: profile.name,
      core: count("core"),
      extended: count("extended"),
      featuresNotClaimed: [...profile.core, ...profile.extended]
        .filter((name) => !plan.features.includes(name)).sort(),
    };
  });
}

/**
 * Why a run shows less than what is claimed, a line each; empty when it does not. A whole run must
 * also reach the numbers of `profiles.yaml`, which a feature that is no longer claimed lowers.
 */
export function shortfalls(
  results: readonly TestResult[],
  options: { catalog: Catalog; plan: Plan; claims: readonly ProfileClaim[] },
): string[] {
  const { plan, claims } = options;
  const byName = new Map(results.map((result) => [result.name, result.outcome]));
  const lines = plan.expected.filter((name) => byName.get(name) !== "passed")
    .map((name) => `${name}: ${byName.get(name) ?? "no result"}`);
  // A test that fails without being expected still fails the suite.
  for (const { name, outcome } of results) {
    if (outcome === "failed" && !plan.expected.includes(name)) lines.push(`${name}: failed`);
  }
  if (!plan.whole) return lines;
  for (const outcome of countProfiles(results, options)) {
    const claim = claims.find(({ name }) => name === outcome.name);
    if (claim === undefined) continue;
    for (const level of ["core", "extended"] as const) {
      if (outcome[level].passed >= claim[level]) continue;
      lines.push(
        `${outcome.name}: ${outcome[level].passed} ${level} tests passed, ` +
          `conformance/profiles.yaml claims ${claim[level]}`,
      );
    }
  }
  return lines;
}
