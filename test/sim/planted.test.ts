import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { parseScenario } from '#src/sim/scenario.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';
import { planted } from '#test/sim/_plant.ts';
import { plantedRules } from '#test/sim/_planted-rules.ts';

/**
 * Every rule that was written because of a break of the protocol's first wording, switched off in the engine itself:
 * the random search finds the bug, or its story does (docs/breaks.md says which).
 */
const seedsMax = 400;

/**
 * From shortly before the first seed that finds it, or this would take minutes. A change of the engine or of the faults
 * moves it: then the search goes on for as long as `seedsMax`.
 */
const found = test.macro<[string, string, SwarmClass, number?]>({
	exec: async (t, name, checker, swarmClass, first = 1) => {
		const { runSeed } = await planted(name);
		for (let seed = first; seed < first + seedsMax; seed += 1) {
			const { violations } = runSeed(seed, { swarmClass });
			if (!violations.some((violation) => violation.checker === checker)) continue;
			t.log(`seed ${seed}`);
			t.pass();
			return;
		}
		t.fail(`not within ${seedsMax} seeds`);
	},
	title: (_, name, checker, swarmClass) =>
		`${plantedRules[name]?.brings}: the search of class ${swarmClass} finds ${name} by ${checker}`,
});

test.serial(found, 'unpaused-on-an-old-record', 'I1', 'narrow', 38);
test.serial(found, 'joined-at-once', 'no-loss', 'ladder', 6);
test.serial(found, 'metadata-not-asked', 'no-loss', 'ladder', 28);
test.serial(found, 'arbiter-in-one-round', 'claim', 'narrow', 206);
test.serial(found, 'turn-without-latency', 'I9', 'ladder', 21);
test.serial(found, 'turn-to-its-end', 'I9', 'ladder', 21);
test.serial(found, 'turn-a-quarter', 'I9', 'ladder', 21);
test.serial(found, 'turn-from-notice', 'I9', 'ladder', 200);
test.serial(found, 'reboot-is-a-proof', 'liveness', 'ladder', 436);
test.serial(found, 'failed-disk-counts', 'I3', 'honest', 2010);
test.serial(found, 'disarmed-alone', 'I6', 'narrow', 42);
test.serial(found, 'handler-asks-no-owner', 'I5', 'ladder');
test.serial(found, 'release-taken-back', 'engine', 'narrow', 35);
test.serial(found, 'conflicts-merged', 'I8', 'ladder');
test.serial(found, 'survivor-needs-vote', 'liveness', 'narrow');
test.serial(found, 'arbiter-for-ever', 'liveness', 'narrow');
test.serial(found, 'claim-for-ever', 'liveness', 'narrow');
test.serial(found, 'cable-counts', 'liveness', 'ladder', 180);
test.serial(found, 'fence-without-gain', 'gain', 'ladder');
test.serial(found, 'both-must-return', 'liveness', 'narrow', 92);
test.serial(found, 'joined-by-peer-only', 'liveness', 'narrow', 8);
test.serial(found, 'never-thawed', 'liveness', 'ladder', 62);
test.serial(found, 'agent-down-for-ever', 'liveness', 'ladder', 8);
test.serial(found, 'exclusion-untold', 'I10', 'narrow');
test.serial(found, 'resync-untold', 'I10', 'ladder', 45);
test.serial(found, 'given-up-running', 'no-loss', 'mistaken', 20_024_400);

/** The numbers are those of the steps of a live migration (docs/protocol.md, section 9). */
test.serial(found, 'given-before-demoted', 'migration', 'migration');
test.serial(found, 'half-copy-left', 'migration', 'migration');
test.serial(found, 'two-primaries-left', 'migration', 'migration');

/** Moves that nobody asked for (docs/protocol.md, section 10). */
test.serial(found, 'load-without-rest', 'load', 'load');
test.serial(found, 'load-rest-at-source-alone', 'load', 'load', 260);
test.serial(found, 'load-while-degraded', 'load', 'load');
test.serial(found, 'load-beyond-target', 'load', 'load');
test.serial(found, 'load-for-nothing', 'load', 'load');
test.serial(found, 'load-at-once', 'load', 'load');
test.serial(found, 'load-against-advice', 'load', 'load');
test.serial(found, 'flight-at-once', 'load', 'load');

/** A rule behind another one, which is off as well: what is found is not found when only that one is off. */
const foundBehind = test.macro<[string, string, string, SwarmClass, number]>({
	exec: async (t, name, guard, checker, swarmClass, first) => {
		const both = await planted(name);
		const alone = await planted(guard);
		for (let seed = first; seed < first + seedsMax; seed += 1) {
			const { violations } = both.runSeed(seed, { swarmClass });
			if (!violations.some((violation) => violation.checker === checker)) continue;
			if (alone.runSeed(seed, { swarmClass }).violations.length > 0) continue;
			t.log(`seed ${seed}`);
			t.pass();
			return;
		}
		t.fail(`not within ${seedsMax} seeds`);
	},
	title: (_, name, guard, checker, swarmClass) =>
		`${plantedRules[name]?.brings}: the search of class ${swarmClass} finds ${name} by ${checker}, behind ${guard}`,
});

test.serial(foundBehind, 'standby-grows-first', 'older-file-believed', 'I3', 'ladder', 138);

const told = test.macro<[string, string]>({
	exec: async (t, name, story) => {
		const { runScenario } = await planted(name);
		const document: unknown = parse(readFileSync(`test/scenario/${story}/scenario.yaml`, 'utf8'));
		const { failures, violations } = runScenario(parseScenario(document));
		t.true(failures.length + violations.length > 0);
	},
	title: (_, name, story) =>
		`${plantedRules[name]?.brings}: the story of ${story} ends badly under ${name}`,
});

test.serial(told, 'unpaused-on-an-old-record', 'v03-unpause-on-the-peers-word');
test.serial(told, 'joined-at-once', 'v07-booted-host-holds');
test.serial(told, 'metadata-not-asked', 'v09-restored-state-file');
test.serial(told, 'arbiter-in-one-round', 'v10-cut-between-rounds');
test.serial(told, 'claim-between-renewals', 'v10-cut-between-rounds');
test.serial(told, 'turn-from-notice', 'v12-turn-slept-through');
test.serial(told, 'conflicts-merged', 'record-conflict-keep');
test.serial(told, 'number-used-again', 'v14-number-survives-restart');
test.serial(told, 'failed-disk-counts', 'v16-failed-disk-counted-out');
test.serial(told, 'survivor-needs-vote', 'l01-survivor-needs-no-vote');
test.serial(told, 'arbiter-for-ever', 'l02-witness-lost-then-host-lost');
test.serial(told, 'claim-for-ever', 'l03-claim-of-a-dead-host');
test.serial(told, 'cable-counts', 'l04-direct-cable');
test.serial(told, 'fence-without-gain', 'l05-no-gain-no-fence');
test.serial(told, 'both-must-return', 'l06-one-of-both-returns');
test.serial(told, 'joined-by-peer-only', 'l07-sole-holder-returns');
test.serial(told, 'never-thawed', 'l08-thaw-after-refusal');
test.serial(told, 'agent-down-for-ever', 'l09-dead-agent-frozen-vm');
test.serial(told, 'exclusion-untold', 'l12-excluded-then-owner-dies');
test.serial(told, 'resync-untold', 'l13-owner-dies-mid-resync');
test.serial(told, 'load-two-at-once', 'load-one-at-a-time');
test.serial(told, 'load-pinned-goes', 'load-pinned');
test.serial(told, 'load-without-spare', 'load-spare');
test.serial(told, 'load-to-standby', 'load-to-standby');
test.serial(told, 'load-to-failing-host', 'load-to-failing-host');
test.serial(told, 'load-beyond-target', 'load-one-big-vm');
test.serial(told, 'load-at-once', 'load-spike-shorter-than-hold');
test.serial(told, 'load-while-degraded', 'load-degraded');
test.serial(told, 'load-against-advice', 'load-advise');
test.serial(told, 'flight-to-failing-host', 'health-both-critical');
test.serial(told, 'flight-at-once', 'health-flaps');
