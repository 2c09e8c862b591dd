import { assertEquals } from "@std/assert";
import { portKey } from "../model/port_keys.ts";
import { allocateBinds, bindMap, standalonePort } from "./binds.ts";

const none = { previous: new Map(), unusable: new Set<number>(), preferred: standalonePort };
const plain = (binds: Map<string, Map<number, number>>) =>
  Object.fromEntries([...binds].map(([scope, ports]) => [scope, Object.fromEntries(ports)]));

Deno.test("allocateBinds() maps privileged ports up and never merges two Gateways", () => {
  const { binds } = allocateBinds([
    { scope: "gateway/ns/b", ports: [80, 443, 22] },
    { scope: "gateway/ns/a", ports: [80, 9000] },
  ], none);
  assertEquals(plain(binds), {
    "gateway/ns/a": { 80: 8080, 9000: 9000 },
    "gateway/ns/b": { 22: 8022, 80: 8081, 443: 8443 },
  });
});

Deno.test("allocateBinds() keeps what was allocated when Gateways come and go", () => {
  const previous = new Map([["gateway/ns/b", new Map([[80, 8080]])]]);
  const { binds } = allocateBinds([
    { scope: "gateway/ns/a", ports: [80] },
    { scope: "gateway/ns/b", ports: [80] },
  ], { ...none, previous });
  assertEquals(plain(binds), { "gateway/ns/a": { 80: 8081 }, "gateway/ns/b": { 80: 8080 } });
});

Deno.test("allocateBinds() moves away from ports that could not be bound", () => {
  const previous = new Map([["gateway/ns/a", new Map([[80, 8080]])]]);
  const { binds } = allocateBinds([{ scope: "gateway/ns/a", ports: [80] }], {
    ...none,
    previous,
    unusable: new Set([8080, 8081]),
  });
  assertEquals(plain(binds), { "gateway/ns/a": { 80: 8082 } });
});

Deno.test("allocateBinds() reports the ports that it has no fleet port for", () => {
  const request = [{ scope: "gateway/ns/a", ports: [65_535] }, {
    scope: "gateway/ns/b",
    ports: [65_535],
  }];
  const { exhausted } = allocateBinds(request, none);
  assertEquals(exhausted, [{ scope: "gateway/ns/b", port: 65_535 }]);
});

Deno.test("bindMap() sorts by Gateway port", () => {
  assertEquals(bindMap(new Map([[443, 1], [80, 2]])).ports.map(({ port }) => port), [80, 443]);
});

Deno.test("allocateBinds() gives TCP and UDP of one number a port each, and bindMap() tells them apart", () => {
  const ports = [53, portKey(53, "UDP")];
  const { binds } = allocateBinds([{ scope: "gateway/ns/a", ports }], none);
  const own = binds.get("gateway/ns/a") ?? new Map();
  assertEquals(bindMap(own), {
    kind: "bind",
    ports: [{ port: 53, fleetPort: 8053 }],
    udp: [{ port: 53, fleetPort: 8054 }],
  });
});
