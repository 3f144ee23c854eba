import test from 'ava';
import { kinship, parseEvidence, parseOutOfSync } from '#src/drbd/generation.ts';
import type { VolumeEvidence } from '#src/ports.ts';

const none = '0000000000000000';
/** As `drbdadm create-md` leaves it. */
const fresh = '0000000000000004';
const volume = (
	current: string,
	bitmap: string | null = null,
	history: string[] = [],
	index = 0,
): VolumeEvidence => ({ volume: index, current, bitmap, history, outOfSyncKib: null });

test('the generations of a volume are read with the role bit masked and zeros as none', (t) => {
	const line = `C6D9AA883AA33F83:86652B45D1EAEF41:${none}:D9B779A534856FBF:1:1:1:0:0:1:0`;
	t.deepEqual(parseEvidence(`${line}\n`, 2, 12), {
		volume: 2,
		current: 'C6D9AA883AA33F82',
		bitmap: '86652B45D1EAEF40',
		history: ['D9B779A534856FBE'],
		outOfSyncKib: 12,
	});
	t.is(parseEvidence(`A:${none}`, 0, null), null);
	t.is(parseEvidence(`${line}\n${line}\n`, 0, null), null);
});

test('what is out of sync is read of the right minor, and not guessed', (t) => {
	const text = [
		'version: 8.4.11 (api:1/proto:86-101)',
		' 0: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----',
		'    ns:0 nr:4096 dw:4096 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0',
		'10: cs:StandAlone ro:Primary/Unknown ds:UpToDate/Outdated   r-----',
		'    ns:0 nr:0 dw:40 dr:4 al:9 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:65496',
		' 1: cs:Unconfigured',
	].join('\n');
	t.is(parseOutOfSync(text, 0), 0);
	t.is(parseOutOfSync(text, 10), 65_496);
	t.is(parseOutOfSync(text, 1), null);
	t.is(parseOutOfSync(text, 7), null);
	t.is(parseOutOfSync('version: 9.2.4', 0), null);
});

test('two copies are compared as DRBD compares them', (t) => {
	for (const [mine, theirs, kin] of [
		[volume('A'), volume('A'), 'equal'],
		[volume('A'), volume('B', 'A'), 'older'],
		[volume('B', 'A'), volume('A'), 'newer'],
		[volume('B', 'A'), volume('C', 'A'), 'split-brain'],
		[volume('A'), volume('C', 'B', ['A']), 'older'],
		[volume('C', 'B', ['A']), volume('A'), 'newer'],
		[volume('A'), volume('B'), 'unrelated'],
		[volume(fresh), volume('A', 'B'), 'older'],
		[volume('A', 'B'), volume(fresh), 'newer'],
		[volume(fresh), volume(fresh), 'equal'],
	] as const) {
		t.is(kinship([mine], [theirs]), kin);
	}
});

test('volumes that point in different directions are a split brain', (t) => {
	const mine = [volume('B', 'A'), volume('A', null, [], 1)];
	const theirs = [volume('A'), volume('B', 'A', [], 1)];
	t.is(kinship(mine, theirs), 'split-brain');
	t.is(kinship(mine, [volume('A'), volume('A', null, [], 1)]), 'newer');
	t.is(kinship(mine, [volume('A')]), null);
	t.is(kinship([], []), null);
});
