// Keeps 16 connections of a pod busy with GETs until stdin ends; prints one JSON line: successes, failures with their
// time, and for each gap the time of the first success after it (ms since start).
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const started = Date.now();
const result = { ok: 0, failures: [], successes: [], denied: 0 };
let stopped = false;
const once = () => {
  if (stopped) return;
  const request = http.get({ host: 'web', agent }, (response) => {
    response.resume();
    response.on('error', () => {});
    response.on('end', () => {
      if (response.statusCode === 200) {
        result.ok++;
        result.successes.push(Date.now() - started);
      } else result.failures.push({ at: Date.now() - started, status: response.statusCode });
      setImmediate(once);
    });
    response.on('aborted', () => {
      result.failures.push({ at: Date.now() - started, code: 'aborted' });
      setTimeout(once, 5);
    });
  });
  request.on('error', (error) => {
    result.failures.push({ at: Date.now() - started, code: error.code });
    setTimeout(once, 5);
  });
};
for (let i = 0; i < 16; i++) once();
console.log('loading');
process.stdin.resume();
process.stdin.on('end', () => {
  stopped = true;
  const failed = result.failures.map((failure) => failure.at);
  const last = Math.max(...failed, 0);
  const first = Math.min(...failed, Number.MAX_SAFE_INTEGER);
  const recovered = result.successes.find((at) => at > first) ?? null;
  const clean = result.successes.find((at) => at > last) ?? null;
  console.log(JSON.stringify({ ok: result.ok, failures: result.failures, first, last, recovered, clean }));
  process.exit(0);
});
