/**
 * Keeps the feature list of the README equal to `controller/features.ts`.
 * `deno task docs` rewrites it; `deno task structure` fails when it is stale.
 */
import { FEATURES } from "../../controller/features.ts";

const START = /<!-- features: .* -->\n/;
const END = "<!-- /features -->";

/** The list, as Markdown that the formatter leaves alone. */
export function featureList(): string {
  const names = (level: "core" | "extended") =>
    FEATURES.filter((feature) => feature.level === level).map(({ name }) => name).join(", ");
  return `\n- Core: ${names("core")}\n- Extended: ${names("extended")}\n\n`;
}

/** The README with a fresh list. Throws when its markers are gone. */
export function withFeatureList(readme: string): string {
  const start = START.exec(readme);
  const end = readme.indexOf(END);
  if (start === null || end === -1) throw new Error("README.md: the feature markers are missing");
  return readme.slice(0, start.index + start[0].length) + featureList() + readme.slice(end);
}

if (import.meta.main) {
  const readme = await Deno.readTextFile("README.md");
  await Deno.writeTextFile("README.md", withFeatureList(readme));
}
