/**
 * Checks what a reader of the repository relies on: which folder may import which, that a file
 * holds one decision (at most 400 lines), that every folder of code explains itself in a README of
 * at most 30 lines, and that the paths that the documents name exist.
 */

import { withFeatureList } from "./readme.ts";

/** Folder → folders it may import from, itself included; the most specific folder counts. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "shared/snapshot": ["shared/snapshot"],
  "shared/gwapi": ["shared/gwapi"],
  "shared/lib": ["shared/lib"],
  "shared": ["shared"],
  "controller": ["controller", "shared"],
  "proxy": ["proxy", "shared"],
  "mesh-sidecar": ["mesh-sidecar", "shared"],
  "deploy": ["deploy", "shared", "controller", "proxy"],
  "conformance": ["conformance", "shared", "controller", "proxy", "deploy"],
};
/** Import-map names that a folder may not use: its contract holds for every runtime. */
const NO_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "shared/snapshot": ["nats", "prom-client", "commander", "jose"],
};
const TOP_LEVEL = ["controller", "proxy", "mesh-sidecar", "shared", "deploy", "conformance"];
const MAX_LINES = 400;
const MAX_README_LINES = 30;
/** Data and vendored text. */
const NOT_CODE = /(^|\/)(testdata|samples|peers|reports)(\/|$)/;

const problems: string[] = [];

interface File {
  path: string;
  text: string;
}

async function* walk(folder: string): AsyncIterable<string> {
  for await (const entry of Deno.readDir(folder)) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* walk(path);
    else yield path;
  }
}

function mostSpecific(path: string, folders: readonly string[]): string | undefined {
  return folders
    .filter((folder) => path === folder || path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}

function resolve(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function checkImports({ path, text }: File): void {
  const folder = mostSpecific(path, Object.keys(MAY_IMPORT));
  if (folder === undefined) return;
  const test = path.endsWith("_test.ts");
  for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)) {
    if (specifier === undefined) continue;
    if (!specifier.startsWith(".")) {
      const name = NO_PACKAGES[folder]?.find((name) => specifier === name);
      if (name !== undefined && !test) problems.push(`${path}: ${folder} may not use ${name}`);
      if (/^(npm|jsr|https?):/.test(specifier)) {
        problems.push(`${path}: name ${specifier} in the import map of deno.json instead`);
      }
      continue;
    }
    const target = resolve(path, specifier);
    const allowed = MAY_IMPORT[folder] ?? [];
    // Tests may look across: they compare what two sides of a contract do.
    const reach = test ? [...allowed, "shared"] : allowed;
    if (mostSpecific(target, reach) === undefined) {
      problems.push(`${path}: ${folder} may not import ${target}`);
    }
  }
  if (folder === "shared/snapshot" && !test && /\bDeno\./.test(text)) {
    problems.push(`${path}: shared/snapshot may not use Deno`);
  }
}

function checkLength({ path, text }: File): void {
  const lines = text.split("\n").length - 1;
  const limit = path.endsWith("README.md") ? MAX_README_LINES : MAX_LINES;
  if (path === "README.md") return;
  if (lines > limit) problems.push(`${path}: ${lines} lines, at most ${limit}`);
}

function checkPaths({ path, text }: File, all: ReadonlySet<string>): void {
  const known = (name: string) =>
    all.has(name) || [...all].some((file) => file.startsWith(`${name.replace(/\/$/, "")}/`));
  for (const [, quoted] of text.matchAll(/`([a-z][\w./-]*\/[\w./-]*)`/g)) {
    if (quoted === undefined || mostSpecific(quoted, TOP_LEVEL) === undefined) continue;
    if (!known(quoted)) problems.push(`${path}: names ${quoted}, which does not exist`);
  }
}

const paths: string[] = [];
for await (const path of walk(".")) paths.push(path);
const all = new Set(paths);
const folders = new Set<string>();
for (const path of paths) {
  if (NOT_CODE.test(path)) continue;
  const code = path.endsWith(".ts");
  if (!code && !path.endsWith(".md")) continue;
  const file = { path, text: await Deno.readTextFile(path) };
  if (code) {
    folders.add(path.split("/").slice(0, -1).join("/"));
    checkImports(file);
    checkLength(file);
  } else {
    if (path.endsWith("README.md")) checkLength(file);
    checkPaths(file, all);
  }
}
for (const folder of folders) {
  if (!all.has(`${folder}/README.md`)) problems.push(`${folder}: no README.md`);
}
for (const path of paths) {
  const top = path.split("/")[0] as string;
  if (path.includes("/") && !TOP_LEVEL.includes(top)) problems.push(`${top}: not a folder of ours`);
}
const readme = await Deno.readTextFile("README.md");
if (withFeatureList(readme) !== readme) {
  problems.push("README.md: the feature list is stale; run deno task docs");
}
for (const problem of problems.sort()) console.error(problem);
console.log(`${paths.length} files, ${problems.length} problems`);
Deno.exit(problems.length === 0 ? 0 : 1);
