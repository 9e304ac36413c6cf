/** Measures the items that compare proxies: starts the peers, finds weir, and goes through the items. */
import { join } from 'node:path';
import type { Contestant } from './contestant.ts';
import { measureHostile } from './hostile.ts';
import type { Item } from './items.ts';
import { measureLatency } from './latency.ts';
import { measureItem } from './measure.ts';
import type { Options } from './options.ts';
import { type Peers, startPeers } from './peers.ts';
import type { ItemResult } from './result.ts';
import { findWeir } from './weir.ts';

export async function measureProxies(
  folder: string,
  items: readonly Item[],
  options: Options,
  report: (result: ItemResult) => void,
): Promise<void> {
  const weir = options.peersOnly ? [] : await findWeir();
  const peers = await startPeers(join(folder, 'peers'));
  for (const item of items) report(await measureOne(folder, item, weir, peers, options));
}

async function measureOne(
  folder: string,
  item: Item,
  weir: readonly Contestant[],
  peers: Peers,
  options: Options,
): Promise<ItemResult> {
  const { plan } = options;
  const all = [...weir, ...peers.contestants];
  // In the item's own order.
  const taking = item.contestants.flatMap((name) => all.filter((each) => each.name === name));
  if (item.kind === 'proxy') return measureItem(item, taking, plan, { http2: join(folder, 'peers/http2') });
  if (item.kind === 'latency') return measureLatency(item, taking, plan);
  const direct = peers.contestants.find((each) => each.name === 'direct');
  if (item.kind !== 'hostile' || direct === undefined) throw new Error(`${item.name} is not measured beside peers`);
  return measureHostile(item, [...weir.slice(0, 1), ...peers.hostile], direct, plan);
}
