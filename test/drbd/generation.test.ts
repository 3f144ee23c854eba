import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { parseGeneration } from '#src/drbd/generation.ts';

const tail = '86652B45D1EAEF41:D9B879A534856FBE:D9B779A534856FBE';

test('the role bit of the current UUID is masked and the peer-outdated flag read', (t) => {
	t.deepEqual(parseGeneration(`C6D9AA883AA33F83:${tail}:1:1:1:0:0:1:0\n`, 0), {
		volume: 0,
		uuid: 'C6D9AA883AA33F82',
		alone: true,
		connected: false,
		peerOutdated: true,
	});
	t.deepEqual(parseGeneration(`0000AA883AA33F82:${tail}:1:1:0:1:0:0:0\n`, 3), {
		volume: 3,
		uuid: '0000AA883AA33F82',
		alone: true,
		connected: true,
		peerOutdated: false,
	});
});

test('DRBD 9 has the flags of the peer in another place', (t) => {
	t.true(parseGeneration(`C6D9AA883AA33F83:${tail}:1:1:1:0:0:0:0:1:0:0:0:0`, 0)?.connected);
	t.false(parseGeneration(`C6D9AA883AA33F83:${tail}:1:1:1:1:1:1:1:0:1:1:1:1`, 0)?.connected);
	t.true(parseGeneration(`C6D9AA883AA33F83:${tail}:1:1:1:0:0:0:0:0:1:0:0:0`, 0)?.peerOutdated);
	t.false(parseGeneration(`C6D9AA883AA33F83:${tail}:1:1:1:1:1:1:1:1:0:1:1:1`, 0)?.peerOutdated);
});

test('the tuple is found inside of the long form', (t) => {
	const text = readFileSync(new URL('../fixture/drbd/show-gi-84.txt', import.meta.url), 'utf8');
	t.deepEqual(parseGeneration(text, 0), {
		volume: 0,
		uuid: '0000000000000004',
		alone: false,
		connected: true,
		peerOutdated: true,
	});
});

test('anything else is no generation', (t) => {
	const tuple = `C6D9AA883AA33F83:${tail}:1:1:1:0:0:1:0`;
	for (const text of [
		'',
		'Device has no disk\n',
		`${tuple}\n${tuple}\n`,
		`${tuple}:1`,
		tuple.slice(0, -2),
		tuple.replace('C6', 'c6'),
		tuple.replace(':1:1:1', ':1:2:1'),
		tuple.slice(1),
	]) {
		t.is(parseGeneration(text, 0), null, text);
	}
});

test('two readings of one generation are equal whatever the role', (t) => {
	fc.assert(
		fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (current) => {
			const text = (value: bigint): string =>
				`${value.toString(16).toUpperCase().padStart(16, '0')}:${tail}:1:1:1:0:0:1:0`;
			t.is(parseGeneration(text(current), 0)?.uuid, parseGeneration(text(current ^ 1n), 0)?.uuid);
		}),
		{ numRuns: 100 },
	);
});
