/** All cases of HTTP/2 conformance, in h2spec's order and with its numbers. */
import type { ConformanceCase } from './http2-case.ts';
import { acceptedCases } from './http2-cases-accepted.ts';
import { frameCases } from './http2-cases-frames.ts';
import { hpackCases, messageCases } from './http2-cases-messages.ts';
import { streamCases } from './http2-cases-streams.ts';

export const conformanceCases: readonly ConformanceCase[] = [
  ...acceptedCases,
  ...streamCases,
  ...frameCases,
  ...messageCases,
  ...hpackCases,
];
