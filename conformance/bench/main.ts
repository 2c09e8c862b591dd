/** `deno task bench [cpu] [propagation] [edits]`: measures, then a verdict per target. */
import { benchCpu } from "./cpu.ts";
import { benchEdits } from "./edits.ts";
import { benchPropagation } from "./propagation.ts";
import { formatVerdict } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const BENCHES: Readonly<Record<string, (print: (line: string) => void) => Promise<Verdict[]>>> = {
  cpu: benchCpu,
  propagation: benchPropagation,
  edits: benchEdits,
};

const asked = Deno.args.length === 0 ? Object.keys(BENCHES) : Deno.args;
const verdicts: Verdict[] = [];
for (const name of asked) {
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (bench === undefined) {
    console.error(`there is no bench ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
    Deno.exit(2);
  }
  console.log(name);
  verdicts.push(...await bench(console.log));
}
console.log("");
for (const verdict of verdicts) console.log(formatVerdict(verdict));
Deno.exit(verdicts.every(({ outcome }) => outcome === "pass") ? 0 : 1);
