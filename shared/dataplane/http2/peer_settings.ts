/** What the peer asked for (RFC 9113 §6.5.2). */
import { ConnectionError } from "./errors.ts";
import type { Frame } from "./frame_reader.ts";
import * as h2 from "./protocol.ts";

export interface PeerSettings {
  headerTableSize: number;
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
  /** Advice; 0 = none. */
  maxHeaderListSize: number;
  /** RFC 8441. */
  connectProtocol: boolean;
}

/** What holds until the peer says otherwise. */
export function initialSettings(): PeerSettings {
  return {
    headerTableSize: h2.DEFAULT_TABLE_SIZE,
    maxConcurrentStreams: Infinity,
    initialWindowSize: h2.DEFAULT_WINDOW,
    maxFrameSize: h2.DEFAULT_FRAME_SIZE,
    maxHeaderListSize: 0,
    connectProtocol: false,
  };
}

/**
 * Takes a SETTINGS frame over into `settings`.
 *
 * @param fromServer a server may not enable push
 * @throws ConnectionError
 */
export function applySettings(settings: PeerSettings, frame: Frame, fromServer: boolean): void {
  const { bytes, from, end } = frame;
  if ((end - from) % 6 !== 0) throw error(h2.ErrorCode.FRAME_SIZE_ERROR, "SETTINGS length");
  for (let at = from; at < end; at += 6) {
    const id = (bytes[at]! << 8) | bytes[at + 1]!;
    const value = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) |
      bytes[at + 5]!) >>> 0;
    switch (id) {
      case h2.HEADER_TABLE_SIZE:
        settings.headerTableSize = value;
        break;
      case h2.ENABLE_PUSH:
        if (value > 1 || (fromServer && value === 1)) {
          throw error(h2.ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH");
        }
        break;
      case h2.MAX_CONCURRENT_STREAMS:
        settings.maxConcurrentStreams = value;
        break;
      case h2.INITIAL_WINDOW_SIZE:
        if (value > h2.MAX_WINDOW) {
          throw error(h2.ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE");
        }
        settings.initialWindowSize = value;
        break;
      case h2.MAX_FRAME_SIZE:
        if (value < h2.DEFAULT_FRAME_SIZE || value > 0xffffff) {
          throw error(h2.ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE");
        }
        settings.maxFrameSize = value;
        break;
      case h2.MAX_HEADER_LIST_SIZE:
        settings.maxHeaderListSize = value;
        break;
      case h2.ENABLE_CONNECT_PROTOCOL:
        // RFC 8441 §3: 0 or 1, and never back.
        if (value > 1 || (settings.connectProtocol && value === 0)) {
          throw error(h2.ErrorCode.PROTOCOL_ERROR, "SETTINGS_ENABLE_CONNECT_PROTOCOL");
        }
        settings.connectProtocol = value === 1;
        break;
      default:
        // Unknown ones are ignored (RFC 9113 §6.5.2).
    }
  }
}

function error(code: number, what: string): ConnectionError {
  return new ConnectionError(code, `bad ${what}`);
}
