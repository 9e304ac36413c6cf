/** Opens a non-blocking connection inside the namespace of the pod it acts for, exempt from capture by its mark. */
import { EINPROGRESS } from '../engine/errno.ts';
import { closeFd, connectTo, openStream } from '../engine/socket.ts';
import { BYPASS_MARK } from '../../mesh/ports.ts';
import type { DialPlan } from './environment.ts';

/** What a dial adds to the cost of the event or timer it happens in: two namespaces entered, system calls, closing it again. */
export const DIAL_COST = 4_000;

/** The new socket, connected or connecting, or −errno. Costs two setns calls (about 3 µs). */
export function dial(plan: DialPlan): number {
  return plan.namespace.run(() => {
    const fd = openStream({
      family: plan.target.family,
      mark: BYPASS_MARK,
      transparent: plan.transparent,
      local: plan.transparent, // somebody else's address is only used towards the pod whose namespace it is
      source: plan.source,
    });
    if (fd < 0) return fd;
    const result = connectTo(fd, plan.target);
    if (result < 0 && result !== -EINPROGRESS) {
      closeFd(fd);
      return result;
    }
    return fd;
  });
}
