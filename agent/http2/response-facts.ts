/** What a response's fields say (RFC 9113 section 8.3.2), read once per distinct list. */
import { readLength, regularFieldsAreValid } from './field-rules.ts';
import type { HeaderList } from './header-list.ts';

export class ResponseFacts {
  /** '' when the response is well-formed. */
  readonly malformed: string;
  /** 100 to 999; 0 when malformed. */
  readonly status: number;
  /** −1: not announced. */
  readonly contentLength: number;
  /** `grpc-status`, when the head carries it because there is no body (gRPC "Trailers-Only"); else ''. */
  readonly grpcStatus: string;

  constructor(list: HeaderList) {
    const { names, values } = list;
    const text = values[0] ?? '';
    const isStatus = names[0] === ':status' && /^[1-9]\d\d$/.test(text) && text !== '101';
    this.status = isStatus ? Number(text) : 0;
    this.contentLength = readLength(list, 1);
    const fits = isStatus && this.contentLength >= -1 && regularFieldsAreValid(list, 1);
    this.malformed = fits ? '' : 'not a valid response head';
    this.grpcStatus = grpcStatusOf(list);
  }
}

/** The value of `grpc-status` when it is a number as gRPC writes it, else ''. */
export function grpcStatusOf(list: HeaderList): string {
  const at = list.names.indexOf('grpc-status');
  const value = at < 0 ? '' : (list.values[at] as string);
  return /^\d{1,2}$/.test(value) ? value : '';
}
