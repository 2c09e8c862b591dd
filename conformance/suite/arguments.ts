/** The command line of `deno task conformance`. */
import { type Channel, CHANNELS, isChannel } from "../cluster/gateway_api.ts";
import type { Selection } from "./claims.ts";

/** What the user asked for. */
export interface ConformanceOptions extends Selection {
  repeat: number;
  /** Undefined: the channel that the cluster has. */
  channel: Channel | undefined;
  /** Objects stay in the cluster, to be looked at. */
  keep: boolean;
  failFast: boolean;
  /** Tests that run at the same time, of those that may. */
  parallel: number;
  /** Minutes until a run is cut off. */
  timeout: number;
  /** Seconds until the GatewayClass has to be accepted. */
  classTimeout: number;
  /** The suite's own timeouts, `Name:seconds;Name:seconds`. */
  timeouts: string;
  gatewayClass: string;
  /** For the test of static addresses. */
  usableAddress: string;
  unusableAddress: string;
}

export const USAGE = `deno task conformance [options]

  --profile NAME       only this profile, several times for several (those of profiles.yaml)
  --test NAME          only this test, several times for several
  --features A,B       these features instead of the claimed ones
  --repeat N           so many runs, one after the other (1)
  --channel NAME       standard or experimental (what the cluster has)
  --keep               leave the suite's objects in the cluster
  --fail-fast          end with the first failure
  --parallel N         tests at the same time, of those that allow it (4)
  --timeout MINUTES    of one run (60)
  --class-timeout S    until the GatewayClass must be accepted (60)
  --timeouts LIST      the suite's own: "Name:seconds;Name:seconds"
  --gateway-class NAME (light-k8s-gateway)
  --usable-address IP, --unusable-address IP
                       for GatewayStaticAddresses (10.96.200.1, 203.0.113.254)`;

/** A command line that cannot be understood; the message says which word. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Reads the command line. Throws {@linkcode UsageError}. */
export function parseConformanceArguments(args: readonly string[]): ConformanceOptions {
  const profiles: string[] = [];
  const tests: string[] = [];
  const options: ConformanceOptions = {
    profiles,
    tests,
    features: [],
    repeat: 1,
    channel: undefined,
    keep: false,
    failFast: false,
    parallel: 4,
    timeout: 60,
    classTimeout: 60,
    timeouts: "",
    gatewayClass: "light-k8s-gateway",
    usableAddress: "10.96.200.1",
    unusableAddress: "203.0.113.254",
  };
  const rest = [...args];
  const value = (option: string): string => {
    const next = rest.shift();
    if (next === undefined || next === "") throw new UsageError(`${option}: a value is missing`);
    return next;
  };
  const number = (option: string, max: number): number => {
    const text = value(option);
    const parsed = Number(text);
    if (Number.isInteger(parsed) && parsed >= 1 && parsed <= max) return parsed;
    throw new UsageError(`${option} ${text}: expected a whole number from 1 to ${max}`);
  };
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    switch (arg) {
      case "--profile":
        profiles.push(...value(arg).split(","));
        break;
      case "--test":
        tests.push(...value(arg).split(","));
        break;
      case "--features":
        options.features = value(arg).split(",");
        break;
      case "--repeat":
        options.repeat = number(arg, 100);
        break;
      case "--channel": {
        const channel = value(arg);
        if (!isChannel(channel)) {
          throw new UsageError(`--channel ${channel}: expected one of ${CHANNELS.join(", ")}`);
        }
        options.channel = channel;
        break;
      }
      case "--keep":
        options.keep = true;
        break;
      case "--fail-fast":
        options.failFast = true;
        break;
      case "--parallel":
        options.parallel = number(arg, 64);
        break;
      case "--timeout":
        options.timeout = number(arg, 600);
        break;
      case "--class-timeout":
        options.classTimeout = number(arg, 600);
        break;
      case "--timeouts":
        options.timeouts = value(arg);
        break;
      case "--gateway-class":
        options.gatewayClass = value(arg);
        break;
      case "--usable-address":
        options.usableAddress = value(arg);
        break;
      case "--unusable-address":
        options.unusableAddress = value(arg);
        break;
      default:
        throw new UsageError(`${arg} is not understood`);
    }
  }
  return options;
}
