/**
 * The validation rules of custom resources (`x-kubernetes-validations`), in the Common Expression
 * Language, by `@marcbachmann/cel-js`.
 *
 * Numbers are CEL doubles here, where an API server has ints. The language compares the two by
 * value; arithmetic between a field and an integer literal would differ, and no vendored rule does
 * it.
 */
import { isIP } from "node:net";
import { Environment } from "@marcbachmann/cel-js";
import { errorMessage } from "../../../shared/lib/log.ts";
import type { ValidationRule } from "./json_schema.ts";

/** What came of a rule: it holds, it does not, or it says nothing of an object without a past. */
export type RuleResult =
  | { kind: "holds" }
  | {
    kind: "fails";
    /** Entries of the list or map that break a rule of the form `self.all(…)`. */
    entries?: (string | number)[];
    /** Why it could not be computed; an API server refuses such an object too. */
    error?: string;
  };

/** A rule that is ready to run. */
export interface CompiledRule {
  message: string;
  /** Never throws. */
  check: (self: unknown) => RuleResult;
}

/** A rule that is not run, and why not. */
export interface SkippedRule {
  rule: string;
  reason: string;
}

/** Parses rules; one instance shares one environment, because making one is dear. */
export class CelRules {
  #environment: Environment | undefined;
  readonly #compiled = new Map<string, ((self: unknown) => unknown) | SkippedRule>();

  /** Makes a rule ready. Equal rules are parsed once. Never throws. */
  compile({ rule, message }: ValidationRule): CompiledRule | SkippedRule {
    const program = this.#program(rule);
    return typeof program === "function"
      ? { message, check: (self) => this.#check(rule, { program, self }) }
      : program;
  }

  #program(rule: string): ((self: unknown) => unknown) | SkippedRule {
    const known = this.#compiled.get(rule);
    if (known !== undefined) return known;
    const made = this.#parse(rule);
    this.#compiled.set(rule, made);
    return made;
  }

  #parse(rule: string): ((self: unknown) => unknown) | SkippedRule {
    if (/\boldSelf\b/.test(rule)) {
      return { rule, reason: "a transition rule: a file has no earlier form to compare with" };
    }
    this.#environment ??= new Environment({ unlistedVariablesAreDyn: false })
      .registerVariable("self", "dyn")
      // Kubernetes IP library: is the text an address, of IPv4 or IPv6?
      .registerFunction("isIP(dyn): bool", (text: unknown) => isIP(String(text)) !== 0);
    try {
      const parsed = this.#environment.parse(forLibrary(rule));
      const checked = parsed.check();
      if (!checked.valid) return { rule, reason: errorMessage(checked.error) };
      return (self) => parsed({ self });
    } catch (error) {
      return { rule, reason: errorMessage(error) };
    }
  }

  #check(
    rule: string,
    { program, self }: { program: (self: unknown) => unknown; self: unknown },
  ): RuleResult {
    try {
      if (program(self) === true) return { kind: "holds" };
    } catch (error) {
      return { kind: "fails", error: firstLine(errorMessage(error)) };
    }
    const entries = this.#brokenEntries(rule, self);
    return entries === undefined ? { kind: "fails" } : { kind: "fails", entries };
  }

  /**
   * The entries that break `self.all(x, …)`, by asking with `self.map` instead. Of entries that
   * must differ from one another the first is not to blame.
   */
  #brokenEntries(rule: string, self: unknown): (string | number)[] | undefined {
    const all = "self.all(";
    if (!rule.startsWith(all) || typeof self !== "object" || self === null) return undefined;
    const program = this.#program(`self.map(${rule.slice(all.length)}`);
    if (typeof program !== "function") return undefined;
    try {
      const answers = program(self);
      const keys = Array.isArray(self) ? [...self.keys()] : Object.keys(self);
      if (!Array.isArray(answers) || answers.length !== keys.length) return undefined;
      const broken = keys.filter((_, index) => answers[index] !== true);
      const shown = rule.includes(".exists_one(") ? broken.slice(1) : broken;
      return shown.length > 0 ? shown : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Field names that are words of CEL are written `__namespace__` in rules. */
const ESCAPED =
  /\.__(true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while)__\b/g;

/** `has(self.matches[0].path)`: the library's macro takes no index in its argument. */
const HAS_OF_INDEX = /\bhas\(([\w.]+(?:\[\d+\][\w.]*)*\[\d+\])\.(\w+)\)/g;

/** `^(?i)…` in a raw string: a flag of RE2, which the runtime's expressions write around a group. */
const CASELESS = /\^\(\?i\)((?:(?!""")[^])*)"""/g;

/** The rule in the words that the library knows, of equal meaning. */
function forLibrary(rule: string): string {
  return rule.replaceAll(ESCAPED, ".$1").replaceAll(HAS_OF_INDEX, `("$2" in $1)`)
    .replaceAll(CASELESS, '^(?i:$1)"""');
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? text;
}
