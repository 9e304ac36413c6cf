import type { JwtClaims } from './jwt.ts';

/**
 * What routing and policy may ask of a request. The live path answers from offsets into the read buffer, `explain` and
 * tests from plain values: the deciding code is the same. Texts are octets as they came, one character each (latin1):
 * policy values are compared in their UTF-8 octets, see octetText() in string-match.ts.
 */
export interface RequestView {
  /** As sent; methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method: string;
  /** Normalised path as it will be forwarded, without query; `*` for OPTIONS *. */
  readonly path: string;
  /** After `?`, without it; '' when there is none. */
  readonly query: string;
  /** Lower case, without port. */
  readonly host: string;
  /** Value of a header by lower-case name; repeated fields joined with `, `, cookies with `; `; undefined when absent. */
  header(name: string): string | undefined;
  /**
   * Every value of a repeated header, in order; empty when absent. Cookies are always one value, joined with `; `: HTTP/2 splits them as
   * it likes (RFC 9113 section 8.2.3), and they are joined where the version changes.
   */
  headerValues(name: string): readonly string[];
  /** Claims of the verified token; null, or not there: there is none, and nothing that a policy asks of one holds. */
  claims?(): JwtClaims | null;
}
