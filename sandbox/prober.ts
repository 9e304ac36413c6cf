/**
 * Asks httpGet and tcpSocket probes, one process per node, inside the node's network namespace, as the kubelet does: the
 * pod sees the node's address. It talks to the sandbox over Node's IPC channel and ends with it.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

/** A question; `id` comes back with the answer. */
export interface ProbeQuestion {
  readonly id: number;
  readonly type: 'http' | 'tcp';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly scheme: 'http' | 'https';
  readonly headers: readonly (readonly [string, string])[];
  readonly timeoutMs: number;
}

export interface ProbeAnswer {
  readonly id: number;
  readonly success: boolean;
  /** Why not, in one line. */
  readonly detail: string;
}

type Verdict = Omit<ProbeAnswer, 'id'>;

function askTcp(question: ProbeQuestion): Promise<Verdict> {
  return new Promise((done) => {
    const socket = connect({ host: question.host, port: question.port });
    const finish = (success: boolean, detail: string): void => {
      socket.destroy();
      done({ success, detail });
    };
    socket.setTimeout(question.timeoutMs, () => finish(false, `no connection within ${question.timeoutMs} ms`));
    socket.on('connect', () => finish(true, ''));
    socket.on('error', (error) => finish(false, error.message));
  });
}

/** Success is a status from 200 to 399 (Kubernetes, "Define a liveness HTTP request"); redirects are not followed. */
function askHttp(question: ProbeQuestion): Promise<Verdict> {
  return new Promise((done) => {
    const { host, port, path, timeoutMs } = question;
    const headers = {
      'user-agent': 'kube-probe/1.30',
      accept: '*/*',
      connection: 'close',
      ...Object.fromEntries(question.headers),
    };
    const options = { host, port, path, headers, agent: false };
    // The kubelet does not verify a probe's certificate either.
    const request =
      question.scheme === 'https' ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const finish = (success: boolean, detail: string): void => {
      clearTimeout(timer);
      request.destroy();
      done({ success, detail });
    };
    request.on('response', (response) => {
      const status = response.statusCode ?? 0;
      const success = status >= 200 && status < 400;
      response.resume();
      finish(success, success ? '' : `answered with status ${status}`);
    });
    request.on('error', (error) => finish(false, error.message));
    request.end();
  });
}

process.on('message', (question: ProbeQuestion) => {
  const asked = question.type === 'tcp' ? askTcp(question) : askHttp(question);
  void asked.then((verdict) => process.send?.({ id: question.id, ...verdict }));
});
process.on('disconnect', () => process.exit(0));
