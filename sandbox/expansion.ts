/**
 * `$(NAME)` in command, args and env, exactly as the kubelet does it (k8s.io/kubernetes third_party/forked/golang/expansion):
 * `$$` is a literal `$`, an unknown name stays as it is written, anything else after `$` is left alone.
 */

/** The text with every known `$(NAME)` replaced; never fails. */
export function expandVariables(text: string, known: ReadonlyMap<string, string>): string {
  let out = '';
  let i = 0;
  while (i < text.length) {
    const char = text.charAt(i);
    if (char !== '$' || i + 1 === text.length) {
      out += char;
      i += 1;
    } else if (text.charAt(i + 1) === '$') {
      out += '$';
      i += 2;
    } else {
      const close = text.charAt(i + 1) === '(' ? text.indexOf(')', i + 2) : -1;
      if (close < 0) {
        // `$x` or an unclosed `$(`: both characters stay, and the second one is not looked at again.
        out += text.slice(i, i + 2);
        i += 2;
      } else {
        const name = text.slice(i + 2, close);
        out += known.get(name) ?? `$(${name})`;
        i = close + 1;
      }
    }
  }
  return out;
}
