import { parentPort } from 'node:worker_threads';
import { playSlice, type Slice } from '#src/sim/slice.ts';
import { assert } from '#src/std/assert.ts';

/** A thread that plays one slice of seeds after the other; `simulate-jobs.ts` hands them out. */
const port = parentPort;
assert(port !== null, 'this file is started as a thread');
port.on('message', (slice: Slice) => port.postMessage(playSlice(slice)));
