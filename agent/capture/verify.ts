/**
 * `weir capture verify POD`: proof, not inspection. A connection is opened where an application would open it, each way and each
 * family, with a one-time token; only a worker that the pod's rules led it to can answer with the token, the pod's uid and the way it
 * came. (A validator that reads rules says fine while traffic bypasses it: kuma issue 16809.)
 *
 *   outbound: inside the pod's namespace, without the mark, to VERIFY_ADDRESS (documentation addresses: nobody else answers)
 *   inbound:  in the node's namespace, with the mark so that it is not taken for a probe, to the pod's own address
 */
import { Socket } from 'node:net';
import { cidrContains, parseCidr, parseIp } from '../../mesh/ip.ts';
import { BYPASS_MARK, VERIFY_ADDRESS_V4, VERIFY_ADDRESS_V6, VERIFY_PORT } from '../../mesh/ports.ts';
import { prepareAddress } from '../engine/address.ts';
import { EINPROGRESS, errnoName } from '../engine/errno.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import { connectTo, closeFd, openStream } from '../engine/socket.ts';
import { limits } from '../limits.ts';
import type { Enrolled, PodRulesPort } from './enrolment-types.ts';
import { type Exclusions, type PortRange, parseExclusions } from './exclusions.ts';
import type { Family } from './plan.ts';
import { withNetns } from './pod-netns.ts';
import { success } from './result.ts';

export type Direction = 'outbound' | 'inbound';

/** One way, one family. `detail`: for failed, the likely cause; for skipped, why. */
export interface DirectionReport {
  readonly direction: Direction;
  readonly family: Family;
  readonly outcome: 'ok' | 'skipped' | 'failed';
  readonly detail: string;
}

/** The whole verification. `missing`: rules and listeners that are not there, one line each. `ok`: nothing failed, nothing missing. */
export interface CaptureReport {
  readonly ok: boolean;
  readonly directions: readonly DirectionReport[];
  readonly missing: readonly string[];
}

/** What verification needs from the supervisor. */
export interface VerifyDeps {
  /**
   * Makes every worker answer this token for this pod; resolves when they all know it (messages to a worker are handled in order,
   * so a `query` sent after `verifyArm` is answered after it).
   */
  arm(token: string, podIndex: number): Promise<void>;
  disarm(token: string): void;
  readonly podRules: Pick<PodRulesPort, 'missing'>;
  /** The node's namespace (--host-netns), from which inbound is tried. */
  readonly hostNetnsPath: string;
  /** Fresh and unguessable at each call, at most 64 letters and digits. */
  newToken(): string;
}

interface Attempt {
  readonly direction: Direction;
  readonly family: Family;
  readonly netnsPath: string;
  readonly mark: number;
  /** null: nothing to try; `skipReason` says why. */
  readonly address: string | null;
  readonly skipReason: string;
}

/** Verifies one pod: at most limits.captureVerifyTimeoutMs, as all attempts run at the same time. Never rejects. */
export async function verifyCapture(target: Enrolled, deps: VerifyDeps): Promise<CaptureReport> {
  const token = deps.newToken();
  const missing = await missingLines(target, deps);
  await deps.arm(token, target.index);
  try {
    const directions = await Promise.all(
      attempts(target, deps.hostNetnsPath).map((attempt) => tryOne(attempt, token, target.pod.uid, missing)),
    );
    return { ok: missing.length === 0 && directions.every(({ outcome }) => outcome !== 'failed'), directions, missing };
  } finally {
    deps.disarm(token);
  }
}

async function missingLines(target: Enrolled, deps: VerifyDeps): Promise<readonly string[]> {
  const missing = await deps.podRules.missing(target.netnsPath, target.pod, target.annotations);
  return missing.ok ? missing.value : [missing.error.message];
}

function attempts(target: Enrolled, hostNetnsPath: string): readonly Attempt[] {
  const parsed = parseExclusions(target.annotations, `${target.pod.namespace}/${target.pod.name}`);
  const { inboundPorts, outboundPorts, outboundCidrs } = parsed.ok ? parsed.value : NO_EXCLUSIONS;
  return ([4, 6] as const).flatMap((family): Attempt[] => {
    const own = target.pod.addresses.find((address) => address.includes(':') === (family === 6)) ?? null;
    const noAddress = `the pod has no IPv${family} address`;
    const excluded = "the pod's exclusion annotations cover it, so this cannot be tried";
    const verifyAddress = family === 4 ? VERIFY_ADDRESS_V4 : VERIFY_ADDRESS_V6;
    const outboundExcluded =
      outboundPorts.some(coversVerifyPort) || outboundCidrs.some(({ text }) => contains(text, verifyAddress));
    const inboundExcluded = inboundPorts.some(coversVerifyPort);
    return [
      {
        direction: 'outbound',
        family,
        netnsPath: target.netnsPath,
        mark: 0,
        address: own === null || outboundExcluded ? null : verifyAddress,
        skipReason: own === null ? noAddress : excluded,
      },
      {
        direction: 'inbound',
        family,
        netnsPath: hostNetnsPath,
        mark: BYPASS_MARK,
        address: inboundExcluded ? null : own,
        skipReason: own === null ? noAddress : excluded,
      },
    ];
  });
}

const NO_EXCLUSIONS: Exclusions = { inboundPorts: [], outboundPorts: [], outboundCidrs: [] };

function coversVerifyPort({ first, last }: PortRange): boolean {
  return first <= VERIFY_PORT && VERIFY_PORT <= last;
}

function contains(cidr: string, address: string): boolean {
  const [block, ip] = [parseCidr(cidr), parseIp(address)];
  return block !== null && ip !== null && cidrContains(block, ip);
}

async function tryOne(
  attempt: Attempt,
  token: string,
  uid: string,
  missing: readonly string[],
): Promise<DirectionReport> {
  const { direction, family, address } = attempt;
  if (address === null) return { direction, family, outcome: 'skipped', detail: attempt.skipReason };
  const answered = await withNetns(attempt.netnsPath, async (netns) =>
    success(await ask(netns, attempt, address, token)),
  );
  if (!answered.ok) return { direction, family, outcome: 'failed', detail: answered.error.message };
  const said = answered.value;
  const expected = `weir ${token} ${uid} ${direction}\n`;
  if (said.text === expected)
    return { direction, family, outcome: 'ok', detail: `${address} port ${VERIFY_PORT} reached the agent` };
  return { direction, family, outcome: 'failed', detail: likelyCause(attempt, said, token, missing) };
}

interface Answer {
  readonly text: string;
  /** errno name, or 'timeout'; null: the connection ended by itself. */
  readonly error: string | null;
}

function ask(netns: NetworkNamespace, attempt: Attempt, address: string, token: string): Promise<Answer> {
  const to = prepareAddress({ ip: address, port: VERIFY_PORT });
  const opened = netns.run(() => {
    const fd = openStream({ family: to.family, mark: attempt.mark, transparent: false, source: null });
    if (fd < 0) return fd;
    const started = connectTo(fd, to);
    if (started === 0 || started === -EINPROGRESS) return fd;
    closeFd(fd);
    return started;
  });
  if (opened < 0) return Promise.resolve({ text: '', error: errnoName(opened) });
  return converse(new Socket({ fd: opened, readable: true, writable: true }), `${token}\n`);
}

/** Sends a line and reads until a line, an end, an error or the deadline. The socket may still be connecting. */
function converse(socket: Socket, line: string): Promise<Answer> {
  return new Promise((resolve) => {
    let text = '';
    const finish = (error: string | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, error });
    };
    const timer = setTimeout(() => finish('timeout'), limits.captureVerifyTimeoutMs);
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.on('end', () => finish(null));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.includes('\n') || text.length > 1_024) finish(null);
    });
    socket.write(line);
  });
}

function likelyCause(attempt: Attempt, answer: Answer, token: string, missing: readonly string[]): string {
  const { direction, family, address } = attempt;
  const what = `${direction} to ${address} port ${VERIFY_PORT}`;
  const relevant = missing.filter((line) => line.startsWith(`IPv${family}`));
  if (relevant.length > 0) return `${what}: ${relevant.join('; ')}`;
  if (answer.text.startsWith(`weir ${token} `))
    return `${what}: the agent took it for another pod or direction: ${answer.text.trim()}`;
  if (answer.text !== '')
    return `${what}: something other than the agent answered: ${JSON.stringify(answer.text.slice(0, 80))}`;
  switch (answer.error) {
    case null:
      return `${what}: accepted and closed without an answer: the worker did not know the token, or its limits refused it`;
    case 'timeout':
      return direction === 'inbound'
        ? `${what}: no answer within ${limits.captureVerifyTimeoutMs} ms: is the pod reachable from the node, or does a NetworkPolicy or firewall drop it?`
        : `${what}: no answer within ${limits.captureVerifyTimeoutMs} ms: are the workers alive? See weir status`;
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return `${what}: refused: no worker listens in the pod's namespace, or the connection did not go through the rules`;
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return `${what}: no route (${answer.error}): ${direction === 'outbound' ? 'the pod has no default route' : 'the node has no route to the pod'}`;
    case 'EPERM':
      return `${what}: not permitted: the agent needs CAP_NET_ADMIN over the ${direction === 'outbound' ? "pod's" : "node's"} namespace`;
    default:
      return `${what}: ${answer.error}`;
  }
}
