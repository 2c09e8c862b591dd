import { assertEquals } from "@std/assert";
import { parseOpenFileLimit } from "./open_files.ts";

Deno.test("parseOpenFileLimit() takes the soft limit, and nothing for unlimited", () => {
  const text = (soft: string) =>
    "Limit                     Soft Limit           Hard Limit           Units     \n" +
    "Max processes             1                    2                    processes \n" +
    `Max open files            ${soft}                20000                files     \n`;
  assertEquals(parseOpenFileLimit(text("1024")), 1024);
  assertEquals(parseOpenFileLimit(text("unlimited")), undefined);
  assertEquals(parseOpenFileLimit(""), undefined);
});
