/** `fault` of an `http` entry of a VirtualService: delays and aborts for a share of the requests. */
import type { Fault } from '../../../mesh/route-model.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { closestWord } from '../did-you-mean.ts';
import { asPerMillion, readDuration, readPercentage } from './object-head.ts';

/** gRPC status codes by name (grpc/doc/statuscodes.md), the index is the code. */
const GRPC_STATUS = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** Reads `fault`; null when it is absent, wrong or without effect. */
export function readFault(rule: ObjectReader): Fault | null {
  const reader = rule.object('fault');
  if (reader === null) return null;
  const delayReader = reader.object('delay');
  const abortReader = reader.object('abort');
  reader.finish();
  if (!reader.has('delay') && !reader.has('abort')) {
    reader.problems.error('INVALID_VALUE', reader.path, 'injects nothing', 'add delay or abort', 'key');
  }
  const delay = delayReader === null ? null : readDelay(delayReader);
  const abort = abortReader === null ? null : readAbort(abortReader);
  return delay === null && abort === null ? null : { delay, abort };
}

function readDelay(reader: ObjectReader): Fault['delay'] {
  const perMillion = readShare(reader);
  const delayMs = readDuration(reader, 'fixedDelay');
  reader.unsupported('exponentialDelay');
  reader.finish();
  if (!reader.has('fixedDelay') && !reader.problems.refused) {
    reader.missing('fixedDelay', 'add fixedDelay, such as 5s');
  }
  return perMillion === 0 || delayMs === null ? null : { perMillion, delayMs };
}

function readAbort(reader: ObjectReader): Fault['abort'] {
  const perMillion = readShare(reader);
  const status = reader.integer('httpStatus', 200, 599);
  const grpc = reader.text('grpcStatus');
  reader.unsupported('http2Error');
  reader.finish();
  const { problems } = reader;
  if (status !== null && grpc !== null) {
    problems.error('INVALID_VALUE', reader.at('grpcStatus'), 'stands beside httpStatus', 'keep one of them', 'key');
  }
  if (!reader.has('httpStatus') && !reader.has('grpcStatus') && !problems.refused) {
    const reason = 'says no status, so nothing is aborted';
    problems.warning('NO_EFFECT', reader.path, reason, 'add httpStatus or grpcStatus', 'key');
  }
  const grpcStatus = grpc === null ? null : readGrpcStatus(reader, grpc);
  if (perMillion === 0 || (status === null && grpcStatus === null)) return null;
  return { perMillion, status, grpcStatus };
}

function readGrpcStatus(reader: ObjectReader, text: string): number | null {
  const code = GRPC_STATUS.indexOf(text);
  if (code >= 0) return code;
  const close = closestWord(text, GRPC_STATUS);
  const remedy = close === null ? `write one of ${GRPC_STATUS.join(', ')}` : `did you mean ${close}?`;
  reader.problems.error('INVALID_VALUE', reader.at('grpcStatus'), `is ${quote(text)}`, remedy);
  return null;
}

/** Which share of the requests: `percentage`, else the older `percent`, else none (as in Istio). */
function readShare(reader: ObjectReader): number {
  const share = readPercentage(reader, 'percentage');
  const old = reader.has('percent') ? reader.integer('percent', 0, 100) : null;
  if (old !== null) {
    const remedy = `write percentage: {value: ${old}}`;
    reader.problems.warning(
      'DEPRECATED',
      reader.at('percent'),
      'percent is the old spelling of percentage',
      remedy,
      'key',
    );
  }
  const oldShare = old === null ? null : asPerMillion(reader, { value: old, path: reader.at('percent') });
  if (!reader.has('percentage') && !reader.has('percent')) {
    const remedy = 'add percentage: {value: 100} for all requests';
    reader.problems.warning('NO_EFFECT', reader.path, 'has no percentage, so it concerns no request', remedy, 'key');
  }
  return share ?? oldShare ?? 0;
}
