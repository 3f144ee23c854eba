import { spawnSync } from 'node:child_process';
import test from 'ava';

/** Words for `unshare`: a namespace of its own for what a test does to disks or to packets; root is not needed. */
export const apart = (kind: '--mount' | '--net'): readonly string[] => [
	kind,
	...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
];

/** A test that needs such a namespace; it is skipped where none can be made, as in most containers. */
export const testApart = (kind: '--mount' | '--net') =>
	spawnSync('unshare', [...apart(kind), 'true']).status === 0 ? test : test.skip;
