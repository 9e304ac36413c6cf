/**
 * How outbound connections of a pod reach the agent. Istio's terms and values (ProxyConfig.interceptionMode,
 * `sidecar.istio.io/interceptionMode`); here both concern outbound connections only, inbound ones are always redirected.
 *
 *   REDIRECT  NAT and connection tracking. Suits every application.
 *   TPROXY    routed to the agent without either: about 15 % more new connections per second, kept-alive requests a tenth cheaper, and no
 *             entry of connection tracking for them in the pod's namespace. The agent's end of a connection then has the port that was dialled, in the pod's namespace:
 *             an application cannot listen on that port without SO_REUSEADDR while such a connection lives. And nothing of the
 *             pod bypasses the agent (mesh/bypass.ts). docs/adr/0020-interception-mode.md
 */
import type { EnrolledPod } from '../ipc/messages.ts';
import type { Family } from './plan.ts';
import { failure, type Result, success } from './result.ts';

export const INTERCEPTION_MODE = 'weir.dev/interception-mode';

export type InterceptionMode = 'REDIRECT' | 'TPROXY';

export const INTERCEPTION_MODES: readonly InterceptionMode[] = ['REDIRECT', 'TPROXY'];

/** The mode that `annotations` ask for, else `otherwise`. INVALID_ANNOTATION names annotation, value and remedy. `pod`: for messages. */
export function parseInterceptionMode(
  annotations: Readonly<Record<string, string>>,
  pod: string,
  otherwise: InterceptionMode,
): Result<InterceptionMode> {
  const value = Object.hasOwn(annotations, INTERCEPTION_MODE) ? (annotations[INTERCEPTION_MODE] ?? '').trim() : '';
  if (value === '') return success(otherwise);
  const mode = INTERCEPTION_MODES.find((each) => each === value);
  if (mode !== undefined) return success(mode);
  const shown = JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  const remedy = `it is neither ${INTERCEPTION_MODES.join(' nor ')}. Nothing was changed; correct it and recreate the pod.`;
  return failure('INVALID_ANNOTATION', `pod ${pod}: annotation ${INTERCEPTION_MODE}=${shown}: ${remedy}`);
}

/** Of an enrolled pod, whose annotations are valid. */
export function interceptionModeOf(annotations: Readonly<Record<string, string>>): InterceptionMode {
  return annotations[INTERCEPTION_MODE] === 'TPROXY' ? 'TPROXY' : 'REDIRECT';
}

/** The address that a routed connection of this family takes as its source; null: not one alone, so this family is redirected. */
export function tproxySource(pod: EnrolledPod, family: Family): string | null {
  const own = pod.addresses.filter((address) => address.includes(':') === (family === 6));
  return own.length === 1 ? (own[0] ?? null) : null;
}
