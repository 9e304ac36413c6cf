// What the compiler does not do: the executable bit of the commands.
import { chmodSync, existsSync } from 'node:fs';

for (const bin of ['dist/cli/weir.js', 'dist/cni-plugin/weir-cni.js']) {
  if (existsSync(bin)) chmodSync(bin, 0o755);
}
