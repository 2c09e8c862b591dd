/** What we claim: profiles and numbers from `conformance/profiles.yaml`, features from the code. */
import { parse } from "@std/yaml";
import { ParseError, parseInteger, parseObject, parseString } from "../../shared/lib/parse.ts";
import type { Catalog } from "./catalog.ts";

/** The number of tests of a profile that pass, at least. */
export interface ProfileClaim {
  name: string;
  core: number;
  extended: number;
}

const MAX_TESTS = 1000;

/** Reads `profiles.yaml`. Throws {@linkcode ParseError} with the place that is wrong. */
export function parseClaims(text: string): ProfileClaim[] {
  const { profiles } = parseObject(parse(text), { path: "", keys: ["profiles"] });
  if (!Array.isArray(profiles)) throw new ParseError("profiles", "a list");
  return profiles.map((item: unknown, i) => {
    const path = `profiles[${i}]`;
    const claim = parseObject(item, { path, keys: ["name", "core", "extended"] });
    const count = (key: "core" | "extended") =>
      parseInteger(claim[key], { path: `${path}.${key}`, min: 0, max: MAX_TESTS });
    return {
      name: parseString(claim.name, `${path}.name`),
      core: count("core"),
      extended: count("extended"),
    };
  });
}

/** What a run is asked for, besides what the repository claims. */
export interface Selection {
  /** Names of profiles; empty for all that are claimed. */
  profiles: readonly string[];
  /** Features instead of the claimed ones; empty for those. */
  features: readonly string[];
  /** Names of tests; empty for all. */
  tests: readonly string[];
}

/** What one run of the suite consists of. */
export interface Plan {
  profiles: string[];
  features: string[];
  /** Names of the tests that have to pass. */
  expected: string[];
  /** Names of tests that would run and were not asked for. */
  skip: string[];
  /** Everything that is claimed of these profiles runs, so that the result is a report. */
  whole: boolean;
}

/**
 * Plans a run. With profiles named, only their features are claimed to the suite, since it runs the
 * tests of every feature whatever the profile. A named test brings the features that it needs.
 */
export function planRun(
  selection: Selection,
  options: { catalog: Catalog; claims: readonly ProfileClaim[]; claimed: readonly string[] },
): Plan {
  const { catalog, claims, claimed } = options;
  const named = selection.profiles.length > 0;
  const profiles = named ? [...selection.profiles] : claims.map(({ name }) => name);
  const known = profiles.map((name) => {
    const profile = catalog.profiles.find((profile) => profile.name === name);
    if (profile !== undefined) return profile;
    const names = catalog.profiles.map((profile) => profile.name);
    throw new Error(`--profile ${name}: the suite has ${names.join(", ")}`);
  });
  const chosen = new Set(selection.features.length > 0 ? selection.features : claimed);
  if (named) {
    const inProfiles = new Set(known.flatMap(({ core, extended }) => [...core, ...extended]));
    for (const name of chosen) if (!inProfiles.has(name)) chosen.delete(name);
  }
  // The suite claims the core features of a profile that it is asked for.
  for (const { core } of known) for (const name of core) chosen.add(name);
  for (const name of selection.tests) {
    const test = catalog.tests.find((test) => test.name === name);
    if (test === undefined) throw new Error(`--test ${name}: the suite has no test of that name`);
    for (const feature of test.features) chosen.add(feature);
  }
  const features = [...chosen].sort();
  const runnable = catalog.tests
    .filter((test) => test.features.every((name) => chosen.has(name)))
    .map(({ name }) => name);
  const all = selection.tests.length === 0;
  return {
    profiles,
    features,
    expected: all ? runnable : [...new Set(selection.tests)],
    skip: all ? [] : runnable.filter((name) => !selection.tests.includes(name)),
    whole: all && selection.features.length === 0,
  };
}
