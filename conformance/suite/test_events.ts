/** Reads the events of `go test -json` (test2json) and keeps what each test of the suite did. */

/** The end of a test. */
export interface TestResult {
  name: string;
  outcome: "passed" | "failed" | "skipped";
  /** Without the time that a parallel test waited for its turn. */
  seconds: number;
}

/** The test that all tests of the suite are subtests of. */
const ROOT = "TestConformance";
/** Lines of output that are kept of one test; what is longer is in the log. */
const MAX_LINES = 400;

/** Collects events; the results of the suite's tests in the order of their end. */
export class TestEvents {
  readonly #results = new Map<string, TestResult>();
  readonly #output = new Map<string, string[]>();
  /** Whether a test of the suite began: the set-up was over then. */
  #begun = false;
  /** How the whole run ended; undefined as long as it has not, or when it was cut off. */
  #ended: TestResult["outcome"] | undefined;

  /**
   * Takes one line. Returns the test that ended with it, and undefined for everything else.
   * A line that is no event (what the program printed itself) belongs to the run as a whole.
   */
  take(line: string): TestResult | undefined {
    const event = parseEvent(line);
    if (event === undefined) {
      this.#keep(ROOT, line);
      return undefined;
    }
    const [root, name] = event.test.split("/");
    if (root !== ROOT) return undefined;
    if (name !== undefined) this.#begun = true;
    const key = name ?? ROOT;
    if (event.action === "output") {
      this.#keep(key, event.output.replace(/\n$/, ""));
      return undefined;
    }
    const outcome = OUTCOMES[event.action];
    if (outcome === undefined) return undefined;
    if (event.test === ROOT) this.#ended = outcome;
    // A subtest of a test counts with its parent.
    if (event.test.split("/").length !== 2 || name === undefined) return undefined;
    const result = { name, outcome, seconds: event.elapsed };
    this.#results.set(name, result);
    return result;
  }

  /** The tests that ended. */
  get results(): TestResult[] {
    return [...this.#results.values()];
  }

  get begun(): boolean {
    return this.#begun;
  }

  get ended(): TestResult["outcome"] | undefined {
    return this.#ended;
  }

  /** The last lines that a test printed, or the run itself when there is no name. */
  outputOf(name: string | undefined): readonly string[] {
    return this.#output.get(name ?? ROOT) ?? [];
  }

  #keep(key: string, line: string): void {
    const lines = this.#output.get(key) ?? [];
    lines.push(line);
    if (lines.length > MAX_LINES) lines.shift();
    this.#output.set(key, lines);
  }
}

const OUTCOMES: Readonly<Record<string, TestResult["outcome"]>> = {
  pass: "passed",
  fail: "failed",
  skip: "skipped",
};

interface Event {
  action: string;
  test: string;
  elapsed: number;
  output: string;
}

function parseEvent(line: string): Event | undefined {
  if (!line.startsWith("{")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("Action" in value)) return undefined;
  const text = (key: string) => {
    const field: unknown = Reflect.get(value, key);
    return typeof field === "string" ? field : "";
  };
  const elapsed: unknown = Reflect.get(value, "Elapsed");
  return {
    action: text("Action"),
    test: text("Test"),
    elapsed: typeof elapsed === "number" ? elapsed : 0,
    output: text("Output"),
  };
}
