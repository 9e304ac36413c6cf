/** Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines they are about. */
import type { Finding } from '../controlplane/finding.ts';

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';

/** A log with one run. Findings without a file have no location. */
export function sarifLog(findings: readonly Finding[]): unknown {
  const codes = [...new Set(findings.map(({ code }) => code))].sort();
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'weir analyze', rules: codes.map((id) => ({ id })) } },
        results: findings.map((finding) => ({
          ruleId: finding.code,
          ruleIndex: codes.indexOf(finding.code),
          level: finding.severity,
          message: { text: messageOf(finding) },
          locations: finding.file === '' ? [] : [locationOf(finding)],
        })),
      },
    ],
  };
}

function messageOf({ object, field, reason, remedy }: Finding): string {
  const what = [object, field].filter((part) => part !== '').join(' ');
  return `${what === '' ? '' : `${what}: `}${reason}. Fix: ${remedy}`;
}

/** Paths are relative to where the command ran, as code hosts expect; `/` whatever the platform. */
function locationOf({ file, line }: Finding): unknown {
  const uri = encodeURI(file.replaceAll('\\', '/').replace(/^\.\//, ''));
  return { physicalLocation: { artifactLocation: { uri }, ...(line > 0 ? { region: { startLine: line } } : {}) } };
}
