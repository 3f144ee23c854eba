import test from 'ava';
import type { WitnessCommand, WitnessRecord } from '#src/ports-witness.ts';
import { applyCommand } from '#src/sim/witness-command.ts';

const owned = (generation: number, owner: string | null, inSync: string[]) => ({
	generation,
	owner,
	inSync,
	uuids: null,
	wanted: 'running' as const,
	journal: null,
});

const start: WitnessRecord = {
	format: 1,
	pairId: 'pair',
	version: 10,
	hosts: {
		left: { renewals: 3, bootId: 'left-boot', watchdogMs: 5000 },
		right: { renewals: 7, bootId: 'right-boot', watchdogMs: 5000 },
	},
	claim: null,
	resources: { web: owned(4, 'left', ['left', 'right']) },
};

const apply = (record: WitnessRecord | null, command: WitnessCommand) =>
	applyCommand(record, 'pair', command);
const refusal = (record: WitnessRecord | null, command: WitnessCommand): string => {
	const applied = apply(record, command);
	if (applied.reply.ok) return 'accepted';
	// A refusal never changes anything.
	return applied.record === record ? applied.reply.refused : 'changed although refused';
};
const after = (record: WitnessRecord, command: WitnessCommand): WitnessRecord => {
	const applied = apply(record, command);
	if (applied.record === null || !applied.reply.ok) throw new Error('was refused');
	return applied.record;
};

const renew = (host: string): WitnessCommand => ({ op: 'renew', host, bootId: 'b', watchdogMs: 1 });
const claim: WitnessCommand = { op: 'claim', host: 'right', against: 'left', expectedRenewals: 3 };
const takeover = (change: object = {}): WitnessCommand => ({
	op: 'takeover',
	host: 'right',
	resource: 'web',
	expectedGeneration: 4,
	expectedRenewals: 3,
	record: owned(1004, 'right', ['right']),
	...change,
});
const change = (
	host: string,
	owner: string | null,
	inSync: string[] = ['left'],
): WitnessCommand => ({
	op: 'change',
	host,
	resource: 'web',
	expectedGeneration: 4,
	record: owned(6, owner, inSync),
});

test('every write makes the version grow, and no other command does', (t) => {
	t.is(after(start, renew('left')).version, 11);
	t.is(after(start, renew('left')).hosts['left']?.renewals, 4);
	t.is(after(start, { op: 'read', host: 'left' }).version, 10);
	t.is(after(start, { op: 'withdraw', host: 'left' }).version, 10);
});

test('a host that is claimed may only read and release', (t) => {
	const claimed = after(start, claim);
	t.is(refusal(claimed, renew('left')), 'claimed');
	t.is(refusal(claimed, change('left', 'left')), 'claimed');
	t.is(refusal(claimed, { ...claim, host: 'left', against: 'right' }), 'claimed');
	t.is(refusal(claimed, change('left', null)), 'claimed');
	t.is(refusal(claimed, change('left', null, ['left', 'right'])), 'accepted');
	t.is(refusal(claimed, renew('right')), 'accepted');
});

test('a claim needs a peer that did not renew since it was read', (t) => {
	t.is(refusal(after(start, renew('left')), claim), 'renewed');
	t.is(refusal(after(start, claim), claim), 'accepted');
});

test('a takeover needs the claim, the generation, the silence and a copy in sync (V4)', (t) => {
	const claimed = after(start, claim);
	t.is(refusal(start, takeover()), 'changed');
	t.is(refusal(claimed, takeover()), 'accepted');
	t.is(refusal(claimed, takeover({ expectedGeneration: 3 })), 'generation');
	t.is(refusal(claimed, takeover({ expectedRenewals: 2 })), 'renewed');
	t.is(refusal(claimed, takeover({ expectedRenewals: null })), 'accepted');
	const excluded = after(after(start, change('left', 'left')), claim);
	t.is(refusal(excluded, takeover({ expectedGeneration: 6 })), 'not-in-sync');
});

test('the claim of a silent host is voided, a renewed or newer one is not (L3)', (t) => {
	const claimed = after(start, claim);
	const silent: WitnessCommand = {
		op: 'void-claim',
		host: 'left',
		claimVersion: 11,
		expectedRenewals: 7,
	};
	t.is(after(claimed, silent).claim, null);
	t.is(refusal(after(claimed, renew('right')), silent), 'renewed');
	t.is(refusal(claimed, { ...silent, claimVersion: 9 }), 'changed');
	t.is(refusal(after(claimed, { op: 'withdraw', host: 'right' }), silent), 'changed');
});

test('a missing key grants nothing but a seed, and another pair’s key nothing at all', (t) => {
	const seed: WitnessCommand = { op: 'seed', host: 'left', expectedVersion: null, record: start };
	t.is(refusal(null, renew('left')), 'absent');
	t.is(refusal(null, seed), 'accepted');
	t.is(refusal(start, seed), 'changed');
	t.is(refusal(start, { ...seed, expectedVersion: 10 }), 'changed');
	const higher = { ...start, version: 11 };
	t.is(refusal(start, { ...seed, expectedVersion: 10, record: higher }), 'accepted');
	t.is(refusal({ ...start, pairId: 'other' }, renew('left')), 'other-pair');
});

test('a command repeated after an unknown end changes nothing twice', (t) => {
	const once = after(start, change('left', 'left'));
	t.is(refusal(once, change('left', 'left')), 'generation');
	t.is(after(after(start, claim), claim).claim?.version, 11);
});
