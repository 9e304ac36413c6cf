// Copies what the compiler does not: the protobuf schemas that are read at run time, and the executable bit of the bins.
import { chmodSync, cpSync, existsSync } from 'node:fs';

cpSync('mesh/wire/proto', 'dist/mesh/wire/proto', { recursive: true });
for (const bin of ['dist/cli/weir.js', 'dist/cni-plugin/weir-cni.js']) {
  if (existsSync(bin)) chmodSync(bin, 0o755);
}
