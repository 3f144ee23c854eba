import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { SimAgent, Simulation } from '#src/sim/model.ts';
import { runNext } from '#src/sim/queue.ts';
import { parseScenario, type Scenario, type ScenarioInput } from '#src/sim/scenario.ts';
import type { ScenarioStep } from '#src/sim/step.ts';

/** Simulated pairs in the middle of a story, for tests that look at one moment. */

export const storyNamed = (name: string): Scenario =>
	parseScenario(parse(readFileSync(`test/scenario/${name}/scenario.yaml`, 'utf8')));

/** A world described as in a scenario. */
export const worldOf = (world: ScenarioInput['world']): Scenario['world'] =>
	parseScenario({
		format: 1,
		name: 'moment',
		story: 'A moment.',
		world,
		steps: [{ do: 'nothing' }],
		expect: [{ finally: { vm: world.vms[0]?.name, copies: 1 } }],
	}).world;

export const simulationOf = (
	world: Scenario['world'],
	seed = 1,
	onStep: ((agent: SimAgent) => void) | null = null,
): Simulation =>
	createSimulation({
		world,
		seed,
		mutation: 'none',
		trace: null,
		persistMaxMs: 10,
		observeMaxMs: 40,
		clockRates: [1, 1],
		observer: (made) =>
			createObserver(made, { honestDevices: true, onNote: null, onReply: null, onStep }),
	});

export const runFor = (simulation: Simulation, ms: number): void => {
	const untilMs = simulation.queue.nowMs + ms;
	while (runNext(simulation.queue, untilMs));
	simulation.queue.nowMs = untilMs;
};

/** Runs until something is so; throws when it does not come within ten minutes of the simulated world. */
export const runUntil = (simulation: Simulation, seen: () => boolean): void => {
	const untilMs = simulation.queue.nowMs + 600_000;
	while (!seen())
		if (!runNext(simulation.queue, untilMs)) throw new Error('what is waited for does not come');
};

export const happen = (simulation: Simulation, step: ScenarioStep): void =>
	applyStep(simulation, step, step.do);
