import { conditions } from '#src/engine/conditions.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver, durableRecord, isRunnable } from '#src/sim/checker.ts';
import { settleAll } from '#src/sim/data.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { SimVm, Simulation, Violation } from '#src/sim/model.ts';
import { hostClock, tell, violate } from '#src/sim/model.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { runNext, schedule } from '#src/sim/queue.ts';
import type { Scenario, ScenarioInput } from '#src/sim/scenario.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import type { StepVerb } from '#src/sim/step.ts';
import { randomSteps } from '#src/sim/swarm-faults.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';
import { randomWorld } from '#src/sim/swarm-world.ts';
import { between, chance, prng, split } from '#src/std/prng.ts';

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

/** What a seed stands for, as a scenario that can be written to a file. */
export const scenarioOfSeed = (
	seed: number,
	swarmClass: SwarmClass,
): {
	scenario: ScenarioInput;
	options: { persistMaxMs: number; observeMaxMs: number; clockRates: [number, number] };
} => {
	const random = prng(seed);
	const world = randomWorld(split(random), swarmClass);
	const steps = randomSteps(split(random), world, swarmClass);
	const habits = split(random);
	const rate = () => 1 + between(habits, -5, 5) / 1000;
	return {
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

export const runSeed = (
	seed: number,
	options: { swarmClass?: SwarmClass; mutation?: Mutation; traced?: boolean } = {},
): SeedResult => {
	const swarmClass = options.swarmClass ?? 'honest';
	const { scenario: input, options: habits } = scenarioOfSeed(seed, swarmClass);
	const scenario = parseScenario(input);
	const trace: string[] = [];
	const simulation = createSimulation({
		world: scenario.world,
		seed: seed + 1,
		mutation: options.mutation ?? 'none',
		trace: options.traced === true ? (line) => trace.push(line) : null,
		...habits,
		observer: (made) =>
			createObserver(made, {
				honestDevices: swarmClass !== 'dishonest',
				strict: options.traced === true,
				onNote: null,
				onReply: null,
				onStep: null,
			}),
	});
	for (const [index, step] of scenario.steps.entries()) {
		schedule(simulation.queue, step.at ?? 0, () => {
			applyStep(simulation, step, `step-${index + 1}`);
		});
	}
	const quietMs = scenario.steps.at(-1)?.at ?? 0;
	const endMs = quietMs + settleTimeMs;
	let events = 0;
	let lookMs = quietMs + calmLookMs;
	while (runNext(simulation.queue, endMs)) {
		events += 1;
		if (simulation.queue.nowMs >= lookMs) {
			lookMs += calmLookMs;
			if (isCalm(simulation)) break;
			if (simulation.queue.nowMs > quietMs + rescueAfterMs) rescue(simulation);
		}
		if (events > eventsMax) {
			violate(simulation, 'engine', `more than ${eventsMax} events in one run`);
			break;
		}
		if (simulation.violations.length > 0) break;
	}
	if (simulation.violations.length === 0) checkEnd(simulation, scenario);
	return {
		seed,
		violations: simulation.violations.filter((each) => !isExcused(swarmClass, each)),
		counts: simulation.counts,
		simulatedMs: simulation.queue.nowMs,
		trace,
	};
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
		if (!mirrored) return false;
		if (simulation.hosts.some((host) => isRunnable(host, vm))) return true;
		return simulation.hosts.every((host) => durableRecord(host, vm)?.wanted === 'stopped');
	});

/** A device that lies about power breaks what rests on its word; the records must hold all the same. */
const isExcused = (swarmClass: SwarmClass, violation: Violation): boolean =>
	swarmClass === 'dishonest' && !['engine', 'I5', 'I7'].includes(violation.checker);

/** After these, a VM that stays down with an alert is right: somebody has to decide. */
const needsPerson: ReadonlySet<StepVerb> = new Set([
	'disk-fail',
	'state-lose',
	'state-restore',
	'operator-promote',
	'create-fails',
	'guest',
	'disarm',
	'stop',
	'leave',
	'takeover',
	'move',
]);

const checkEnd = (simulation: Simulation, scenario: Scenario): void => {
	settleAll(simulation);
	const excused =
		scenario.world.arbiter === 'person' ||
		scenario.steps.some((step) => needsPerson.has(step.do)) ||
		scenario.world.memoryMib < 8192;
	for (const vm of simulation.vms) {
		checkDataAtEnd(simulation, vm, scenario);
		checkAlive(simulation, vm, excused);
	}
};

const checkDataAtEnd = (simulation: Simulation, vm: SimVm, scenario: Scenario): void => {
	if (scenario.steps.some((step) => step.do === 'disk-fail' || step.do === 'disk-replace')) return;
	if (vm.replicas.some((replica) => replica.head === vm.acknowledged)) return;
	violate(simulation, 'no-loss', `no copy of ${vm.name} holds every acknowledged write at the end`);
};

/** Liveness and I10: after one quiet time the VM runs, or somebody is told why not. */
const checkAlive = (simulation: Simulation, vm: SimVm, excused: boolean): void => {
	if (simulation.hosts.some((host) => isRunnable(host, vm))) return;
	const records = simulation.hosts.map((host) => durableRecord(host, vm));
	const newest = records.toSorted(
		(one, other) => (other?.generation ?? 0) - (one?.generation ?? 0),
	)[0];
	if (newest === undefined || newest.wanted === 'stopped') return;
	const open = simulation.hosts.flatMap((host) =>
		host.agent?.alive === true && simulation.mutation !== 'idle-and-mute'
			? conditions(host.agent.loop.state, hostClock(simulation, host))
			: [],
	);
	for (const each of open)
		tell(simulation, 'world', `open: ${each.key} (${each.severity}): ${each.summary}`);
	const about = open.filter((each) => each.severity !== 'info' && each.subject === vm.name);
	if (about.length === 0) {
		violate(simulation, 'I10', `${vm.name} is down and nobody is told`);
	} else if (!excused) {
		violate(simulation, 'liveness', `${vm.name} is down although everything was repaired`);
	}
};
