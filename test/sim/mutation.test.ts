import test from 'ava';
import type { SwarmClass } from '#src/sim/swarm-world.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { runSeed } from '#src/sim/swarm.ts';

/** A checker that never fires proves nothing: each must catch a bug that was planted for it. */
const seedsMax = 300;

const caught = (mutation: Mutation, checker: string, swarmClass?: SwarmClass): number | null => {
	for (let seed = 2000; seed < 2000 + seedsMax; seed += 1) {
		const { violations } = runSeed(seed, {
			mutation,
			...(swarmClass === undefined ? {} : { swarmClass }),
		});
		if (violations.some((violation) => violation.checker === checker)) return seed;
	}
	return null;
};

const catches = test.macro<[Mutation, string, SwarmClass?]>({
	exec: (t, mutation, checker, swarmClass) => {
		t.not(caught(mutation, checker, swarmClass), null);
	},
	title: (_, mutation, checker) => `the checker of ${checker} catches the planted bug ${mutation}`,
});

test(catches, 'xendomains', 'I1');
test(catches, 'silence-is-off', 'I2');
test(catches, 'no-freeze', 'I3');
test(catches, 'outdate-not-done', 'I3');
test(catches, 'xendomains', 'I4');
test(catches, 'persist-skipped', 'I5');
test(catches, 'resume-before-detach', 'I3', 'mistaken');
test(catches, 'reconnect-discards', 'I8', 'mistaken');
test(catches, 'handler-always-fenced', 'I5');
test(catches, 'handler-guesses', 'I7');
test(catches, 'resync-backwards', 'I8');
test(catches, 'any-device', 'I2');
test(catches, 'fence-both', 'I9');
test(catches, 'fence-again', 'I9');
test(catches, 'idle-and-mute', 'I10');
test(catches, 'idle', 'liveness');
test(catches, 'writes-not-mirrored', 'no-loss');
test(catches, 'writes-not-mirrored', 'silent-divergence');
