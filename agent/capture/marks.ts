/** Marks as iptables and ip write them: value and mask. */
import { MARK_MASK } from '../../mesh/ports.ts';

/** e.g. `0x539/0xfff`. */
export function masked(mark: number): string {
  return `0x${mark.toString(16)}/0x${MARK_MASK.toString(16)}`;
}
