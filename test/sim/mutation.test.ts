import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import type { Mutation } from '#src/sim/mutation.ts';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';
import { runSeed } from '#src/sim/swarm.ts';

/** A checker that never fires proves nothing: each must catch a bug that was planted for it. */
const seedsMax = 300;

const caught = (
	mutation: Mutation,
	checker: string,
	swarmClass: SwarmClass = 'honest',
	first = 2000,
): number | null => {
	for (let seed = first; seed < first + seedsMax; seed += 1) {
		const { violations } = runSeed(seed, { mutation, swarmClass });
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
test(catches, 'unpaused-by-xl', 'migration', 'migration');
test(catches, 'two-primaries-stay', 'migration', 'migration');
test(catches, 'both-stay-primary', 'migration', 'migration');

const catchesWithWitness = test.macro<[Mutation, string]>({
	exec: (t, mutation, checker) => {
		t.not(caught(mutation, checker, 'witness'), null);
	},
	title: (_, mutation, checker) =>
		`with a witness the checker of ${checker} catches the planted bug ${mutation}`,
});

test(catchesWithWitness, 'beats-forgotten', 'P3');
test(catchesWithWitness, 'taken-early', 'P3');
test(catchesWithWitness, 'exclusion-reused', 'I5');
test(catchesWithWitness, 'pause-shown', 'I6');
test(catchesWithWitness, 'fed-for-ever', 'I6');

/**
 * Faults that are made to meet, from shortly before the first seed that does it. The mark is the break of the
 * protocol's first wording (docs/breaks.md).
 */
const catchesNarrow = test.macro<[Mutation, string, string, number]>({
	exec: (t, mutation, checker, _mark, first) => {
		t.not(caught(mutation, checker, 'narrow', first), null);
	},
	title: (_, mutation, checker, mark) =>
		`${mark}: in a narrow window the checker of ${checker} catches the planted bug ${mutation}`,
});

test(catchesNarrow, 'echo-while-claiming', 'P3', 'V2', 105);
test(catchesNarrow, 'script-unchecked', 'P3', 'V4', 38);
test(catchesNarrow, 'claim-unnamed', 'P3', 'V2', 108);
test(catchesNarrow, 'run-unseen', 'no-loss', 'V6', 1);
test(catchesNarrow, 'arbiter-forgotten', 'claim', 'V10', 5);
test(catchesNarrow, 'disarmed-at-once', 'P3', 'V17', 1);

/** The rule's own story fails when the rule is off. */
const storyNeedsRule = test.macro<[string, Mutation]>({
	exec: (t, name, mutation) => {
		const document: unknown = parse(readFileSync(`test/scenario/${name}/scenario.yaml`, 'utf8'));
		const { failures, violations } = runScenario(parseScenario(document), { mutation });
		t.true(failures.length + violations.length > 0);
	},
	title: (_, name, mutation) => `the story of ${name} ends badly under the planted bug ${mutation}`,
});

test(storyNeedsRule, 'v02-no-echo-under-claim', 'echo-while-claiming');
test(storyNeedsRule, 'v02-takeover-of-an-earlier-claim', 'claim-unnamed');
test(storyNeedsRule, 'v21-release-of-an-earlier-claim', 'claim-unnamed');
test(storyNeedsRule, 'v04-claimed-host-may-not-exclude', 'script-unchecked');
test(storyNeedsRule, 'v06-witness-restored-data', 'run-unseen');
test(storyNeedsRule, 'v06-witness-restored-owner', 'run-unseen');
test(storyNeedsRule, 'v21-release-by-witness', 'script-unchecked');
test(storyNeedsRule, 'l03-claim-of-a-dead-host', 'claim-for-ever');
