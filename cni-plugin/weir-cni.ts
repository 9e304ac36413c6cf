#!/usr/bin/env node
/**
 * weir-cni: a chained CNI plugin. It captures nothing itself: it asks the node's agent to, and fails the ADD unless the agent says
 * that listeners and rules are both in place.
 *
 * Environment: CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS. stdin: the network configuration (spec.ts). stdout: the
 * result or the error, nothing else. stderr: log. Exit status: 0, or 1 with an error.
 * Imports only node: modules and its own folder: Node's start is most of its running time.
 */
import { readFileSync } from 'node:fs';
import { AgentUnreachable, askAgent } from './agent-client.ts';
import {
  atLeast,
  CniError,
  code,
  type Command,
  containerAddresses,
  type Fields,
  type LogLevel,
  parseArgs,
  parseConfig,
  type PluginConfig,
  type PodArgs,
  versionAnswer,
  versionForErrors,
} from './spec.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a run of the plugin leaves: the text for stdout and the exit status. */
interface Outcome {
  readonly stdout: string;
  readonly status: 0 | 1;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

async function run(environment: Environment, stdin: string): Promise<Outcome> {
  try {
    const answer = await dispatch(environment, stdin);
    return { stdout: answer === null ? '' : JSON.stringify(answer), status: 0 };
  } catch (error) {
    const failure = error instanceof CniError ? error : new CniError(code.ioFailure, `weir-cni: ${messageOf(error)}`);
    const { code: number, message: msg, details } = failure;
    return { stdout: JSON.stringify({ cniVersion: versionForErrors(stdin), code: number, msg, details }), status: 1 };
  }
}

async function dispatch(environment: Environment, stdin: string): Promise<object | null> {
  const command = environment['CNI_COMMAND'] as Command | undefined;
  switch (command) {
    case 'VERSION':
      return versionAnswer(stdin);
    case 'ADD':
      return add(environment, parseConfig(stdin));
    case 'DEL':
      return del(environment, parseConfig(stdin));
    case 'CHECK':
      return check(environment, parseConfig(stdin));
    case 'STATUS':
      return status(parseConfig(stdin));
    case 'GC':
      return collect(parseConfig(stdin));
    default:
      throw new CniError(
        code.invalidEnvironment,
        `CNI_COMMAND is ${JSON.stringify(command ?? null)}; a container runtime runs this program with ADD, DEL, CHECK, STATUS, GC or VERSION`,
      );
  }
}

async function add(environment: Environment, config: PluginConfig): Promise<object> {
  const attachment = attachmentOf(environment);
  const netns = required(environment, 'CNI_NETNS');
  const prevResult = previous(config, 'ADD');
  // The chain's result is the same with or without weir in it, but for the version the runtime speaks.
  const result = { ...prevResult, cniVersion: config.cniVersion };
  const pod = podOf(environment, config);
  const exemption = exemptionOf(pod, config);
  if (exemption !== null) {
    log(config, 'info', `ADD ${pod.namespace}/${pod.name}: not captured: ${exemption}`);
    return result;
  }
  const args = { namespace: pod.namespace, name: pod.name, uid: pod.uid === '' ? null : pod.uid };
  await askAgent(config.agentSocket, '/add', { ...attachment, netns, args, ips: containerAddresses(prevResult) });
  log(config, 'info', `ADD ${pod.namespace}/${pod.name}: captured`);
  return result;
}

/** Never fails for what is gone, nor because the agent is: the agent drops pods without namespace by itself. */
async function del(environment: Environment, config: PluginConfig): Promise<null> {
  const attachment = attachmentOf(environment);
  try {
    await askAgent(config.agentSocket, '/del', attachment);
  } catch (error) {
    log(config, 'warn', `DEL ${attachment.containerId}: ${messageOf(error)}; the agent cleans up when it is back`);
  }
  return null;
}

async function check(environment: Environment, config: PluginConfig): Promise<null> {
  if (!atLeast(config.cniVersion, '0.4.0')) throw tooOld('CHECK', config);
  const attachment = attachmentOf(environment);
  const netns = required(environment, 'CNI_NETNS');
  previous(config, 'CHECK');
  const pod = podOf(environment, config);
  if (exemptionOf(pod, config) !== null) return null;
  const args = { namespace: pod.namespace, name: pod.name };
  await askAgent(config.agentSocket, '/check', { ...attachment, netns, args });
  return null;
}

/** 50: no ADD now. 51: and while the agent is away, captured pods' new connections are refused. */
async function status(config: PluginConfig): Promise<null> {
  if (!atLeast(config.cniVersion, '1.1.0')) throw tooOld('STATUS', config);
  try {
    await askAgent(config.agentSocket, '/status', {});
    return null;
  } catch (error) {
    const unavailable = error instanceof AgentUnreachable ? code.notAvailableLimited : code.notAvailable;
    throw new CniError(unavailable, messageOf(error));
  }
}

async function collect(config: PluginConfig): Promise<null> {
  if (!atLeast(config.cniVersion, '1.1.0')) throw tooOld('GC', config);
  if (config.validAttachments === null) {
    throw new CniError(
      code.invalidConfig,
      'GC: the configuration has no cni.dev/valid-attachments; refusing to take that for none',
    );
  }
  await askAgent(config.agentSocket, '/gc', { validAttachments: config.validAttachments });
  return null;
}

function attachmentOf(environment: Environment): { readonly containerId: string; readonly ifName: string } {
  return { containerId: required(environment, 'CNI_CONTAINERID'), ifName: required(environment, 'CNI_IFNAME') };
}

function required(environment: Environment, name: string): string {
  const value = environment[name] ?? '';
  if (value === '') throw new CniError(code.invalidEnvironment, `${name} is missing from the environment`);
  return value;
}

function previous(config: PluginConfig, command: string): Fields {
  if (config.prevResult !== null) return config.prevResult;
  throw new CniError(
    code.invalidConfig,
    `${command}: no prevResult: weir-cni is a chained plugin; put it after the plugin that makes the interface, in a .conflist`,
  );
}

function podOf(environment: Environment, config: PluginConfig): PodArgs {
  const pod = parseArgs(environment['CNI_ARGS'] ?? '');
  if (pod.name === '')
    throw new CniError(code.invalidEnvironment, 'CNI_ARGS has no K8S_POD_NAME, so nobody can say who this pod is');
  if (pod.namespace !== '') return pod;
  if (config.defaultNamespace !== null) return { ...pod, namespace: config.defaultNamespace };
  throw new CniError(
    code.invalidEnvironment,
    `CNI_ARGS has no K8S_POD_NAMESPACE for pod ${pod.name}; outside Kubernetes set defaultNamespace in the CNI configuration`,
  );
}

/** Why the pod is not captured; null: it is. */
function exemptionOf(pod: PodArgs, config: PluginConfig): string | null {
  if (config.excludeNamespaces.includes(pod.namespace)) return `namespace ${pod.namespace} is in excludeNamespaces`;
  if (pod.namespace === config.agentNamespace && pod.name.startsWith(config.agentPodPrefix))
    return 'it is a pod of weir itself';
  return null;
}

function tooOld(command: string, config: PluginConfig): CniError {
  return new CniError(code.incompatibleVersion, `${command} does not exist in CNI ${config.cniVersion}`);
}

function log(config: PluginConfig, level: LogLevel, message: string): void {
  if (LEVELS.indexOf(level) >= LEVELS.indexOf(config.logLevel))
    process.stderr.write(`weir-cni: ${level}: ${message}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const outcome = await run(process.env, readFileSync(0, 'utf8'));
process.exitCode = outcome.status;
// Runtimes give a pipe, which Node writes synchronously (process I/O, "A note on process I/O").
if (outcome.stdout !== '') process.stdout.write(`${outcome.stdout}\n`);
