/**
 * weir itself inside the sandbox: one controller on the host side, one agent in each node's network namespace, and the
 * questions asked of the controller (its admin API): what did you refuse, has every agent acknowledged?
 */
import { mkdirSync } from 'node:fs';
import { Daemon } from './daemon.ts';
import { lastLines } from './failure-report.ts';
import { canConnect, requestJson } from './http-json.ts';
import type { NodeNetwork } from './network.ts';
import type { SandboxPaths } from './paths.ts';
import { distFile, messageOf, type Patience, type Tools, waitUntil } from './processes.ts';
import { isFields, type Problem } from './source.ts';

/** Flags handed through to the agents and the controller. */
export interface MeshOptions {
  readonly workers: number;
  readonly accessLog: string;
  readonly logLevel: string;
  /** --drain-deadline of the agents; null: their default. */
  readonly drainDeadlineMs: number | null;
}

/** How an agent is restarted: a new one takes over, or it is ended first (SIGTERM, SIGKILL). */
export type RestartManner = 'replace' | 'terminate' | 'kill';

/** How long a SIGTERM may take before SIGKILL when a restart is asked for. */
const RESTART_GRACE_MS = 10_000;
/** Beyond the drain deadline, how long a replaced agent may take to end. */
const LEAVE_MARGIN_MS = 5_000;
/** What an agent's drain deadline is when none was given (`weir agent --help`). */
const DRAIN_DEADLINE_MS = 20_000;
/** A controller that does not answer within this counts as away. */
const CONTROLLER_ANSWER_MS = 2_000;
const POLL_MS = 50;
const LOG_LINES = 5;

/** What translating the objects said. */
export interface SyncResult {
  readonly version: number;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export class Mesh {
  readonly controller: Daemon;
  readonly agents: ReadonlyMap<string, Daemon>;
  readonly #paths: SandboxPaths;
  readonly #leaveGraceMs: number;

  constructor(
    tools: Tools,
    paths: SandboxPaths,
    nodes: readonly NodeNetwork[],
    options: MeshOptions,
    log: (message: string) => void,
  ) {
    this.#paths = paths;
    this.#leaveGraceMs = (options.drainDeadlineMs ?? DRAIN_DEADLINE_MS) + LEAVE_MARGIN_MS;
    const { drainDeadlineMs } = options;
    const drain = drainDeadlineMs === null ? [] : ['--drain-deadline', String(drainDeadlineMs / 1_000)];
    const weir = [process.execPath, distFile('cli/weir.js')];
    const level = ['--log-level', options.logLevel];
    this.controller = new Daemon({
      label: 'controller',
      argv: [
        ...weir,
        'controller',
        '--source',
        paths.objects,
        '--listen',
        `unix:${paths.streamSocket}`,
        '--admin-socket',
        paths.controllerSocket,
        ...level,
      ],
      env: process.env,
      logFile: paths.controllerLog,
      log,
    });
    const agent = (node: NodeNetwork): Daemon =>
      new Daemon({
        label: `agent on ${node.name}`,
        argv: [
          tools.nsenter,
          `--net=${node.netns}`,
          ...weir,
          'agent',
          '--node',
          node.name,
          '--run-dir',
          paths.agentRunDir(node.name),
          '--state-dir',
          paths.agentStateDir(node.name),
          '--controller',
          `unix:${paths.streamSocket}`,
          '--workers',
          String(options.workers),
          '--access-log',
          options.accessLog,
          ...drain,
          ...level,
        ],
        env: { ...process.env, NODE_NAME: node.name },
        logFile: paths.agentLog(node.name),
        log,
      });
    this.agents = new Map(nodes.map((node) => [node.name, agent(node)]));
  }

  /** Starts everything; resolves when the controller answers and every agent takes CNI requests. Throws who does not. */
  async start(patience: Patience): Promise<void> {
    this.controller.start();
    await this.#waitForController(patience);
    for (const [node, agent] of this.agents) {
      for (const folder of [this.#paths.agentRunDir(node), this.#paths.agentStateDir(node)]) {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
      }
      agent.start();
    }
    await Promise.all([...this.agents.keys()].map((node) => this.#waitForSockets(node, patience)));
  }

  async restartController(kill: boolean, patience: Patience): Promise<void> {
    await this.controller.restart(kill, RESTART_GRACE_MS);
    await this.#waitForController(patience);
    await this.waitAcknowledged((await this.sync()).version, patience);
  }

  /** Resolves when the new agent serves; a replaced one may still finish what it has, until its drain deadline. */
  async restartAgent(node: string, manner: RestartManner, patience: Patience): Promise<void> {
    const agent = this.agents.get(node);
    if (manner === 'replace') {
      await agent?.replace((pid) => this.#waitUntilReady(node, patience, pid), this.#leaveGraceMs);
    } else {
      await agent?.restart(manner === 'kill', RESTART_GRACE_MS);
      await this.#waitForSockets(node, patience);
      await this.#waitUntilReady(node, patience);
    }
    // With the controller away an agent runs on its last snapshot; then its own sockets are all there is to wait for.
    if (await this.#controllerAnswers()) await this.waitAcknowledged((await this.sync()).version, patience);
  }

  /** False also for one that is stopped: the kernel accepts for it, but nothing comes back. */
  async #controllerAnswers(): Promise<boolean> {
    const { controllerSocket } = this.#paths;
    return requestJson(controllerSocket, 'GET', '/status', null, CONTROLLER_ANSWER_MS).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  /** Makes the controller read the objects now. Throws when it does not answer. */
  async sync(): Promise<SyncResult> {
    const answer = await requestJson(this.#paths.controllerSocket, 'POST', '/sync');
    const body = isFields(answer.body) ? answer.body : {};
    if (answer.status !== 200 || typeof body['version'] !== 'number') {
      throw new Error(`the controller answered /sync with status ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    const findings = Array.isArray(body['findings']) ? (body['findings'] as readonly unknown[]) : [];
    const of = (severity: string): Problem[] =>
      findings
        .filter(isFields)
        .filter((finding) => finding['severity'] === severity)
        .map(toProblem);
    return { version: body['version'], errors: of('error'), warnings: of('warning') };
  }

  /** Waits until every node's agent is connected and has acknowledged the version. Throws naming the agent and its reason. */
  async waitAcknowledged(version: number, { deadlineMs, signal }: Patience): Promise<void> {
    let last = 'the controller does not answer';
    const reached = await waitUntil(
      async () => {
        const status = await this.#status().catch((error: unknown) => {
          last = `the controller does not answer: ${messageOf(error)}`;
          return null;
        });
        if (status === null) return false;
        last = '';
        for (const node of this.agents.keys()) {
          const agent = status.find((candidate) => candidate.node === node);
          const refused = agent?.nacks.find((nack) => nack.version >= version);
          if (refused !== undefined)
            throw new Error(`the agent on ${node} refused ${refused.resource}: ${refused.error}`);
          if (agent === undefined || !agent.connected) last = `the agent on ${node} is not connected to the controller`;
          else if (agent.ackedVersion < version)
            last = `the agent on ${node} has version ${agent.ackedVersion}, not ${version}`;
        }
        return last === '';
      },
      deadlineMs,
      POLL_MS,
      signal,
    );
    if (!reached) throw new Error(`${last} (see weir sandbox logs agent)`);
  }

  async stop(graceMs: number): Promise<void> {
    await Promise.all([...this.agents.values(), this.controller].map((daemon) => daemon.stop(graceMs)));
  }

  async #status(): Promise<AgentStatus[]> {
    const answer = await requestJson(this.#paths.controllerSocket, 'GET', '/status', null, 5_000);
    const body = isFields(answer.body) ? answer.body : {};
    const agents = Array.isArray(body['agents']) ? (body['agents'] as readonly unknown[]) : [];
    return agents.filter(isFields).map((agent) => ({
      node: String(agent['node']),
      connected: agent['connected'] === true,
      ackedVersion: Number(agent['ackedVersion'] ?? 0),
      nacks: (Array.isArray(agent['nacks']) ? (agent['nacks'] as readonly unknown[]) : [])
        .filter(isFields)
        .map((nack) => ({
          resource: typeof nack['resource'] === 'string' ? nack['resource'] : JSON.stringify(nack['resource']),
          error: String(nack['error']),
          version: Number(nack['version'] ?? 0),
        })),
    }));
  }

  async #waitForController({ deadlineMs, signal }: Patience): Promise<void> {
    const sockets = [this.#paths.controllerSocket, this.#paths.streamSocket];
    if (await waitUntil(() => allAnswer(sockets), deadlineMs, POLL_MS, signal)) return;
    throw this.#failure(`the controller does not answer on ${sockets.join(' and ')}`, this.#paths.controllerLog);
  }

  /** Until the agent takes requests. It may still be without configuration, which comes with the first objects. */
  async #waitForSockets(node: string, { deadlineMs, signal }: Patience): Promise<void> {
    const sockets = [this.#paths.agentSocket(node), this.#paths.cniSocket(node)];
    if (await waitUntil(() => allAnswer(sockets), deadlineMs, POLL_MS, signal)) return;
    throw this.#failure(`the agent on ${node} does not answer on ${sockets.join(' and ')}`, this.#paths.agentLog(node));
  }

  /** Until the agent says that it carries traffic again. @param pid of the process that must say so; left out: any. */
  async #waitUntilReady(node: string, { deadlineMs, signal }: Patience, pid?: number): Promise<void> {
    let last = 'it does not answer';
    const check = async (): Promise<boolean> => {
      if (pid !== undefined && (await this.#pidOf(node)) !== pid) {
        last = 'it has not taken over';
        return false;
      }
      const answer = await requestJson(this.#paths.agentSocket(node), 'GET', '/ready', null, 5_000).catch(() => null);
      if (answer === null) return false;
      const body = isFields(answer.body) ? answer.body : {};
      last = Array.isArray(body['notReady']) ? body['notReady'].join('; ') : `it answers with status ${answer.status}`;
      return answer.status === 200;
    };
    if (await waitUntil(check, deadlineMs, POLL_MS, signal)) return;
    throw this.#failure(`the agent on ${node} is not ready: ${last}`, this.#paths.agentLog(node));
  }

  /** Which process answers for the node; null: none. */
  async #pidOf(node: string): Promise<number | null> {
    const socket = this.#paths.agentSocket(node);
    const answer = await requestJson(socket, 'GET', '/status?own', null, 5_000).catch(() => null);
    return answer !== null && isFields(answer.body) ? Number(answer.body['pid']) : null;
  }

  #failure(message: string, logFile: string): Error {
    const tail = lastLines(logFile, LOG_LINES).map((line) => `\n    | ${line}`);
    return new Error(message + tail.join(''));
  }
}

async function allAnswer(sockets: readonly string[]): Promise<boolean> {
  return (await Promise.all(sockets.map(canConnect))).every(Boolean);
}

interface AgentStatus {
  readonly node: string;
  readonly connected: boolean;
  readonly ackedVersion: number;
  readonly nacks: readonly { readonly resource: string; readonly error: string; readonly version: number }[];
}

function toProblem(finding: Record<string, unknown>): Problem {
  const text = (key: string): string => (typeof finding[key] === 'string' ? finding[key] : '');
  const line = typeof finding['line'] === 'number' ? finding['line'] : 1;
  const { file, object, field } = { file: text('file'), object: text('object'), field: text('field') };
  return { file, line, object, field, reason: text('reason'), remedy: text('remedy') };
}
