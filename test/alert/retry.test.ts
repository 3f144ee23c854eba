import test from 'ava';
import fc from 'fast-check';
import { afterAttempt, attemptOf, restOfWaitMs, retryWaitMs } from '#src/alert/retry.ts';
import type { Tries } from '#src/alert/retry.ts';

test('only 2xx is delivered, a redirect is a failure', (t) => {
	for (const status of [200, 202, 204]) t.is(attemptOf(status, null).result, 'delivered');
	for (const status of [301, 302, 307, 401, 403, 404, 408, 410, 429, 500, 502, 503])
		t.is(attemptOf(status, null).result, 'failed', String(status));
	for (const status of [400, 413, 422]) t.is(attemptOf(status, null).result, 'refused');
});

test('however long a receiver was away within the hour, it is tried within 30 s of its return', (t) => {
	const awayMs = fc.integer({ min: 1, max: 3_500_000 });
	// An attempt that hangs ends by its limit, 15 s unless it is set otherwise.
	const tookMs = fc.integer({ min: 0, max: 15_000 });
	const chances = fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), tookMs), {
		minLength: 10,
		maxLength: 50,
	});
	fc.assert(
		fc.property(awayMs, chances, (endMs, list) => {
			let beganMs = 0;
			let before = 0;
			for (let failures = 1; beganMs < endMs; failures += 1) {
				const [random, took] = list[failures % list.length] ?? [0, 0];
				before = beganMs;
				const waitMs = retryWaitMs(failures, beganMs + took, null, random);
				beganMs += took + restOfWaitMs(waitMs, took, 0);
			}
			t.true(beganMs - before <= 25_000, `${beganMs - before} ms between two attempts`);
			t.true(beganMs - endMs < 30_000);
		}),
	);
	t.is(Math.round(retryWaitMs(200, 7_200_000, null, 1)), 300_000, 'an old one is tried less often');
});

test('what an attempt took counts as waited, but never so that the next one comes at once', (t) => {
	t.is(restOfWaitMs(25_000, 15_000, 0), 10_000);
	t.is(restOfWaitMs(25_000, 60_000, 0), 1000);
	t.is(restOfWaitMs(800, 15_000, 0), 800);
	t.is(
		restOfWaitMs(60_000, 15_000, 60_000),
		60_000,
		'what a receiver asks for begins with its answer',
	);
});

test('a receiver may ask for a longer wait within reason, never for a shorter one', (t) => {
	t.is(retryWaitMs(1, 0, 60_000, 0), 60_000);
	t.is(retryWaitMs(1, 0, 86_400_000, 0), 900_000);
	t.is(retryWaitMs(4, 0, 1, 1), 10_000);
});

test('waits are never negative, never endless and never in step', (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 1, max: 1000 }),
			fc.integer({ min: 0, max: 90_000_000 }),
			fc.double({ min: 0, max: 0.999, noNaN: true }),
			(failures, ageMs, random) => {
				const waitMs = retryWaitMs(failures, ageMs, null, random);
				t.true(waitMs >= 800 && waitMs <= 300_000);
			},
		),
	);
	t.not(retryWaitMs(5, 0, null, 0), retryWaitMs(5, 0, null, 0.5));
});

test('a message that is refused three times is given up, other failures count for a day', (t) => {
	let tries: Tries = { failures: 0, refusals: 0 };
	const ends: (string | null)[] = [];
	for (let count = 0; count < 3; count += 1) {
		const after = afterAttempt(tries, { result: 'refused', detail: 'no' }, 0, 0);
		tries = after.tries;
		ends.push(after.end);
	}
	t.deepEqual(ends, [null, null, 'refused']);
	t.is(tries.refusals, 0, 'the next message starts anew');
	const failed = { result: 'failed', detail: 'away', retryAfterMs: null } as const;
	t.is(afterAttempt(tries, failed, 86_399_000, 0).end, null);
	t.is(afterAttempt(tries, failed, 86_401_000, 0).end, 'expired');
	t.deepEqual(afterAttempt(tries, { result: 'delivered' }, 0, 0).tries, {
		failures: 0,
		refusals: 0,
	});
});
