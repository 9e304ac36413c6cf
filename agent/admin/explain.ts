/** POST /explain: what this node's agent would do with requests. The deciding code is the workers' own (mesh/explain.ts). */
import { type Decision, explain, refusedQuestion } from '../../mesh/explain.ts';
import { type Asked, questionOf } from '../../mesh/explain-ask.ts';
import { parseExplainRequest } from '../../mesh/explain-request.ts';
import type { MeshState } from '../../mesh/state.ts';
import { limits } from '../limits.ts';
import { AdminError } from './http-router.ts';

/** Answers a body: `{"asked": {…}}` (mesh/explain-ask.ts), or `{"lines": ["…"]}` with one request as JSON text each. */
export function explainBody(mesh: MeshState, body: unknown): readonly Decision[] {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const { asked, lines } = fields;
  if (isAsked(asked)) {
    const question = questionOf(mesh, asked, 'asked');
    return [question.ok ? explain(mesh, question.request) : refusedQuestion(question.id, question.error)];
  }
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === 'string')) {
    throw new AdminError(
      400,
      'INVALID_VALUE',
      'send {"lines": ["{…}", …]} with one request as JSON text each, or {"asked": {…}}',
    );
  }
  if (lines.length > limits.explainLinesMax) {
    throw new AdminError(413, 'TOO_MANY', `${lines.length} requests at once; send at most ${limits.explainLinesMax}`);
  }
  return lines.map((line) => {
    const question = parseExplainRequest(line);
    return question.ok ? explain(mesh, question.request) : refusedQuestion(question.id, question.error);
  });
}

function isAsked(value: unknown): value is Asked {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  const texts = ['from', 'to', 'method', 'path', 'host', 'sni'];
  const headers = fields['headers'];
  return (
    texts.every((name) => typeof fields[name] === 'string') &&
    typeof fields['tcp'] === 'boolean' &&
    Array.isArray(headers) &&
    headers.every(
      (pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string'),
    )
  );
}
