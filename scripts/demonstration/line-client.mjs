// Speaks to line-server.mjs: node line-client.mjs HOST PORT "PUT a b" "GET a". Prints what the server said, one line each;
// exits with 1 when the connection is refused, reset, or ends early.
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

const [host, port, ...commands] = process.argv.slice(2);
function fail(error) {
  if (process.exitCode === undefined) console.log(error.code ?? error.message);
  process.exitCode = 1;
}

const socket = createConnection({ host, port: Number(port) });
socket.setTimeout(10_000, () => socket.destroy(new Error('no answer within 10 s')));
socket.on('error', fail);
let next = 0;
createInterface({ input: socket })
  .on('error', fail) // readline passes on what the socket reports
  .on('line', (line) => {
    console.log(line);
    socket.write(`${commands[next] ?? 'QUIT'}\n`);
    next += 1;
  })
  .on('close', () => {
    if (next <= commands.length && process.exitCode === undefined) {
      console.log('closed early');
      process.exitCode = 1;
    }
  });
