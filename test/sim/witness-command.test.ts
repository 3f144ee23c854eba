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
	claimVersion: 8,
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

const renew = (host: string, expectedRenewals: number | null = null): WitnessCommand => ({
	op: 'renew',
	host,
	bootId: 'b',
	watchdogMs: 1,
	expectedRenewals: expectedRenewals ?? start.hosts[host]?.renewals ?? null,
});
const claim = {
	op: 'claim',
	host: 'right',
	claimVersion: 8,
	against: 'left',
	expectedRenewals: 3,
} as const;
const withdraw = (host: string, claimVersion = 11): WitnessCommand => ({
	op: 'withdraw',
	host,
	claimVersion,
});
const takeover = (change: object = {}): WitnessCommand => ({
	op: 'takeover',
	host: 'right',
	claimVersion: 11,
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
	claimVersion = 8,
): WitnessCommand => ({
	op: 'change',
	host,
	claimVersion,
	resource: 'web',
	expectedGeneration: 4,
	record: owned(6, owner, inSync),
});

test('every write makes the version grow, and no other command does', (t) => {
	t.is(after(start, renew('left')).version, 11);
	t.is(after(start, renew('left')).hosts['left']?.renewals, 4);
	t.is(after(start, { op: 'read', host: 'left' }).version, 10);
	t.is(after(after(start, claim), withdraw('left')).version, 11);
});

test('a host that is claimed may only read and release', (t) => {
	const claimed = after(start, claim);
	const against = { host: 'left', against: 'right', claimVersion: 11 };
	t.is(refusal(claimed, renew('left')), 'claimed');
	t.is(refusal(claimed, change('left', 'left', ['left'], 11)), 'claimed');
	t.is(refusal(claimed, { ...claim, ...against }), 'claimed');
	t.is(refusal(claimed, change('left', null, ['left'], 11)), 'claimed');
	t.is(refusal(claimed, change('left', null, ['left', 'right'], 11)), 'accepted');
	t.is(refusal(claimed, renew('right')), 'accepted');
});

test('a claim needs a peer that did not renew since it was read', (t) => {
	t.is(refusal(after(start, renew('left')), claim), 'renewed');
	t.is(refusal(after(start, claim), claim), 'changed');
	t.is(refusal(after(start, claim), { ...claim, claimVersion: 11 }), 'claimed');
});

test('a renewal names the number before it: an older one brings nothing back that a newer one took away', (t) => {
	const once = after(start, renew('left'));
	t.is(refusal(once, renew('left', 3)), 'renewed');
	t.is(after(once, renew('left', 4)).hosts['left']?.renewals, 5);
	t.is(refusal(start, renew('middle', 0)), 'renewed');
	t.is(after(start, renew('middle')).hosts['middle']?.renewals, 1);
});

test('what was decided under one claim, or under none, is refused under any other', (t) => {
	const claimed = after(start, claim);
	const ended = after(claimed, withdraw('right'));
	const again = after(ended, { ...claim, claimVersion: 12 });
	const release = change('left', null, ['left', 'right'], 11);
	for (const later of [ended, again]) {
		t.is(refusal(later, takeover()), 'changed');
		t.is(refusal(later, release), 'changed');
		t.is(refusal(later, claim), 'changed');
		t.is(refusal(later, withdraw('right')), 'changed');
	}
	t.is(refusal(claimed, change('right', 'left')), 'changed');
	t.is(refusal(again, takeover({ claimVersion: 13 })), 'accepted');
});

test('after a withdrawal no claim lands that was under way before it', (t) => {
	const barred = after(start, withdraw('right', 8));
	t.is(barred.claimVersion, 11);
	t.is(refusal(barred, claim), 'changed');
});

test('a takeover needs the claim, the generation, the silence and a copy in sync (V4)', (t) => {
	const claimed = after(start, claim);
	t.is(refusal(start, takeover()), 'changed');
	t.is(refusal(claimed, takeover()), 'accepted');
	t.is(refusal(claimed, takeover({ expectedGeneration: 3 })), 'generation');
	t.is(refusal(claimed, takeover({ expectedRenewals: 2 })), 'renewed');
	t.is(refusal(claimed, takeover({ expectedRenewals: null })), 'accepted');
	const excluded = after(after(start, change('left', 'left')), claim);
	const late = { expectedGeneration: 6, claimVersion: 12 };
	t.is(refusal(excluded, takeover(late)), 'not-in-sync');
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
	t.is(refusal(after(claimed, withdraw('right')), silent), 'changed');
	t.is(refusal(start, { ...silent, claimVersion: 8 }), 'changed');
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
});
