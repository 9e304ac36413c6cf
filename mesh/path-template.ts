/**
 * Istio path templates in AuthorizationPolicy `paths`: `{*}` is one non-empty segment, `{**}` any characters including
 * slashes and none, and must be the last operator (literal segments may follow). The whole path must match, as Envoy's
 * uri_template does: `/foo/{**}` matches `/foo/` and `/foo/a/b` but not `/foo`.
 */

/** Text pieces and, between them, what a template operator may stand for. */
export interface PathTemplate {
  /** `literals[i]` stands before `operators[i]`; the last literal ends the path. One more than `operators`. */
  readonly literals: readonly string[];
  readonly operators: readonly ('{*}' | '{**}')[];
}

/** True when a path value is meant as a template (Istio `IsPathTemplate`). */
export function isPathTemplate(value: string): boolean {
  return value.includes('{*}') || value.includes('{**}');
}

/** Compiles a template, or says why it is not one (the rules of Istio's `CheckValidPathTemplate`). */
export function compilePathTemplate(value: string): PathTemplate | string {
  const pieces = value.split(/(\{\*{1,2}\})/);
  const literals: string[] = [];
  const operators: ('{*}' | '{**}')[] = [];
  for (const piece of pieces) {
    if (piece === '{*}' || piece === '{**}') operators.push(piece);
    else if (/[*{}]/.test(piece)) return 'must not contain *, { or } outside {*} and {**}';
    else literals.push(piece);
  }
  for (let i = 0; i < operators.length; i++) {
    const before = literals[i] as string;
    const after = literals[i + 1] as string;
    if (!before.endsWith('/') || (after !== '' && !after.startsWith('/'))) {
      return `${operators[i]} must be a whole path segment, as in /foo/${operators[i]}`;
    }
    if (operators[i] === '{**}' && i < operators.length - 1) return '{**} must be the last operator';
  }
  return { literals, operators };
}

/** True when the whole path matches. No allocation; linear in the path. */
export function templateMatches(template: PathTemplate, path: string): boolean {
  const { literals, operators } = template;
  let at = 0;
  for (let i = 0; i < operators.length; i++) {
    const literal = literals[i] as string;
    if (!path.startsWith(literal, at)) return false;
    at += literal.length;
    if (operators[i] === '{**}') {
      const tail = literals[i + 1] as string;
      return path.length - tail.length >= at && path.endsWith(tail);
    }
    const slash = path.indexOf('/', at);
    const end = slash < 0 ? path.length : slash;
    if (end === at) return false;
    at = end;
  }
  const tail = literals[operators.length] as string;
  return path.length - at === tail.length && path.startsWith(tail, at);
}
