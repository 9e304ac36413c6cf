/**
 * The 146 cases of test/harness/http2-cases-*.ts against any HTTP/2 server without TLS, one line each.
 *
 *   node --import tsx scripts/http2-conformance.ts HOST PORT [PART-OF-AN-ID]
 */
import { connect } from 'node:net';
import { conformanceCases } from '../test/harness/http2-cases.ts';
import { runCase } from '../test/harness/http2-case.ts';

const [host = '', port = '', part = ''] = process.argv.slice(2);
if (host === '' || !/^\d+$/.test(port)) {
  console.error('usage: http2-conformance.ts HOST PORT [PART-OF-AN-ID]');
  process.exit(2);
}
let failures = 0;
const cases = conformanceCases.filter(({ id }) => id.includes(part));
for (const each of cases) {
  const socket = connect(Number(port), host);
  const line = `${each.id.padEnd(18)} ${each.name}`;
  try {
    await runCase(socket, each);
    console.log(`ok   ${line}`);
  } catch (cause) {
    failures++;
    console.log(`FAIL ${line} (${each.source})\n       ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
console.log(`${cases.length - failures} of ${cases.length} cases as they should be`);
process.exitCode = failures === 0 ? 0 : 1;
