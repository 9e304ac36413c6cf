/** What `weir explain` does: reads the question, decides it or has it decided, prints the answer. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { RequestsDocument } from '../agent/admin/api.ts';
import { ask, say } from '../agent/cli/command-options.ts';
import { type Decision, explain, refusedQuestion } from '../mesh/explain.ts';
import { type Asked, questionOf } from '../mesh/explain-ask.ts';
import { type ParsedRequest, parseExplainRequest } from '../mesh/explain-request.ts';
import type { MeshState } from '../mesh/state.ts';
import { controllerMesh } from './controller-mesh.ts';
import { decisionText } from './explain-text.ts';
import { readOfflineMesh } from './offline-mesh.ts';
import { CliError, EXIT, formatDocument, write } from './output.ts';
import type { ExplainFlags } from './explain-command.ts';

/** Lines of --requests sent to an agent at once; the agent decides a batch in a few milliseconds. */
const BATCH_LINES = 200;
/** Text sent to an agent at once: its API takes a megabyte. */
const BATCH_CHARACTERS = 200_000;
/** Lines of --requests that are held at once when the answer is one document (-o json, yaml, table). */
const DOCUMENT_LINES_MAX = 100_000;

/** Answers what the flags ask. */
export async function runExplain(requestId: string | undefined, flags: ExplainFlags): Promise<void> {
  const ways = [requestId, flags.to, flags.requests].filter((way) => way !== undefined).length;
  if (ways !== 1) {
    throw new CliError(
      'say what to explain: --to HOST:PORT, a request id, or --requests FILE (one of them)',
      EXIT.usage,
    );
  }
  if (requestId !== undefined) return explainRecorded(requestId, flags);
  if (flags.requests !== undefined) return explainLines(flags, flags.requests);
  const asked = askedBy(flags);
  const local = await localMesh(flags, []);
  const decision = local === null ? await askOne(flags, asked) : explainAsked(local, asked);
  await printDecisions([decision], flags.output);
  if (decision.error !== null) throw new CliError(decision.error, EXIT.usage);
}

function askedBy(flags: ExplainFlags): Asked {
  const headers = (flags.header ?? []).map((text): [string, string] => {
    const colon = text.indexOf(':');
    if (colon < 1) throw new CliError(`--header ${text}: write NAME: VALUE`, EXIT.usage);
    return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
  });
  return {
    from: flags.from ?? '',
    to: flags.to ?? '',
    method: flags.method,
    path: flags.path,
    host: flags.host ?? '',
    headers,
    tcp: flags.tcp === true,
    sni: flags.sni ?? '',
  };
}

function explainAsked(mesh: MeshState, asked: Asked): Decision {
  const question = questionOf(mesh, asked, 'asked');
  return question.ok ? explain(mesh, question.request) : refusedQuestion(question.id, question.error);
}

/** null: an agent is to be asked. */
async function localMesh(flags: ExplainFlags, questions: readonly Line[]): Promise<MeshState | null> {
  const { file, controller, rootNamespace } = flags;
  if (file !== undefined && controller !== undefined) throw new CliError('-f or --controller, not both', EXIT.usage);
  if (file !== undefined) {
    const destinations = questions.flatMap(({ question }) => (question.ok ? [question.request.destination] : []));
    const { state, findings } = readOfflineMesh(file, { rootNamespace, destinations });
    const refused = findings.filter(({ severity }) => severity === 'error').length;
    if (refused > 0) {
      await write(
        process.stderr,
        `weir: ${refused} objects were refused and play no part; \`weir analyze -f …\` says why\n`,
      );
    }
    return state;
  }
  return controller === undefined ? null : controllerMesh(controller === true ? null : controller);
}

async function askOne(flags: ExplainFlags, asked: Asked): Promise<Decision> {
  const [decision] = await askAgent(flags, { asked });
  return decision ?? refusedQuestion('', 'the agent gave no answer');
}

async function askAgent(flags: ExplainFlags, body: unknown): Promise<readonly Decision[]> {
  // Every agent holds the whole mesh: the first that answers is as good as any.
  const { answers } = await ask<{ readonly decisions: readonly Decision[] }>(flags, 'POST', '/explain', body);
  return answers[0]?.body.decisions ?? [];
}

async function explainRecorded(id: string, flags: ExplainFlags): Promise<void> {
  const path = `/requests?id=${encodeURIComponent(id)}`;
  const { answers } = await ask<RequestsDocument>(flags, 'GET', path);
  const [trace] = answers.flatMap(({ body }) => body.requests);
  if (trace === undefined) throw new CliError(`request ${id} is not among the last ones that the agents remember`);
  if (trace.sourcePod === null) {
    throw new CliError(`request ${id} came from another node: ask the agent there, by the id in its own access log`);
  }
  const asked: Asked = {
    from: trace.sourcePod,
    to: trace.destination,
    method: trace.method,
    path: trace.query === null || trace.query === '' ? trace.path : `${trace.path}?${trace.query}`,
    host: trace.host,
    headers: trace.headers ?? [],
    tcp: false,
    sni: '',
  };
  const decision = await askOne(flags, asked);
  const then = [`${trace.status}`, trace.reason, trace.policy, trace.route].filter((part) => part !== null).join(' ');
  if (flags.output === 'table') {
    await printDecisions([decision], 'table');
    await say(`then       ${then}, at ${new Date(trace.timeMs).toISOString()}\n`);
    if (trace.headers === null) await say('note       its headers were not kept; give them with --header\n');
  } else await printDocument({ decision, recorded: trace }, flags.output);
}

async function explainLines(flags: ExplainFlags, file: string): Promise<void> {
  if (flags.output === 'jsonl' && flags.file === undefined) return explainStream(flags, file);
  const questions: Line[] = [];
  for await (const question of readQuestions(file)) {
    if (questions.length >= DOCUMENT_LINES_MAX && flags.output !== 'jsonl') {
      throw new CliError(
        `more than ${DOCUMENT_LINES_MAX} requests: use -o jsonl, which answers line by line`,
        EXIT.usage,
      );
    }
    questions.push(question);
  }
  const mesh = await localMesh(flags, questions);
  const decisions = mesh === null ? await decideAtAgent(flags, questions) : questions.map((each) => decide(mesh, each));
  await printDecisions(decisions, flags.output);
}

/** Line by line, whatever the length of the file. */
async function explainStream(flags: ExplainFlags, file: string): Promise<void> {
  const mesh = await localMesh(flags, []);
  let batch: Line[] = [];
  const flush = async (): Promise<void> => {
    const decisions = mesh === null ? await decideAtAgent(flags, batch) : batch.map((each) => decide(mesh, each));
    batch = [];
    await printDecisions(decisions, 'jsonl');
  };
  for await (const question of readQuestions(file)) {
    batch.push(question);
    if (batch.length >= BATCH_LINES) await flush();
  }
  if (batch.length > 0) await flush();
}

function decide(mesh: MeshState, { question }: Line): Decision {
  return question.ok ? explain(mesh, question.request) : refusedQuestion(question.id, question.error);
}

/** In the order of the questions; what could not be read is answered here. */
async function decideAtAgent(flags: ExplainFlags, questions: readonly Line[]): Promise<Decision[]> {
  const decisions: Decision[] = [];
  for (let at = 0; at < questions.length; ) {
    const batch: Line[] = [];
    let length = 0;
    for (; at < questions.length && batch.length < BATCH_LINES && length < BATCH_CHARACTERS; at++) {
      const line = questions[at] as Line;
      batch.push(line);
      if (line.question.ok) length += line.text.length;
    }
    const lines = batch.flatMap(({ question, text }) => (question.ok ? [text] : []));
    const answered = lines.length === 0 ? [] : [...(await askAgent(flags, { lines }))];
    for (const { question } of batch) {
      const decision = question.ok ? answered.shift() : refusedQuestion(question.id, question.error);
      if (decision === undefined) throw new CliError('the agent answered fewer requests than it was asked');
      decisions.push(decision);
    }
  }
  return decisions;
}

/** A line of --requests and what it asks. */
interface Line {
  readonly text: string;
  readonly question: ParsedRequest;
}

async function* readQuestions(file: string): AsyncGenerator<Line> {
  const input = file === '-' ? process.stdin : createReadStream(file, 'utf8');
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.trim() !== '') yield { text: line, question: parseExplainRequest(line) };
    }
  } catch (error) {
    throw new CliError(`--requests ${file}: ${(error as Error).message}`, EXIT.usage);
  }
}

async function printDecisions(decisions: readonly Decision[], output: string): Promise<void> {
  if (output === 'jsonl') return write(process.stdout, decisions.map((each) => `${JSON.stringify(each)}\n`).join(''));
  if (output === 'table') return write(process.stdout, decisions.map(decisionText).join('\n'));
  return printDocument(decisions.length === 1 ? decisions[0] : decisions, output);
}

async function printDocument(document: unknown, output: string): Promise<void> {
  if (output === 'jsonl') return write(process.stdout, `${JSON.stringify(document)}\n`);
  return write(process.stdout, await formatDocument(document, output === 'yaml' ? 'yaml' : 'json'));
}
