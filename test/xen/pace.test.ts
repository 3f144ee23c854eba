import test from 'ava';
import fc from 'fast-check';
import { heldBackMs } from '#src/migrate/saga.ts';
import { verifiedMs } from '#src/witness/lease.ts';
import { pauseAfter } from '#src/xen/pace.ts';
import { defaultTiming } from '#src/xen/timing.ts';

const { closeMs, pollMs, listMs } = defaultTiming;
const usual = { closely: false, migrates: false };
const migrating = { closely: false, migrates: true };

test('without a reason for haste the pause is the usual one, however long a look takes', (t) => {
	t.is(pauseAfter(20, usual, defaultTiming), pollMs);
	t.is(pauseAfter(3000, usual, defaultTiming), pollMs);
});

test('on a fast host a migration is looked at each second, as if pauses were verified', (t) => {
	for (const tookMs of [0, 20, 100, 333]) {
		t.is(tookMs + pauseAfter(tookMs, migrating, defaultTiming), closeMs);
	}
});

test('on a slow host the looks at a migration leave two thirds of the time to it', (t) => {
	t.is(pauseAfter(500, migrating, defaultTiming), 1000);
	t.is(pauseAfter(1700, migrating, defaultTiming), 3400);
});

test('a look that verifies pauses follows the last one closely, also while a VM moves', (t) => {
	for (const migrates of [false, true]) {
		t.is(pauseAfter(400, { closely: true, migrates }, defaultTiming), closeMs - 400);
		t.is(pauseAfter(1700, { closely: true, migrates }, defaultTiming), 0);
	}
	// A vote's end asks for looks that are younger than this.
	t.true(closeMs < verifiedMs);
});

test('a pause lies between the rest of a second and the usual pause, and grows with the look', (t) => {
	const took = fc.integer({ min: 0, max: 60_000 });
	const rule = fc.property(took, took, fc.boolean(), (one, other, closely) => {
		const haste = { closely, migrates: true };
		const pauseMs = pauseAfter(one, haste, defaultTiming);
		if (pauseMs < closeMs - one || pauseMs > pollMs) return false;
		// Of two looks the one that began no later is followed no later.
		const [less, more] = [Math.min(one, other), Math.max(one, other)];
		return (
			less + pauseAfter(less, haste, defaultTiming) <= more + pauseAfter(more, haste, defaultTiming)
		);
	});
	t.notThrows(() => fc.assert(rule));
	// What a migration waits for of the other host's looks is made for looks that are so far apart.
	t.true(pollMs + listMs <= heldBackMs);
});
