/**
 * What scanners for request smuggling send: the mutations of smuggler.py (github.com/defparam/smuggler, configs/default.py and
 * exhaustive.py), the techniques of HTTP Request Smuggler (github.com/PortSwigger/http-request-smuggler, DesyncBox.java), both
 * beside a length and alone, and the chunk-line variants of 2024 and 2025 (TERM.EXT, EXT.TERM, TERM.SPILL, SPILL.TERM, and the
 * Expect and 0.CL variants of "HTTP/1.1 must die").
 */
import { one, type RequestCase } from './corpus-case.ts';

const BODY = '0\r\n\r\n';
const NEXT = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n';
const START = 'POST /?cb=1 HTTP/1.1\r\n';

/** Ways to write `Transfer-Encoding: chunked` that somebody reads as that and somebody does not. */
const GADGETS: Readonly<Record<string, string>> = {
  nameprefix: ' Transfer-Encoding: chunked',
  tabprefix: '\tTransfer-Encoding: chunked',
  spacejoin: 'Transfer Encoding: chunked',
  underjoin: 'Transfer_Encoding: chunked',
  smashed: 'Transfer Encoding:chunked',
  space: 'Transfer-Encoding : chunked',
  'tab before the colon': 'Transfer-Encoding\t:\tchunked',
  vertprefix: 'Transfer-Encoding:\x0bchunked',
  vertwrap: 'Transfer-Encoding: \n\x0bchunked',
  linewrapped: 'Transfer-Encoding:\n chunked',
  gareth: 'Transfer-Encoding\n : chunked',
  tabwrap: 'Transfer-Encoding: \r\n\tchunked',
  badsetupCR: 'Foo: bar\rTransfer-Encoding: chunked',
  badsetupLF: 'Foo: bar\nTransfer-Encoding: chunked',
  '0dwrap': 'Foo: bar\r\n\rTransfer-Encoding: chunked',
  '0dspam': 'Tra\rnsfer-Encoding: chunked',
  '0dspam at the dash': 'Transfer\r-Encoding: chunked',
  '0dsuffix': 'Transfer-Encoding: chunked\r',
  connection: 'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
  spjunk: 'Transfer-Encoding x: chunked',
  backslash: 'Transfer\\Encoding: chunked',
  spaceFF: 'Transfer-Encoding:\xffchunked',
  unispace: 'Transfer-Encoding:\xa0chunked',
  commaCow: 'Transfer-Encoding: chunked, cow',
  identity: 'Transfer-Encoding: chunked, identity',
  'nested identity': 'Transfer-Encoding: identity, chunked, identity',
  nested: 'Transfer-Encoding: cow chunked bar',
  quoted: 'Transfer-Encoding: "chunked"',
  aposed: "Transfer-Encoding: 'chunked'",
  lazygrep: 'Transfer-Encoding: chunk',
  dualchunk: 'Transfer-Encoding: chunked\r\nTransfer-encoding: identity',
  revdualchunk: 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
  accentTE: 'Transf\x82r-Encoding: chunked',
  accentCH: 'Transfer-Encoding: ch\x96nked',
  'x-rout': 'X:X\rTransfer-Encoding: chunked',
  'x-nout': 'X:X\nTransfer-Encoding: chunked',
  bodysplit: 'Foo: barn\n\nTransfer-Encoding: chunked',
  'parameter on chunked': 'Transfer-Encoding: chunked;ext=val',
  'leading comma': 'Transfer-Encoding: , chunked',
  'trailing comma': 'Transfer-Encoding: chunked,',
  'chunked twice': 'Transfer-Encoding: chunked, chunked',
  empty: 'Transfer-Encoding:',
};

/** The same, but plain to every reader: beside a length refused for that, alone forwarded as `chunked`. */
const PLAIN: Readonly<Record<string, string>> = {
  sarcasm: 'TrAnSFer-EnCODinG: cHuNkeD',
  yelling: 'TRANSFER-ENCODING: CHUNKED',
  multiCase: 'tRANSFER-ENCODING: CHUNKED',
  valueprefix: 'Transfer-Encoding:  chunked',
  nospace: 'Transfer-Encoding:chunked',
  'tab for a space': 'Transfer-Encoding:\tchunked',
  tabsuffix: 'Transfer-Encoding: chunked\t',
  'space suffix': 'Transfer-Encoding: chunked ',
};

/** A field of its own, whatever it says. */
const HARMLESS: Readonly<Record<string, string>> = {
  contentEnc: 'Content-Encoding: chunked',
  encode: 'Transfer-%45ncoding: chunked',
  'X: X, tab': 'X: X\tTransfer-Encoding: chunked',
  'X: X, 0xa0': 'X: X\xa0Transfer-Encoding: chunked',
  'X: X, 0xff': 'X: X\xffTransfer-Encoding: chunked',
};

/** [octet, in which place it is harmless white space] */
const OCTETS = [...Array.from({ length: 0x20 }, (_, i) => i), ...Array.from({ length: 0x81 }, (_, i) => 0x7f + i)];
const PLACES: Readonly<Record<string, (octet: string) => string>> = {
  midspace: (o) => `Transfer-Encoding:${o}chunked`,
  postspace: (o) => `Transfer-Encoding${o}: chunked`,
  prespace: (o) => `${o}Transfer-Encoding: chunked`,
  endspace: (o) => `Transfer-Encoding: chunked${o}`,
  'endspace and a field': (o) => `Transfer-Encoding: chunked${o}X: X`,
  'CR, octet': (o) => `X: X\r${o}Transfer-Encoding: chunked`,
  'octet, LF': (o) => `X: X${o}\nTransfer-Encoding: chunked`,
};

const beside = (gadget: string): string => `${START}${gadget}\r\nHost: a\r\nContent-Length: 5\r\n\r\n${BODY}${NEXT}`;
const alone = (gadget: string): string => `${START}${gadget}\r\nHost: a\r\n\r\n${BODY}${NEXT}`;

function* gadgetCases(): Generator<RequestCase> {
  for (const [name, gadget] of Object.entries(GADGETS)) {
    yield [`${name}, beside a length`, beside(gadget), 400];
    yield [`${name}, alone`, alone(gadget), 400];
  }
  yield ['cowComma, beside a length', beside('Transfer-Encoding: cow, chunked'), 400];
  yield ['cowComma, alone', alone('Transfer-Encoding: cow, chunked'), 501];
  for (const [name, gadget] of Object.entries(PLAIN)) {
    yield [`${name}, beside a length`, beside(gadget), 400];
    const written = `${gadget.slice(0, gadget.indexOf(':'))}: chunked`;
    const forwarded = `${START}${written}\r\nHost: a\r\n\r\n${BODY}${NEXT}`;
    yield [`${name}, alone`, alone(gadget), { forwarded, requests: 2, rest: 'end' }];
  }
  for (const [name, gadget] of Object.entries(HARMLESS)) {
    yield [`${name}, beside a length`, beside(gadget), { forwarded: beside(gadget), requests: 2, rest: 'end' }];
    yield [`${name}, alone`, alone(gadget), one(`${START}${gadget}\r\nHost: a\r\n\r\n`, 400)];
  }
  for (const [place, write] of Object.entries(PLACES)) {
    for (const octet of OCTETS) {
      const gadget = write(String.fromCharCode(octet));
      yield [`${place} ${octet.toString(16)}, beside a length`, beside(gadget), 400];
    }
  }
}

const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const chunked = (body: string): string => `${POST}Transfer-Encoding: chunked\r\n\r\n${body}`;
const counted = (length: number, ...fields: string[]): string =>
  `${POST}${fields.map((field) => `${field}\r\n`).join('')}Content-Length: ${length}\r\n\r\n`;
const size = NEXT.length.toString(16);

const CHUNK_LINES: readonly RequestCase[] = [
  ['CL.TE', `${POST}Content-Length: ${5 + NEXT.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${NEXT}`, 400],
  ['TE.CL', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${size}\r\n${NEXT}\r\n0\r\n\r\n`, 400],
  ['TE.TE', `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n${size}\r\n${NEXT}\r\n0\r\n\r\n`, 400],
  [
    'TE.0 (OPTIONS)',
    `OPTIONS / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${NEXT}\r\n0\r\n\r\n`,
    'same',
  ],
  ['CL.0', `${counted(NEXT.length)}${NEXT}`, 'same'],
  ['0.CL', `GET /con HTTP/1.1\r\nHost: a\r\nContent-Length: ${NEXT.length}\r\n\r\n${NEXT}`, 'same'],
  ['0.CL by a space', `GET /con HTTP/1.1\r\nHost: a\r\nContent-Length : ${NEXT.length}\r\n\r\n${NEXT}`, 400],
  ['0.CL by a line break', `GET /con HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n${NEXT.length}\r\n\r\n${NEXT}`, 400],
  ['double length', `${POST}Content-Length: 0\r\nContent-length: ${NEXT.length}\r\n\r\n${NEXT}`, 400],
  ['a list of lengths', `${POST}Content-Length: 0, ${NEXT.length}\r\n\r\n${NEXT}`, 400],
  ['CL.0 with Expect', `${counted(5, 'Expect: 100-continue')}hello`, 'same'],
  ['Expect, obfuscated', `${counted(5, 'Expect: y 100-continue')}hello`, 417],
  ['Expect in two parts', `${counted(5, 'Expect: 100-continue, x')}hello`, 417],
  ['Expect, folded', `${counted(5, 'Expect:', ' 100-continue')}hello`, 400],
  ['Expect, repeated', `${counted(5, 'Expect: 100-continue', 'Expect: 100-continue')}hello`, 417],
  ['Expect on GET', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n', 'same'],
  ['TERM.EXT: LF ends the line for the proxy', chunked(`2;\nxx\r\n${size}\r\n0\r\n\r\n${NEXT}`), 400],
  ['EXT.TERM: LF is an extension for the proxy', chunked(`${size};a\n${NEXT}\r\n0\r\n\r\n`), 400],
  ['TERM.EXT by CR', chunked(`2;\rxx\r\n${size}\r\n0\r\n\r\n${NEXT}`), 400],
  ['EXT.TERM by CR', chunked(`${size};a\r${NEXT}\r\n0\r\n\r\n`), 400],
  ['EXT.TERM in quotes', chunked(`${size};a="\n${NEXT}"\r\n0\r\n\r\n`), 400],
  ['TERM.SPILL: LF after the data', chunked(`5\r\nhello\n2\r\n0\r\n\r\n${NEXT}`), 400],
  ['SPILL.TERM: two octets after the data', chunked(`5\r\nhelloXX2\r\n45\r\n0\r\n\r\n${NEXT}`), 400],
  ['ONE.TWO: one octet skipped after the data', chunked(`5\r\nhelloX\n0\r\n\r\n${NEXT}`), 400],
  ['TWO.ONE: CR skipped after the data', chunked(`5\r\nhello\rX0\r\n\r\n${NEXT}`), 400],
  ['ZERO.TWO: nothing after the data', chunked(`5\r\nhello0\r\n\r\n${NEXT}`), 400],
  ['a size of 2^64', chunked(`10000000000000000\r\n${NEXT}`), 400],
  ['a size of 2^32, cut to 0 by somebody', chunked(`100000000\r\n${NEXT}`), 'more'],
  ['a bare CR as the last empty line', chunked(`0\r\n\r${NEXT}`), 400],
  ['LF as the last empty line', chunked(`0\r\n\n${NEXT}`), 400],
  ['a trailer that frames', chunked(`0\r\nContent-Length: ${NEXT.length}\r\n\r\n${NEXT}`), 400],
  ['a trailer that routes', chunked('0\r\nHost: evil.example.com\r\n\r\n'), 400],
  ['a trailer that authenticates', chunked('0\r\nAuthorization: Bearer evil\r\n\r\n'), 400],
  ['a trailer with _ for -', chunked('0\r\nContent_Length: 5\r\n\r\n'), 400],
];

export const smugglingLists: readonly RequestCase[] = [...gadgetCases(), ...CHUNK_LINES];
