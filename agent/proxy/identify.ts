/**
 * Step 2: whose connection is this and where did it want to go.
 *
 * The source of an outbound connection is the pod in whose namespace it was captured: nothing the client can say changes
 * it. An inbound connection came over the network, so its source has no proven identity (no mTLS yet).
 * Error exits: not redirected to us, or aimed at the mesh's own ports → RST, counted, never a loop.
 */
import type { SocketAddress } from '../engine/address.ts';
import { closeFd, originalDestination, setReset } from '../engine/socket.ts';
import {
  INBOUND_PORT,
  OUTBOUND_PORT,
  RESERVED_PORTS,
  VERIFY_ADDRESS_V4,
  VERIFY_ADDRESS_V6,
  VERIFY_PORT,
} from '../../mesh/ports.ts';
import type { WorkerContext } from './context.ts';
import { Flow } from './flow.ts';
import type { Pod } from './pod.ts';
import { Undecided } from './undecided.ts';
import { VerifyReply, isArmed } from './verify-reply.ts';

export function identify(
  context: WorkerContext,
  pod: Pod,
  fd: number,
  direction: 'outbound' | 'inbound',
  client: SocketAddress,
): void {
  const port = direction === 'outbound' ? OUTBOUND_PORT : INBOUND_PORT;
  const original = originalDestination(fd, client.ip.includes(':') ? 10 : 2, port);
  if (original === null || isOwnPort(context, pod, direction, original)) {
    refuse(context, pod, fd, original === null ? 'refused_direct_dial' : 'refused_loop');
    return;
  }
  if (isVerification(context, pod, direction, original)) {
    new VerifyReply(context, pod, fd, direction);
    return;
  }
  const flow = new Flow(context, pod, direction, client, original);
  Undecided.start(context, flow, fd);
}

function isOwnPort(context: WorkerContext, pod: Pod, direction: string, original: SocketAddress): boolean {
  if (!RESERVED_PORTS.includes(original.port)) return false;
  if (direction === 'inbound') return true;
  return (
    pod.pod.addresses.includes(original.ip) || context.mesh.resolve(original.ip, original.port).kind === 'workload'
  );
}

function isVerification(context: WorkerContext, pod: Pod, direction: string, original: SocketAddress): boolean {
  if (original.port !== VERIFY_PORT) return false;
  if (direction === 'inbound') return isArmed(context, pod);
  return original.ip === VERIFY_ADDRESS_V4 || original.ip === VERIFY_ADDRESS_V6;
}

function refuse(context: WorkerContext, pod: Pod, fd: number, event: string): void {
  pod.refused++;
  context.bounds.event(event);
  setReset(fd);
  closeFd(fd);
}
