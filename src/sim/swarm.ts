import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { createLiveness, type Liveness, watchAlive } from '#src/sim/alive.ts';
import { type BothPrimary, isMigrating, watchBothPrimary } from '#src/sim/checker-migration.ts';
import { checkEnd, isForPeople, type Untold, watchLost } from '#src/sim/end.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { Simulation, Violation } from '#src/sim/model.ts';
import { violate } from '#src/sim/model.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { runNext, schedule } from '#src/sim/queue.ts';
import type { ScenarioInput } from '#src/sim/scenario.ts';
import type { StepVerb } from '#src/sim/step.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import { createWarnings, watchWarnings } from '#src/sim/told.ts';
import { randomSteps } from '#src/sim/swarm-faults.ts';
import { withPause } from '#src/sim/swarm-more.ts';
import { loadWorld } from '#src/sim/swarm-load.ts';
import { migrationWorld } from '#src/sim/swarm-migration.ts';
import type { SwarmClass, WorldInput } from '#src/sim/swarm-world.ts';
import { randomWorld } from '#src/sim/swarm-world.ts';
import { between, chance, type Prng, prng, split } from '#src/std/prng.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';

/** Seeded runs of random faults through the real loop and engine. Same seed, same run. */

/** Boots, hand-overs, resyncs and retries after the last repair are over by then. */
const settleTimeMs = 200_000;
const eventsMax = 200_000;
/** After the last repair somebody looks this often whether all is well again: then the run ends early. */
const calmLookMs = 5000;
/** By then a policy that gives power again has had its time; what is off still waits for a person. */
const rescueAfterMs = 80_000;

export interface SeedResult {
	readonly seed: number;
	readonly violations: readonly Violation[];
	readonly counts: ReadonlyMap<string, number>;
	readonly simulatedMs: number;
	readonly trace: readonly string[];
}

/** Of what a seed draws: the first is what old seeds were before more kinds were added, the second had no pauses. */
type Edition = 1 | 2 | 3;

const worldOf = (random: Prng, swarmClass: SwarmClass): WorldInput =>
	swarmClass === 'migration'
		? migrationWorld(random)
		: swarmClass === 'load'
			? loadWorld(random)
			: randomWorld(random, swarmClass);

/** What a seed stands for, as a scenario that can be written to a file. */
export const scenarioOfSeed = (
	seed: number,
	swarmClass: SwarmClass,
	edition: Edition = 3,
): {
	scenario: ScenarioInput;
	/** People put everything right at the end. */
	repaired: boolean;
	options: { persistMaxMs: number; observeMaxMs: number; clockRates: [number, number] };
} => {
	const random = prng(seed);
	const world = worldOf(split(random), swarmClass);
	const faults = split(random);
	const habits = split(random);
	const more = edition === 1 ? null : split(random);
	const { steps: drawn, repaired } = randomSteps(faults, world, swarmClass, more);
	const steps = edition < 3 ? drawn : withPause(split(random), drawn);
	const rate = () => 1 + between(habits, -5, 5) / 1000;
	return {
		repaired,
		scenario: {
			format: 1,
			name: `seed-${seed}`,
			story: 'random faults',
			seed,
			world,
			steps,
			expect: [{ finally: { ledger: 'intact' } }],
		},
		options: {
			persistMaxMs: chance(habits, 0.8) ? 10 : 400,
			observeMaxMs: chance(habits, 0.8) ? 40 : 600,
			clockRates: [rate(), rate()],
		},
	};
};

interface SeedOptions {
	readonly swarmClass?: SwarmClass;
	readonly mutation?: Mutation;
	readonly traced?: boolean;
	readonly edition?: Edition;
	/** Steps of this kind are left out: they should make no difference. */
	readonly without?: StepVerb;
	/** The rules look at every event, as in production: it must make no difference. */
	readonly rulesAlways?: boolean;
}

export const runSeed = (seed: number, options: SeedOptions = {}): SeedResult => {
	const swarmClass = options.swarmClass ?? 'honest';
	const drawn = scenarioOfSeed(seed, swarmClass, options.edition);
	const scenario = parseScenario(drawn.scenario);
	const trace: string[] = [];
	const simulation = createSimulation({
		world: scenario.world,
		seed: seed + 1,
		mutation: options.mutation ?? 'none',
		trace: options.traced === true ? (line) => trace.push(line) : null,
		...drawn.options,
		rulesAlways: options.rulesAlways === true,
		observer: (made) =>
			createObserver(made, {
				honestDevices: swarmClass !== 'dishonest',
				strict: options.traced === true,
				onNote: null,
				onReply: null,
				onStep: null,
			}),
	});
	const liveness = isForPeople(scenario) ? null : createLiveness(simulation);
	for (const [index, step] of scenario.steps.entries()) {
		if (step.do === options.without) continue;
		schedule(simulation.queue, step.at ?? 0, () => {
			if (liveness !== null) liveness.touchedMs = simulation.queue.nowMs;
			applyStep(simulation, step, `step-${index + 1}`);
		});
	}
	const broken = () => simulation.violations.filter((each) => !isExcused(swarmClass, each));
	const quietMs = scenario.steps.at(-1)?.at ?? 0;
	play(simulation, { quietMs, repaired: drawn.repaired, liveness }, () => broken().length > 0);
	if (broken().length === 0) checkEnd(simulation, scenario, drawn.repaired);
	return {
		seed,
		violations: broken(),
		counts: simulation.counts,
		simulatedMs: simulation.queue.nowMs,
		trace,
	};
};

interface Course {
	/** The last step. */
	readonly quietMs: number;
	readonly repaired: boolean;
	/** Null when people were asked to do things of which only they know how they end. */
	readonly liveness: Liveness | null;
}

/** Runs until all is well again after the last step, a promise is broken, or the time is over. */
const play = (simulation: Simulation, course: Course, isBroken: () => boolean): void => {
	const { quietMs, repaired, liveness } = course;
	const endMs = quietMs + settleTimeMs;
	const untold: Untold = new Map();
	const warnings = createWarnings();
	const both: BothPrimary = new Map();
	let events = 0;
	let watchMs = calmLookMs;
	let lookMs = quietMs + calmLookMs;
	let wasCalm = false;
	while (runNext(simulation.queue, endMs)) {
		events += 1;
		if (simulation.queue.nowMs >= watchMs) {
			watchMs += calmLookMs;
			watchLost(simulation, untold);
			watchWarnings(simulation, warnings);
			watchBothPrimary(simulation, both);
			if (liveness !== null) watchAlive(simulation, liveness);
		}
		if (simulation.queue.nowMs >= lookMs) {
			lookMs += calmLookMs;
			// Twice in a row: what one host shows of the other is a moment behind the truth.
			const calm = isCalm(simulation);
			if (calm && wasCalm) break;
			wasCalm = calm;
			if (repaired && simulation.queue.nowMs > quietMs + rescueAfterMs) rescue(simulation);
		}
		if (events > eventsMax) {
			violate(simulation, 'engine', `more than ${eventsMax} events in one run`);
			break;
		}
		if (simulation.violations.length > 0 && isBroken()) break;
	}
};

/** The person on call: a host that is off after a fence which landed late, and that is paged for, gets power. */
const rescue = (simulation: Simulation): void => {
	for (const host of simulation.hosts) {
		if (!host.powered) applyStep(simulation, { do: 'power-on', host: host.name }, 'rescue');
	}
};

/** Both hosts up, every copy current, every wanted VM running: nothing more will happen. */
const isCalm = (simulation: Simulation): boolean =>
	simulation.hosts.every((host) => host.kernelUp && host.agent?.alive === true) &&
	simulation.vms.every((vm) => {
		const mirrored = vm.replicas.every(
			(replica) => replica.replication === 'Established' && replica.disk === 'UpToDate',
		);
		if (!mirrored || isMigrating(simulation, vm)) return false;
		if (simulation.hosts.some((host) => isRunnable(host, vm))) return true;
		return simulation.hosts.every((host) => durableRecord(host, vm)?.wanted === 'stopped');
	});

/**
 * A device that lies about power breaks what rests on its word; the records must hold all the same. A person who
 * is wrong about a host lets two copies run; what was acknowledged must hold all the same.
 */
const isExcused = (swarmClass: SwarmClass, { checker }: Violation): boolean => {
	if (swarmClass === 'mistaken') return ['I1', 'I2', 'I4'].includes(checker);
	return swarmClass === 'dishonest' && !['engine', 'I5', 'I7'].includes(checker);
};
