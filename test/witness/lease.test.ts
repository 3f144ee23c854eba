import test from 'ava';
import * as fc from 'fast-check';
import {
	createLease,
	echoed,
	grantUntilMs,
	initialOrders,
	type LeaseState,
	ordered,
	outAtMs,
	renewed,
	takeAfterMs,
	verifiedMs,
	votedMs,
	voteAt,
} from '#src/witness/lease.ts';
import type { WitnessRecord } from '#src/ports-witness.ts';

const timing = { leaseMs: 5000, pauseLeadMs: 2000 };
const lease = createLease(timing, { ...initialOrders(true), confirmedRunId: 'run-1' });

const recordOf = (version: number): WitnessRecord => ({
	format: 1,
	pairId: 'pair',
	version,
	hosts: {},
	claim: null,
	claimVersion: 1,
	resources: {},
});
const granted = (runId: string, sentMs: number, version: number) => ({
	runId,
	sentMs,
	reply: { ok: true as const, record: recordOf(version) },
});

test('a vote lasts L from the sending of what was acknowledged, however late the answer came', (t) => {
	fc.assert(
		fc.property(fc.nat(100_000), fc.nat(20_000), (sentMs, lateMs) => {
			const voted = echoed(lease, sentMs);
			const { vote } = voteAt(voted, sentMs + lateMs);
			return vote === (lateMs < 3000 ? 'held' : lateMs < 5000 ? 'ending' : 'none');
		}),
	);
	t.pass();
});

test('votes only ever prolong each other, in whatever order they come', (t) => {
	const vote = fc.tuple(fc.boolean(), fc.nat(60_000));
	fc.assert(
		fc.property(fc.array(vote, { minLength: 1, maxLength: 20 }), (votes) => {
			let version = 0;
			const end = votes.reduce<LeaseState>((state, [echo, sentMs]) => {
				version += 1;
				return echo ? echoed(state, sentMs) : renewed(state, granted('run-1', sentMs, version));
			}, lease);
			return votedMs(end) === Math.max(...votes.map(([, sentMs]) => sentMs));
		}),
	);
	t.pass();
});

test('a renewal of a run that is not confirmed is no vote, also not after it was', (t) => {
	t.is(votedMs(renewed(lease, granted('run-2', 1000, 5))), null);
	const voted = renewed(lease, granted('run-1', 1000, 5));
	t.is(votedMs(voted), 1000);
	t.is(votedMs(ordered(voted, { ...voted.orders, confirmedRunId: null })), null);
});

test('a record whose version does not grow was restored and gives no vote', (t) => {
	const voted = renewed(lease, granted('run-1', 1000, 5));
	t.is(votedMs(renewed(voted, granted('run-1', 2000, 5))), 1000);
	t.is(votedMs(renewed(voted, granted('run-1', 2000, 4))), 1000);
	t.is(votedMs(renewed(voted, granted('run-1', 2000, 6))), 2000);
});

test('the watchdog is fed to the end of the vote, or a moment after all was seen paused, and no longer', (t) => {
	t.is(grantUntilMs(lease, 1000), null);
	t.is(grantUntilMs(echoed(lease, 1000), 1000), 6000);
	const paused = ordered(echoed(lease, 1000), { ...lease.orders, pausedMs: 5500 });
	t.is(grantUntilMs(paused, 9000), 5500 + verifiedMs);
	t.is(grantUntilMs(ordered(lease, { ...lease.orders, exempt: true }), 9000), 14_000);
});

/**
 * The slowest holder against the fastest taker: it sends the message that is acknowledged at once, runs
 * until L is over on its own clock, is fed for the last time then, and is reset T_wd and G later.
 */
test('a takeover by silence never comes before the reset, whichever term is moved', (t) => {
	const term = (min: number, max: number) => fc.integer({ min, max });
	fc.assert(
		fc.property(
			term(2000, 60_000),
			term(1000, 60_000),
			term(0, 5000),
			term(-5, 5),
			term(-5, 5),
			term(0, 800),
			term(0, 800),
			(leaseMs, watchdogMs, graceMs, holderPerMille, takerPerMille, readMs, heardMs) => {
				const holder = 1 + holderPerMille / 1000;
				const taker = 1 + takerPerMille / 1000;
				// True times; the vote was sent at 0, and was read and heard no earlier.
				const deadMs = (leaseMs + watchdogMs + graceMs) / holder;
				const silence = { readMs: readMs * taker, heardMs: heardMs * taker };
				const takeMs = takeAfterMs(leaseMs, watchdogMs, graceMs);
				return outAtMs(silence, takeMs) / taker >= deadMs - 1e-6;
			},
		),
	);
	t.pass();
});

test('without the allowance for drift, or with any term left out, it could come too early', (t) => {
	const [leaseMs, watchdogMs, graceMs] = [5000, 5000, 2000];
	const deadMs = (leaseMs + watchdogMs + graceMs) / 0.995;
	const takenMs = (takeMs: number) => takeMs / 1.005;
	t.true(takenMs(takeAfterMs(leaseMs, watchdogMs, graceMs)) >= deadMs);
	t.true(takenMs(leaseMs + watchdogMs + graceMs) < deadMs);
	t.true(takenMs(takeAfterMs(0, watchdogMs, graceMs)) < deadMs);
	t.true(takenMs(takeAfterMs(leaseMs, 0, graceMs)) < deadMs);
	t.true(takenMs(takeAfterMs(leaseMs, watchdogMs, 0)) < deadMs);
});

test('the later of both signs of life counts (V1)', (t) => {
	t.is(outAtMs({ readMs: 1000, heardMs: 9000 }, 12_200), 21_200);
	t.is(outAtMs({ readMs: 9000, heardMs: 1000 }, 12_200), 21_200);
});

test('a released lease grants the watchdog nothing, whatever votes there are (V17)', (t) => {
	const voted = echoed(lease, 1000);
	t.not(grantUntilMs(voted, 1100), null);
	const exempt = { ...initialOrders(true), confirmedRunId: 'run-1', exempt: true };
	t.is(grantUntilMs(ordered(voted, { ...exempt, released: true }), 1100), null);
	t.not(grantUntilMs(ordered(voted, exempt), 1100), null);
});
