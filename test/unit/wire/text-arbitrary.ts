/** What the random resources of mesh-arbitrary.ts are made of. */
import fc from 'fast-check';

export const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/);
export const token = fc.stringMatching(/^[A-Za-z][-A-Za-z0-9]{0,10}$/);
export const headerName = fc.stringMatching(/^x(-[a-z0-9]{1,4}){0,2}$/);
/** Printable, with spaces, quotes and a character of two octets. */
export const text = fc.stringMatching(/^[ -~é]{0,20}$/);
export const regex = fc.constantFrom('.*', 'a+', '^v[0-9]+$', '(a|b)c', 'x{2,5}');
export const port = fc.integer({ min: 1, max: 65_535 });
export const createdMs = fc.integer({ min: 0, max: 4e12 });
export const ip = fc.oneof(
  fc.ipV4(),
  fc.constantFrom('2001:db8::1', '::1', 'fe80::1:0:0:1', '1:2:3:4:5:6:7:8', '::', '2001:db8:0:1:1:1:1:1'),
);
export const block = fc.oneof(ip, fc.constantFrom('10.0.0.0/8', '10.1.2.3/16', '2001:db8::/32', '0.0.0.0/0'));
export const record = fc.dictionary(label, text, { maxKeys: 4, noNullPrototype: true });
export const namespacedName = fc.tuple(label, label).map((pair) => pair.join('/'));
export const namespaces = fc.oneof(fc.constant(['*']), fc.array(label, { maxLength: 3 }));
export const hostname = fc.tuple(fc.constantFrom('', '*.'), label, label).map(([star, a, b]) => `${star}${a}.${b}`);
export const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 3 });
export const durationMs = fc.integer({ min: 1, max: 3_600_000 });

/** Exact, prefix or regex, each with a value of its kind. */
export const stringMatch = fc.oneof(
  fc.record({ type: fc.constantFrom('exact', 'prefix'), value: text }),
  fc.record({ type: fc.constant('regex'), value: regex }),
);
