// The demo's TCP application, a small protocol of lines in which the server speaks first:
//   < READY ledger
//   > PUT name value   < OK
//   > GET name         < VALUE value | MISSING
//   > QUIT             (closes)
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const ledger = new Map();

const server = createServer((socket) => {
  const lines = createInterface({ input: socket });
  // A client that resets its connection, as a probe does, is no reason to end. readline passes the error on.
  socket.on('error', () => socket.destroy());
  lines.on('error', () => lines.close());
  socket.write('READY ledger\n');
  lines.on('line', (line) => {
    const [command, name = '', ...rest] = line.split(' ');
    if (command === 'PUT' && ledger.size < 1000) {
      ledger.set(name, rest.join(' '));
      socket.write('OK\n');
    } else if (command === 'GET') {
      socket.write(ledger.has(name) ? `VALUE ${ledger.get(name)}\n` : 'MISSING\n');
    } else if (command === 'QUIT') {
      socket.end();
    } else {
      socket.write('ERROR unknown command\n');
    }
  });
});
server.listen(Number(process.env.PORT ?? 7000), '::');
process.on('SIGTERM', () => process.exit(0));
