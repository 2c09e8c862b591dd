/** What a benchmark compares with, and what asks. */
import { debianProgram } from "../programs/debian.ts";
import { envoyProgram } from "../programs/envoy.ts";
import type { Program, ProgramOptions } from "../programs/program.ts";

export interface Tools {
  envoy: Program;
  nginx: Program;
  wrk: Program;
  h2load: Program;
}

/** Every tool, fetched when it is missing. */
export async function getTools(onProgress: (message: string) => void): Promise<Tools> {
  const options = { env: Deno.env, onProgress };
  return {
    envoy: await envoyProgram(options),
    nginx: await debianProgram("nginx", { ...options, file: "usr/sbin/nginx" }),
    wrk: await debianProgram("wrk", { ...options, file: "usr/bin/wrk" }),
    h2load: await h2loadProgram(options),
  };
}

/** The load over HTTP/2. */
export function h2loadProgram(options: ProgramOptions): Promise<Program> {
  return debianProgram("h2load", {
    ...options,
    package: "nghttp2-client",
    file: "usr/bin/h2load",
  });
}
