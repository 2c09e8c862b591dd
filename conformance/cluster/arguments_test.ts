import { assertEquals, assertThrows } from "@std/assert";
import { parseClusterArguments, UsageError } from "./arguments.ts";

Deno.test("parseClusterArguments() reads every command", () => {
  const parse = (line: string) => parseClusterArguments(line.split(" "));
  assertEquals(parse("up"), { command: "up", channel: "experimental" });
  assertEquals(parse("up --channel standard"), { command: "up", channel: "standard" });
  assertEquals(parse("down"), { command: "down" });
  assertEquals(parse("status"), { command: "status" });
  assertEquals(parse("load a.tar b.tar"), { command: "load", archives: ["a.tar", "b.tar"] });
  assertEquals(parse("restart etcd --kill --pause 2.5"), {
    command: "restart",
    component: "etcd",
    kill: true,
    pause: 2.5,
  });
});

for (
  const [line, message] of [
    ["", "name a command"],
    ["upp", "there is no upp"],
    ["up --channel beta", "expected one of standard, experimental"],
    ["up --channel", "a value is missing"],
    ["up now", "now is not understood"],
    ["down --all", "--all is not understood"],
    ["load", "at least one archive"],
    ["restart nginx", "expected one of etcd, kube-apiserver"],
    ["restart etcd --pause -1", "seconds from 0 to"],
  ] as const
) {
  Deno.test(`parseClusterArguments() refuses "${line}"`, () => {
    const args = line.split(" ").filter((word) => word !== "");
    assertThrows(() => parseClusterArguments(args), UsageError, message);
  });
}
