import test from 'ava';
import fc from 'fast-check';
import { noDeadline, resetDelayMs, takeGrant, turn } from '#src/watchdog/deadline.ts';

const maxMs = 7000;
/** With a board of 5 s, 1.5 s before it fires. */
const delayMs = 3500;

test('without a grant a board is neither fed nor missed', (t) => {
	t.like(turn(noDeadline, delayMs, 1e9), { feed: false, missedNow: false, reset: false });
});

test('it is fed before the deadline and never at or after it', (t) => {
	const granted = takeGrant(noDeadline, { untilMs: 1000, maxMs }, 0);
	t.not(granted, null);
	if (granted === null) return;
	t.true(turn(granted, delayMs, 999.999).feed);
	const missed = turn(granted, delayMs, 1000);
	t.like(missed, { feed: false, missedNow: true, reset: false });
	// It is told once.
	t.false(turn(missed.deadline, delayMs, 1001).missedNow);
});

test('the kernel is told shortly before the board fires, and never sooner than a second after the deadline', (t) => {
	t.is(resetDelayMs(5000), delayMs);
	t.is(resetDelayMs(10_000), 8500);
	t.is(resetDelayMs(2000), 1000);
	t.is(resetDelayMs(null), 1000);
});

test('an agent that was away for three seconds beyond its grant is in time, whatever the kernel is told', (t) => {
	const granted = takeGrant(noDeadline, { untilMs: 1000, maxMs }, 0) ?? noDeadline;
	let { deadline } = turn(granted, resetDelayMs(5000), 1000);
	for (let nowMs = 1250; nowMs <= 4000; nowMs += 250) {
		const next = turn(deadline, resetDelayMs(5000), nowMs);
		t.false(next.reset, `at ${nowMs}`);
		({ deadline } = next);
	}
	t.like(takeGrant(deadline, { untilMs: 9000, maxMs }, 4000), { untilMs: 9000, missed: false });
});

test('the kernel is told once, and only where it is wanted', (t) => {
	const granted = takeGrant(noDeadline, { untilMs: 1000, maxMs }, 0) ?? noDeadline;
	const missed = turn(granted, delayMs, 1000).deadline;
	t.false(turn(missed, delayMs, 1000 + delayMs - 1).reset);
	const told = turn(missed, delayMs, 1000 + delayMs);
	t.true(told.reset);
	t.false(turn(told.deadline, delayMs, 5000).reset);
	t.false(turn(missed, null, 5000).reset);
});

test('a grant that is over, or reaches further than a vote, is refused; a late one is taken', (t) => {
	const refused = (untilMs: number, nowMs: number): boolean =>
		takeGrant(noDeadline, { untilMs, maxMs }, nowMs) === null;
	t.true(refused(1000, 1000));
	t.true(refused(1000 + maxMs + 1, 1000));
	t.false(refused(1000 + maxMs, 1000));
	const missed = turn({ ...noDeadline, untilMs: 1000 }, null, 1500).deadline;
	const late = takeGrant(missed, { untilMs: 3000, maxMs }, 1600);
	t.like(late, { untilMs: 3000, missed: false });
	t.true(late !== null && turn(late, null, 1700).feed);
	// The last grant counts, also when it is shorter: a vote may have been lost.
	t.is(takeGrant(late ?? noDeadline, { untilMs: 2000, maxMs }, 1700)?.untilMs, 2000);
	// Once the kernel was told there is no way back.
	t.is(takeGrant({ untilMs: 1, missed: true, resetCalled: true }, { untilMs: 9, maxMs }, 2), null);
});

test('whatever is granted and whenever it is looked at, nothing is fed beyond the last grant', (t) => {
	const step = fc.record({
		afterMs: fc.nat(4000),
		grantMs: fc.option(fc.integer({ min: -3000, max: 9000 })),
	});
	fc.assert(
		fc.property(
			fc.array(step, { maxLength: 60 }),
			fc.constantFrom(null, delayMs),
			(steps, wanted) => {
				let nowMs = 0;
				let deadline = noDeadline;
				let lastMs = Number.NEGATIVE_INFINITY;
				for (const { afterMs, grantMs } of steps) {
					nowMs += afterMs;
					if (grantMs !== null) {
						const taken = takeGrant(deadline, { untilMs: nowMs + grantMs, maxMs }, nowMs);
						if (taken !== null) lastMs = nowMs + grantMs;
						deadline = taken ?? deadline;
					}
					const next = turn(deadline, wanted, nowMs);
					if (next.feed && nowMs >= lastMs)
						throw new Error(`fed at ${nowMs}, granted to ${lastMs}`);
					if (next.reset && nowMs < lastMs + delayMs) throw new Error('reset too early');
					deadline = next.deadline;
				}
			},
		),
	);
	t.pass();
});
