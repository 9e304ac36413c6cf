/**
 * The sandbox's first own process, inside its user, mount, network and PID namespaces (launch.ts made them): builds the
 * network, starts the mesh and the pods, runs the user's COMMAND, and takes everything down in order. If this process dies
 * instead, the PID namespace's init ends with it and the kernel kills what is left.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { delimiter } from 'node:path';
import { Cluster } from './cluster.ts';
import { CniChain, preparePlugins, writeWrapper } from './cni.ts';
import { serveControl } from './control-server.ts';
import { trimLogs } from './log-files.ts';
import { Mesh } from './mesh.ts';
import { createNetwork, describeNode, hasIpv6 } from './network.ts';
import { STATE_VARIABLE, SandboxPaths } from './paths.ts';
import type { PodNode } from './pod.ts';
import { podTable } from './pod-table.ts';
import { ProberPool } from './prober-pool.ts';
import { delay, exitStatus, findExecutable, locateTools, messageOf, type Patience, type Tools } from './processes.ts';
import { ServiceRules } from './service-rules.ts';
import { readObjects, type SourceObject } from './source.ts';
import type { FromInside, StartOptions, ToInside } from './start-options.ts';
import { readYamlFiles } from './yaml-files.ts';

/** At the very end processes get this long after SIGTERM; the user waits for it. */
const GOODBYE_MS = 1_000;

/** Variables of the user that containers see, besides what their YAML says. */
const PASSED_ON = ['PATH', 'HOME', 'USER', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];

class Inside {
  readonly #options: StartOptions;
  readonly #paths: SandboxPaths;
  readonly #tools: Tools;
  readonly #ending = new AbortController();
  readonly #nodes: PodNode[] = [];
  #mesh: Mesh | null = null;
  #cluster: Cluster | null = null;
  #command: ChildProcess | null = null;
  #ready = false;
  #signal: NodeJS.Signals | null = null;

  constructor(options: StartOptions) {
    this.#options = options;
    this.#paths = new SandboxPaths(options.stateDir);
    this.#tools = locateTools(process.env['PATH'] ?? '');
  }

  /** The whole life of the sandbox; resolves with its exit status. */
  async run(): Promise<number> {
    try {
      const objects = readObjects(readYamlFiles(this.#options.paths));
      await this.#start(objects);
      if (this.#ending.signal.aborted) return this.#statusOfSignal();
      this.#ready = true;
      const { command } = this.#options;
      return command.length === 0 ? await this.#stay() : await this.#runCommand(command);
    } catch (error) {
      if (this.#ending.signal.aborted) return this.#statusOfSignal();
      process.stderr.write(`weir sandbox ${this.#options.name}: failed\n${messageOf(error)}\n`);
      return 1;
    } finally {
      await this.#takeDown();
    }
  }

  /** A signal to the outer process. The first one ends COMMAND or the sandbox; a second one does not wait. */
  onSignal(signal: NodeJS.Signals, delivered: boolean): void {
    const again = this.#signal !== null;
    this.#signal = signal;
    if (this.#command === null) {
      if (again) process.exit(exitStatus(null, signal));
      this.#ending.abort();
    } else if (!delivered) {
      this.#command.kill(signal);
    }
  }

  async #start(objects: readonly SourceObject[]): Promise<void> {
    const options = this.#options;
    const started = Date.now();
    const patience: Patience = { deadlineMs: started + options.timeoutMs, signal: this.#ending.signal };
    const ipv6 = hasIpv6();
    const networks = Array.from({ length: options.nodes }, (_, index) => describeNode(index, ipv6));
    const searchPath = preparePlugins(this.#paths, process.env);
    writeWrapper(this.#paths.bin, 'weir', 'cli/weir.js');
    if (options.mesh)
      this.#mesh = new Mesh(this.#tools, this.#paths, networks, options, (message) => this.#log(message));
    for (const network of networks) {
      const chain = new CniChain(this.#tools, network, this.#paths, searchPath, options.mesh);
      this.#nodes.push({ network, chain, prober: new ProberPool(this.#tools, network.netns) });
    }
    const cluster = this.#createCluster();
    // Everything that can be found wrong without starting anything is found before anything is started.
    cluster.check(objects);
    await createNetwork(this.#tools, networks, ipv6);
    const mesh = this.#mesh;
    await serveControl({
      cluster,
      mesh,
      nodes: this.#nodes,
      paths: this.#paths,
      signal: this.#ending.signal,
      stop: () => this.onSignal('SIGTERM', false),
    });
    if (mesh !== null) {
      this.#progress(`starting the controller and ${options.nodes} agent${options.nodes === 1 ? '' : 's'}`);
      await mesh.start(patience);
    }
    this.#progress(`applying ${objects.length} object${objects.length === 1 ? '' : 's'}`);
    await cluster.apply(objects, patience);
    this.#progress(`ready after ${((Date.now() - started) / 1_000).toFixed(1)} s`);
  }

  #createCluster(): Cluster {
    const options = this.#options;
    const workingDir = process.cwd();
    const path = process.env['PATH'] ?? '';
    const rules = new ServiceRules(this.#tools, this.#nodes, (message) => this.#log(message));
    const cluster: Cluster = new Cluster({
      tools: this.#tools,
      paths: this.#paths,
      nodes: this.#nodes,
      mesh: this.#mesh,
      images: new Map(options.images),
      isExecutable: (word, folder) => findExecutable(word, path, folder ?? workingDir) !== null,
      workingDir,
      environment: this.#containerEnvironment(),
      log: (message) => this.#log(message),
      endpointsChanged: () => rules.update(cluster),
      endpointsSettled: () => rules.flush(cluster),
    });
    this.#cluster = cluster;
    setInterval(() => trimLogs(this.#paths), 5_000).unref();
    return cluster;
  }

  #containerEnvironment(): Record<string, string> {
    const passed = PASSED_ON.map((name) => [name, process.env[name]] as const);
    return Object.fromEntries(passed.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
  }

  /** Without COMMAND: until a signal or `weir sandbox stop`, both of which are the normal end. */
  async #stay(): Promise<number> {
    const cluster = this.#cluster;
    if (cluster !== null) await write(process.stdout, podTable(cluster.pods));
    this.#progress(`running; weir sandbox --help says what can be done with it, Ctrl-C ends it`);
    await new Promise<void>((done) => {
      if (this.#ending.signal.aborted) done();
      this.#ending.signal.addEventListener('abort', () => done());
    });
    return 0;
  }

  async #runCommand(command: readonly string[]): Promise<number> {
    const cluster = this.#cluster;
    if (cluster !== null && !this.#options.quiet) await write(process.stderr, podTable(cluster.pods));
    const sockets = this.#options.mesh ? this.#nodes.map(({ network }) => this.#paths.agentSocket(network.name)) : [];
    // In the terminal's foreground process group, so that it can read from it and gets its Ctrl-C.
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: 'inherit',
      env: {
        ...process.env,
        PATH: `${process.env['PATH'] ?? ''}${delimiter}${this.#paths.bin}`,
        WEIR_SANDBOX: this.#options.name,
        [STATE_VARIABLE]: this.#paths.root,
        ...(sockets.length === 0
          ? {}
          : { WEIR_SOCKET: sockets.join(','), WEIR_CONTROLLER_SOCKET: this.#paths.controllerSocket }),
      },
    });
    this.#command = child;
    const status = await new Promise<number>((done) => {
      child.on('error', (error: NodeJS.ErrnoException) => {
        process.stderr.write(
          `weir sandbox: ${command[0] ?? ''}: ${error.code === 'ENOENT' ? 'command not found' : error.message}\n`,
        );
        done(error.code === 'ENOENT' ? 127 : 126);
      });
      child.on('exit', (code, signal) => done(exitStatus(code, signal)));
    });
    this.#command = null;
    return status;
  }

  async #takeDown(): Promise<void> {
    this.#ending.abort();
    const pods = this.#cluster?.close(GOODBYE_MS) ?? Promise.resolve();
    const mesh = this.#mesh?.stop(GOODBYE_MS) ?? Promise.resolve();
    await Promise.race([Promise.all([pods, mesh]), delay(GOODBYE_MS * 3)]);
    for (const node of this.#nodes) node.prober.close();
  }

  #statusOfSignal(): number {
    return this.#ready ? 0 : exitStatus(null, this.#signal ?? 'SIGTERM');
  }

  #progress(message: string): void {
    if (!this.#options.quiet) this.#log(message);
  }

  #log(message: string): void {
    if (this.#ending.signal.aborted) return;
    process.stderr.write(`weir sandbox ${this.#options.name}: ${message}\n`);
  }
}

function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((done) => {
    stream.write(text, () => done());
  });
}

function tell(message: FromInside): Promise<void> {
  return new Promise((done) => {
    if (process.send === undefined) return done();
    process.send(message, () => done());
  });
}

async function main(): Promise<void> {
  // The terminal sends Ctrl-C to this process too; what it means comes from the outer process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit(1)); // the outer process is gone, so is the sandbox
  process.stdout.on('error', () => undefined); // a reader that went away is no reason to stop
  process.stderr.on('error', () => undefined);
  let inside: Inside | null = null;
  process.on('message', (message: ToInside) => {
    if (message.type === 'signal') {
      if (inside === null) process.exit(exitStatus(null, message.signal));
      inside.onSignal(message.signal, message.delivered);
      return;
    }
    try {
      inside = new Inside(message.options);
    } catch (error) {
      process.stderr.write(`weir sandbox: ${messageOf(error)}\n`);
      process.exit(1);
    }
    void inside.run().then(async (status) => {
      await tell({ type: 'exit', status });
      process.exit(status);
    });
  });
  await tell({ type: 'up' });
}

void main();
