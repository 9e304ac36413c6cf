/** The outcome by feature name of the Gateway API, as table and as JSON. */

export interface CaseResult {
  readonly name: string;
  /** Differences; empty: passed. */
  readonly differences: readonly string[];
}

export interface TestResult {
  readonly name: string;
  readonly features: readonly string[];
  readonly cases: readonly CaseResult[];
}

export interface FeatureRow {
  readonly feature: string;
  readonly tests: number;
  readonly cases: number;
  readonly failed: number;
}

/** What `-o json` prints. Field names are an interface. */
export interface ConformanceReport {
  readonly passed: boolean;
  readonly features: readonly FeatureRow[];
  readonly tests: readonly TestResult[];
}

/** One row per feature, in order of first appearance by name; a test counts for every feature it asks for. */
export function reportOf(tests: readonly TestResult[]): ConformanceReport {
  const names = [...new Set(tests.flatMap(({ features }) => features))].sort();
  const features = names.map((feature): FeatureRow => {
    const own = tests.filter((test) => test.features.includes(feature));
    const cases = own.flatMap((test) => test.cases);
    return { feature, tests: own.length, cases: cases.length, failed: cases.filter(isFailed).length };
  });
  const passed = tests.length > 0 && tests.every(({ cases }) => cases.length > 0 && !cases.some(isFailed));
  return { passed, features, tests };
}

/** The table, then every failed case with what differed, then one line of totals. */
export function reportText({ passed, features, tests }: ConformanceReport): string {
  const width = Math.max(...features.map(({ feature }) => feature.length));
  const rows = features.map(({ feature, tests: count, cases, failed }) => {
    const numbers = [count, cases, cases - failed, failed].map((number) => String(number).padStart(7));
    return `${feature.padEnd(width)} ${numbers.join(' ')}  ${failed === 0 ? 'ok' : 'FAIL'}`;
  });
  const head = `${'FEATURE'.padEnd(width)} ${['TESTS', 'CASES', 'PASSED', 'FAILED'].map((name) => name.padStart(7)).join(' ')}`;
  const failures = tests.flatMap((test) =>
    test.cases
      .filter(isFailed)
      .map((each) => `\nFAIL ${test.name}: ${each.name}\n     ${each.differences.join('\n     ')}`),
  );
  const count = tests.reduce((sum, test) => sum + test.cases.length, 0);
  const failed = tests.reduce((sum, test) => sum + test.cases.filter(isFailed).length, 0);
  const total = `${tests.length} tests, ${count} cases: ${count - failed} passed, ${failed} failed${passed ? '' : ' (NOT conformant)'}`;
  return [head, ...rows, ...failures, '', total, ''].join('\n');
}

function isFailed({ differences }: CaseResult): boolean {
  return differences.length > 0;
}
