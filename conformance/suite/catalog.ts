/** What the official suite consists of, as its own binary tells. */
import { ParseError, parseString, parseStrings } from "../../shared/lib/parse.ts";

/** A test of the suite. It runs when every one of its features is supported. */
export interface CatalogTest {
  name: string;
  features: string[];
  provisional: boolean;
  parallel: boolean;
}

/** A conformance profile: the features that it knows. */
export interface CatalogProfile {
  name: string;
  core: string[];
  extended: string[];
}

/** Everything that the suite has. */
export interface Catalog {
  tests: CatalogTest[];
  profiles: CatalogProfile[];
}

/** Reads what the suite's `TestCatalog` wrote. Throws {@linkcode ParseError}. */
export function parseCatalog(text: string): Catalog {
  const value = record(JSON.parse(text), "");
  return {
    tests: list(value["tests"], "tests").map((item, i) => {
      const test = record(item, `tests[${i}]`);
      return {
        name: parseString(test["name"], `tests[${i}].name`),
        features: parseStrings(test["features"] ?? [], `tests[${i}].features`),
        provisional: test["provisional"] === true,
        parallel: test["parallel"] === true,
      };
    }),
    profiles: list(value["profiles"], "profiles").map((item, i) => {
      const profile = record(item, `profiles[${i}]`);
      return {
        name: parseString(profile["name"], `profiles[${i}].name`),
        core: parseStrings(profile["core"], `profiles[${i}].core`),
        extended: parseStrings(profile["extended"], `profiles[${i}].extended`),
      };
    }),
  };
}

/** Whether a test counts for a profile, and at which level; undefined when it does not. */
export function levelOf(
  test: CatalogTest,
  profile: CatalogProfile,
): "core" | "extended" | undefined {
  if (test.features.every((name) => profile.core.includes(name))) return "core";
  const known = [...profile.core, ...profile.extended];
  return test.features.every((name) => known.includes(name)) ? "extended" : undefined;
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ParseError(path, "an object");
  }
  return { ...value };
}

function list(value: unknown, path: string): unknown[] {
  if (!Array.isArray(value)) throw new ParseError(path, "a list");
  return value;
}
