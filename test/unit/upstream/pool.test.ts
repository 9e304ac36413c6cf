/** What goes back into a pool: only connections that lead to where their endpoint still is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';
import type { UpstreamEnvironment } from '../../../agent/upstream/environment.ts';
import type { HttpUpstream } from '../../../agent/upstream/http-upstream.ts';
import { InFlight } from '../../../agent/upstream/in-flight.ts';
import { UpstreamPool } from '../../../agent/upstream/pool.ts';
import type { Endpoint } from '../../../mesh/cluster.ts';

function endpoint(address: string): Endpoint {
  return { slot: 3, workload: { uid: address }, address, port: 80 } as unknown as Endpoint;
}

class World {
  readonly inFlight = new InFlight();
  readonly environment = {
    reactor: { nowMs: 0 },
    bounds: new BoundCounters(),
    inFlight: this.inFlight,
    idleUpstreams: 0,
  } as unknown as UpstreamEnvironment;
  readonly pool = new UpstreamPool(this.environment);
  readonly closed: HttpUpstream[] = [];

  upstream(to: Endpoint, namespace = { closed: false }): HttpUpstream {
    const made = { endpoint: to, plan: { namespace }, idleSinceMs: 0 } as unknown as HttpUpstream;
    made.close = () => {
      this.closed.push(made);
      this.pool.forget(made);
    };
    return made;
  }
}

test('a connection to an endpoint whose slot has a new owner is refused, and the new owner keeps its idle ones', () => {
  const world = new World();
  const old = endpoint('10.0.0.1');
  world.inFlight.assign(old);
  const late = world.upstream(old);
  const successor = endpoint('10.0.0.2');
  world.inFlight.assign(successor);
  const fresh = world.upstream(successor);
  assert.equal(world.pool.release(fresh), true);
  assert.equal(world.pool.release(late), false);
  assert.deepEqual(world.closed, []);
  assert.equal(world.pool.take(old), null);
  assert.equal(world.pool.take(successor), fresh);
});

test('a direct connection into a pod that has left this node is not pooled', () => {
  const world = new World();
  const to = endpoint('10.0.0.1');
  world.inFlight.assign(to);
  const namespace = { closed: false };
  const upstream = world.upstream(to, namespace);
  namespace.closed = true;
  assert.equal(world.pool.release(upstream), false);
  assert.equal(world.environment.idleUpstreams, 0);
});

test('a closed pool takes nothing more; one that gave its idle connections back does', () => {
  const world = new World();
  const to = endpoint('10.0.0.1');
  world.inFlight.assign(to);
  world.pool.release(world.upstream(to));
  world.pool.closeIdle();
  assert.equal(world.closed.length, 1);
  assert.equal(world.pool.release(world.upstream(to)), true);
  world.pool.close();
  assert.equal(world.closed.length, 2);
  assert.equal(world.pool.release(world.upstream(to)), false);
  assert.equal(world.environment.idleUpstreams, 0);
});
