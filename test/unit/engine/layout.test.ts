import assert from 'node:assert/strict';
import { test } from 'node:test';
import koffi from 'koffi';
import * as layout from '../../../agent/engine/layout.ts';

test('epoll_event is packed on x64 and naturally aligned on arm64', () => {
  assert.deepEqual(layout.epollEventLayout('x64'), { size: 12, eventsOffset: 0, dataOffset: 4 });
  assert.deepEqual(layout.epollEventLayout('arm64'), { size: 16, eventsOffset: 0, dataOffset: 8 });
});

test('epoll_event agrees with what a C compiler would do, packed and not', () => {
  const fields = { events: 'uint32', data: 'uint64' };
  for (const [architecture, type] of [
    ['x64', koffi.pack(fields)],
    ['arm64', koffi.struct(fields)],
  ] as const) {
    const expected = layout.epollEventLayout(architecture);
    assert.equal(expected.size, koffi.sizeof(type), architecture);
    assert.equal(expected.dataOffset, koffi.offsetof(type, 'data'), architecture);
  }
});

// Both architectures are LP64 with natural alignment, so one computation stands for both.
test('the other structs agree with natural alignment on LP64', () => {
  const in4 = koffi.struct({
    family: 'uint16',
    port: 'uint16',
    address: koffi.array('uint8', 4),
    zero: koffi.array('uint8', 8),
  });
  assert.deepEqual(layout.sockaddrIn, {
    size: koffi.sizeof(in4),
    portOffset: koffi.offsetof(in4, 'port'),
    addressOffset: koffi.offsetof(in4, 'address'),
    addressSize: 4,
  });
  const in6 = koffi.struct({
    family: 'uint16',
    port: 'uint16',
    flow: 'uint32',
    address: koffi.array('uint8', 16),
    scope: 'uint32',
  });
  assert.deepEqual(layout.sockaddrIn6, {
    size: koffi.sizeof(in6),
    portOffset: koffi.offsetof(in6, 'port'),
    addressOffset: koffi.offsetof(in6, 'address'),
    addressSize: 16,
    scopeOffset: koffi.offsetof(in6, 'scope'),
  });
  const linger = koffi.struct({ on: 'int', seconds: 'int' });
  assert.deepEqual(layout.linger, {
    size: koffi.sizeof(linger),
    onOffset: 0,
    secondsOffset: koffi.offsetof(linger, 'seconds'),
  });
  const rlimit = koffi.struct({ soft: 'uint64', hard: 'uint64' });
  assert.deepEqual(layout.rlimit, {
    size: koffi.sizeof(rlimit),
    softOffset: 0,
    hardOffset: koffi.offsetof(rlimit, 'hard'),
  });
});

test('an architecture without a tested layout is refused by name', () => {
  assert.equal(layout.architectureOf('x64'), 'x64');
  assert.equal(layout.architectureOf('arm64'), 'arm64');
  assert.throws(() => layout.architectureOf('s390x'), /s390x/);
});
