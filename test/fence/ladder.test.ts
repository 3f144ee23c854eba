import test from 'ava';
import fc from 'fast-check';
import {
	attemptsMax,
	type FenceLevel,
	type Ladder,
	latestInTurnMs,
	type LevelTries,
	nextLevel,
	retryPauseMs,
	triesAt,
	turnMs,
	withTries,
} from '#src/fence/ladder.ts';

const anyLevel: fc.Arbitrary<FenceLevel> = fc.record({
	devices: fc.constant(['device']),
	attempts: fc.integer({ min: 1, max: 10 }),
	callMs: fc.integer({ min: 100, max: 300_000 }),
	lateMs: fc.integer({ min: 0, max: 3_600_000 }),
});
const anyLadder: fc.Arbitrary<Ladder> = fc.array(anyLevel, { minLength: 1, maxLength: 8 });
const anyDetection = fc.integer({ min: 1000, max: 60_000 });

test('an off through any level of either host has landed, or never will, before the next turn (V12)', (t) => {
	fc.assert(
		fc.property(anyLadder, anyLadder, anyDetection, (one, other, detectionMs) => {
			const lengthMs = turnMs([one, other], detectionMs);
			t.is(lengthMs, turnMs([other, one], detectionMs), 'both hosts reckon with the same turns');
			for (const level of [...one, ...other]) {
				const sentMs = latestInTurnMs(level, lengthMs, detectionMs);
				const skewMs = 3 * detectionMs;
				t.true(sentMs + level.callMs + level.lateMs + skewMs <= lengthMs);
			}
		}),
	);
});

test('a turn holds every attempt of every level, also after a detection that was stretched', (t) => {
	fc.assert(
		fc.property(anyLadder, anyLadder, anyDetection, (one, other, detectionMs) => {
			const lengthMs = turnMs([one, other], detectionMs);
			let nowMs = 3 * detectionMs;
			for (const level of one) {
				for (let attempt = 1; attempt <= level.attempts; attempt += 1) {
					t.true(nowMs <= latestInTurnMs(level, lengthMs, detectionMs), `attempt ${attempt}`);
					nowMs += 2 * level.callMs + retryPauseMs;
				}
			}
		}),
	);
});

test('the turn of one level is the one of the protocol', (t) => {
	const level = { devices: ['bmc'], attempts: 3, callMs: 10_000, lateMs: 30_000 };
	t.is(turnMs([[level], [level]], 3000), 3 * 21_000 + 30_000 + 18_000);
	const slow = { ...level, attempts: 1, callMs: 60_000, lateMs: 90_000 };
	t.is(turnMs([[level], [level, slow]], 3000), 3 * 21_000 + 121_000 + 90_000 + 18_000);
});

/** Tries every attempt the ladder allows; `obeys`: what becomes of a command to this level. */
const climb = (
	ladder: Ladder,
	answers: readonly boolean[],
	obeys: (level: number) => 'sent' | 'refused' = () => 'sent',
): readonly number[] => {
	let tries: readonly LevelTries[] = [];
	const way: number[] = [];
	for (let step = 0; step < 500; step += 1) {
		const level = nextLevel(ladder, tries, answers);
		if (level === null) return way;
		way.push(level);
		const before = triesAt(tries, level);
		const key = obeys(level);
		tries = withTries(tries, level, { ...before, [key]: before[key] + 1 });
	}
	return way;
};

const ladderOf = (...attempts: readonly number[]): Ladder =>
	attempts.map((each) => ({ devices: ['d'], attempts: each, callMs: 1000, lateMs: 0 }));

test('levels that answer are tried in order until their attempts are used up, silent ones at the end', (t) => {
	t.deepEqual(climb(ladderOf(2, 1), [true, true]), [0, 0, 1]);
	t.deepEqual(climb(ladderOf(2, 1), [false, true]), [1, 0, 0]);
	t.deepEqual(climb(ladderOf(1, 2, 1), [false, true, false]), [1, 1, 0, 2]);
	t.deepEqual(climb(ladderOf(2), [false]), [0, 0], 'one silent level is tried all the same');
	t.deepEqual(climb(ladderOf(2, 1), []), [0, 0, 1], 'nothing was read yet');
});

test('a level that takes no command holds the next one up for as many tries as it has attempts', (t) => {
	const way = climb(ladderOf(2, 1), [true, true], (level) => (level === 0 ? 'refused' : 'sent'));
	t.deepEqual(way.slice(0, 4), [0, 0, 1, 0]);
});

test('whatever answers, every attempt of the budget is used once and no more', (t) => {
	fc.assert(
		fc.property(anyLadder, fc.array(fc.boolean(), { maxLength: 8 }), (ladder, answers) => {
			const way = climb(ladder, answers);
			t.is(way.length, attemptsMax(ladder));
			ladder.forEach(({ attempts }, index) =>
				t.is(way.filter((level) => level === index).length, attempts),
			);
		}),
	);
});
