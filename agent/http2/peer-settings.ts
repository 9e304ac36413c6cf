/** SETTINGS (RFC 9113 section 6.5.2): what we announce, and what the peer has announced. */
import { limits } from '../limits.ts';
import * as frame from './frame.ts';

/** Identifier and value. */
export const SERVER_SETTINGS: readonly (readonly [number, number])[] = [
  [frame.SETTING_MAX_CONCURRENT_STREAMS, limits.http2StreamsMax],
  [frame.SETTING_MAX_HEADER_LIST_SIZE, limits.headBytesMax],
  [frame.SETTING_ENABLE_CONNECT_PROTOCOL, 1],
];
export const CLIENT_SETTINGS: readonly (readonly [number, number])[] = [
  [frame.SETTING_ENABLE_PUSH, 0],
  [frame.SETTING_MAX_CONCURRENT_STREAMS, 0],
  [frame.SETTING_MAX_HEADER_LIST_SIZE, limits.headBytesMax],
];

/** Values we have no use for are checked and dropped. */
export class PeerSettings {
  initialWindow = frame.WINDOW_INITIAL;
  /** Streams we may have open; until the peer says otherwise, what RFC 9113 section 6.5.2 recommends as the least. */
  concurrentStreams = 100;
  /** RFC 8441: CONNECT with :protocol may be sent. */
  extendedConnect = false;

  /** Reads a payload of whole settings; NO_ERROR, or the code of the connection error. */
  apply(bytes: Buffer, at: number, length: number, peerIsClient: boolean): number {
    for (let i = at; i < at + length; i += 6) {
      const identifier = ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
      const error = this.#set(identifier, frame.readUint32(bytes, i + 2), peerIsClient);
      if (error !== frame.NO_ERROR) return error;
    }
    return frame.NO_ERROR;
  }

  #set(identifier: number, value: number, peerIsClient: boolean): number {
    switch (identifier) {
      case frame.SETTING_ENABLE_PUSH:
        return value > 1 || (value === 1 && !peerIsClient) ? frame.PROTOCOL_ERROR : frame.NO_ERROR;
      case frame.SETTING_MAX_CONCURRENT_STREAMS:
        this.concurrentStreams = value;
        return frame.NO_ERROR;
      case frame.SETTING_INITIAL_WINDOW_SIZE:
        if (value > frame.WINDOW_MAX) return frame.FLOW_CONTROL_ERROR;
        this.initialWindow = value;
        return frame.NO_ERROR;
      case frame.SETTING_MAX_FRAME_SIZE:
        return value < frame.PAYLOAD_MAX || value > 0xff_ffff ? frame.PROTOCOL_ERROR : frame.NO_ERROR;
      case frame.SETTING_ENABLE_CONNECT_PROTOCOL:
        if (value > 1 || (value === 0 && this.extendedConnect)) return frame.PROTOCOL_ERROR;
        this.extendedConnect = value === 1;
        return frame.NO_ERROR;
      default:
        return frame.NO_ERROR;
    }
  }
}
