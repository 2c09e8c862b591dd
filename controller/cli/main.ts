/** `lgw`: asks a running gateway, or manifests alone. */
import { errorMessage } from "../../shared/lib/log.ts";
import { EXIT_FAILED, lgwProgram } from "./program.ts";

if (import.meta.main) {
  try {
    await lgwProgram().parseAsync([...Deno.args], { from: "user" });
  } catch (error) {
    console.error(`lgw: ${errorMessage(error)}`);
    Deno.exit(EXIT_FAILED);
  }
}
