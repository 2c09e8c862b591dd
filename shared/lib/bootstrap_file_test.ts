import { assertEquals, assertThrows } from "@std/assert";
import { readBootstrapFile } from "./bootstrap_file.ts";

const FILES: Record<string, string> = {
  "/etc/lgw/config.json": JSON.stringify({
    name: { $env: "POD_NAME" },
    bus: { seed: { $file: "keys/seed" }, ca: { $file: "/tls/ca.crt" } },
    fleetKey: { $json: "keys/fleet.json" },
    trustedKeys: [{ $file: "keys/signing.pub" }, "plain"],
    $file: 1,
  }),
  "/etc/lgw/keys/fleet.json": `{"kty": "OKP", "$env": "not followed"}`,
  "/etc/lgw/keys/seed": "SU...\n",
  "/etc/lgw/keys/signing.pub": "abc",
  "/tls/ca.crt": "PEM",
  "/broken.json": `{"seed": "SECRET`,
};

const readers = (env: Record<string, string>) => ({
  file: (path: string) => {
    const text = FILES[path];
    if (text === undefined) throw new Error(`${path}: not found`);
    return text;
  },
  env: (name: string) => env[name],
});

Deno.test("readBootstrapFile() puts files and variables in the place of their references", () => {
  assertEquals(readBootstrapFile("/etc/lgw/config.json", readers({ POD_NAME: "proxy-1" })), {
    name: "proxy-1",
    bus: { seed: "SU...", ca: "PEM" },
    fleetKey: { kty: "OKP", $env: "not followed" },
    trustedKeys: ["abc", "plain"],
    $file: 1,
  });
});

Deno.test("readBootstrapFile() names what is missing, and repeats nothing of a broken file", () => {
  assertThrows(
    () => readBootstrapFile("/etc/lgw/config.json", readers({})),
    Error,
    "/etc/lgw/config.json: name: POD_NAME is not set",
  );
  const error = assertThrows(() => readBootstrapFile("/broken.json", readers({})), Error, "JSON");
  assertEquals(error.message.includes("SECRET"), false);
});
