/** The backends of `deploy/samples/protocols` as one process. */
import { parseObject, parseString } from "../../../shared/lib/parse.ts";
import { startDnsServer } from "./dns_server.ts";
import { startGrpcEcho } from "./grpc_echo.ts";
import { PROTOCOL_BACKENDS } from "./ports.ts";
import { startRespServer } from "./resp_server.ts";
import { startTlsEcho } from "./tls_echo.ts";

/** The first line of standard input; the rest tells by its end that we are done. */
async function firstLine(lines: ReadableStreamDefaultReader<string>): Promise<string> {
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) break;
    text += value;
  }
  return text;
}

if (import.meta.main) {
  const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  const identity = parseObject(JSON.parse(await firstLine(input)), {
    path: "standard input",
    keys: ["certificate", "key"],
  });
  startRespServer(PROTOCOL_BACKENDS.cache);
  startDnsServer(PROTOCOL_BACKENDS.dns);
  startTlsEcho({
    port: PROTOCOL_BACKENDS.echo,
    certificate: parseString(identity.certificate, "certificate"),
    key: parseString(identity.key, "key"),
  });
  await startGrpcEcho(PROTOCOL_BACKENDS.calls);
  console.log("ready");
  // Ends with its parent: our standard input closes when it does.
  while (!(await input.read()).done);
  Deno.exit(0);
}
