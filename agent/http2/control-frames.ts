/**
 * Frames that steer a connection or end a stream: PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE (RFC 9113 section 6). Each function
 * takes a frame's payload of `length` octets at `at`, and does to the session what it asks for.
 */
import { limits } from '../limits.ts';
import * as frame from './frame.ts';
import { type FrameSink, writePing, writeReset, writeSettingsAck } from './frame-writer.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { Sender } from './sender.ts';
import type { StreamTable } from './stream-table.ts';
import type { Http2Stream } from './stream.ts';

/** Of Http2Session, what these frames may touch. */
export interface ControlledSession {
  readonly server: boolean;
  readonly peer: PeerSettings;
  readonly sink: FrameSink;
  readonly sender: Sender;
  readonly streams: StreamTable;
  draining: boolean;
  peerLeft: boolean;
  settled: boolean;
  fail(code: number, reason: string): void;
  streamError(stream: Http2Stream, code: number, received: number): void;
  abandon(stream: Http2Stream, code: number): void;
  endedByPeer(stream: Http2Stream, code: number): void;
  spendControl(): boolean;
  spendCancel(): boolean;
  sendListed(): void;
  drainConfirmed(): void;
  peerLeaves(): void;
}

/** Sent with our first GOAWAY: its answer says that the client has seen it. */
export const DRAIN_PING: Buffer = Buffer.from('weirGOAW', 'latin1');

export function onPriority(session: ControlledSession, bytes: Buffer, id: number, at: number, length: number): void {
  if (id === 0) return session.fail(frame.PROTOCOL_ERROR, 'PRIORITY on stream 0');
  if (!session.spendControl()) return;
  const stream = session.streams.get(id);
  const isBad = length !== 5 || frame.readStreamId(bytes, at) === id;
  if (!isBad) return;
  const code = length !== 5 ? frame.FRAME_SIZE_ERROR : frame.PROTOCOL_ERROR;
  if (stream !== undefined) session.streamError(stream, code, 0);
  else if (session.streams.isIdle(id)) session.fail(code, 'bad PRIORITY');
  else writeReset(session.sink, id, code);
}

export function onReset(session: ControlledSession, bytes: Buffer, id: number, at: number, length: number): void {
  if (length !== 4) return session.fail(frame.FRAME_SIZE_ERROR, 'RST_STREAM is not 4 octets');
  if (id === 0 || session.streams.isIdle(id)) return session.fail(frame.PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
  const stream = session.streams.get(id);
  if (stream === undefined) {
    session.spendControl();
    return;
  }
  if (session.server && !session.spendCancel()) return;
  const received = frame.readUint32(bytes, at);
  // An unknown code says no more than that something went wrong (RFC 9113 section 7).
  const code = received > frame.HTTP_1_1_REQUIRED ? frame.INTERNAL_ERROR : received;
  session.endedByPeer(stream, code);
}

export function onSettings(
  session: ControlledSession,
  bytes: Buffer,
  flags: number,
  id: number,
  at: number,
  length: number,
): void {
  if (id !== 0) return session.fail(frame.PROTOCOL_ERROR, 'SETTINGS on a stream');
  if ((flags & frame.FLAG_ACK) !== 0) {
    if (length !== 0) session.fail(frame.FRAME_SIZE_ERROR, 'SETTINGS acknowledgement with a payload');
    else if (!session.settled) session.fail(frame.PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    return;
  }
  if (length % 6 !== 0) return session.fail(frame.FRAME_SIZE_ERROR, 'SETTINGS is not a multiple of 6 octets');
  if (session.settled && !session.spendControl()) return;
  session.settled = true;
  const windowBefore = session.peer.initialWindow;
  const error = session.peer.apply(bytes, at, length, session.server);
  if (error !== frame.NO_ERROR) return session.fail(error, 'SETTINGS with a value that is not allowed');
  const grown = session.peer.initialWindow - windowBefore;
  if (grown !== 0) {
    for (const stream of session.streams.values()) {
      stream.sendWindow += grown;
      if (stream.sendWindow > frame.WINDOW_MAX) return session.fail(frame.FLOW_CONTROL_ERROR, 'window too large');
      if (stream.pendingBytes > 0) session.sender.list(stream);
    }
  }
  writeSettingsAck(session.sink);
  session.sendListed();
}

export function onPing(
  session: ControlledSession,
  bytes: Buffer,
  flags: number,
  id: number,
  at: number,
  length: number,
): void {
  if (id !== 0) return session.fail(frame.PROTOCOL_ERROR, 'PING on a stream');
  if (length !== 8) return session.fail(frame.FRAME_SIZE_ERROR, 'PING is not 8 octets');
  if ((flags & frame.FLAG_ACK) === 0) {
    if (session.spendControl()) writePing(session.sink, true, bytes, at);
  } else if (session.draining && session.server && DRAIN_PING.compare(bytes, at, at + 8) === 0) {
    session.drainConfirmed();
  }
}

export function onGoAway(session: ControlledSession, bytes: Buffer, id: number, at: number, length: number): void {
  if (id !== 0) return session.fail(frame.PROTOCOL_ERROR, 'GOAWAY on a stream');
  if (length < 8) return session.fail(frame.FRAME_SIZE_ERROR, 'GOAWAY is shorter than 8 octets');
  if (!session.spendControl()) return;
  session.peerLeft = true;
  if (!session.server) {
    session.draining = true;
    refuseAbove(session, frame.readStreamId(bytes, at));
  }
  session.peerLeaves();
}

/** Streams the peer will not look at: their requests may be sent elsewhere (RFC 9113 section 6.8). */
function refuseAbove(session: ControlledSession, lastStreamId: number): void {
  for (const stream of session.streams.values()) {
    if (stream.id > lastStreamId) session.abandon(stream, frame.REFUSED_STREAM);
  }
}

export function onWindowUpdate(
  session: ControlledSession,
  bytes: Buffer,
  id: number,
  at: number,
  length: number,
): void {
  if (length !== 4) return session.fail(frame.FRAME_SIZE_ERROR, 'WINDOW_UPDATE is not 4 octets');
  const increment = frame.readStreamId(bytes, at);
  if (id === 0) {
    if (increment === 0) return session.fail(frame.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
    session.sender.window += increment;
    if (session.sender.window > frame.WINDOW_MAX) return session.fail(frame.FLOW_CONTROL_ERROR, 'window too large');
    session.sendListed();
    return;
  }
  const stream = session.streams.get(id);
  if (stream === undefined) {
    if (session.streams.isIdle(id)) session.fail(frame.PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
    else session.spendControl();
    return;
  }
  if (increment === 0) return session.streamError(stream, frame.PROTOCOL_ERROR, 0);
  stream.sendWindow += increment;
  if (stream.sendWindow > frame.WINDOW_MAX) return session.streamError(stream, frame.FLOW_CONTROL_ERROR, 0);
  if (stream.pendingBytes === 0) {
    // Nothing waits for it: harmless now and then, a flood when it is all there is.
    if (increment < limits.http2SmallWindowUpdate) session.spendControl();
    return;
  }
  session.sender.list(stream);
  session.sendListed();
}
