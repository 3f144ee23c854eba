import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { settleAll } from '#src/sim/data.ts';
import type { Hooks, Simulation } from '#src/sim/model.ts';
import { runNext } from '#src/sim/queue.ts';
import type { ScenarioWorld } from '#src/sim/scenario.ts';

/**
 * The simulated world of the scenarios, moved by the wall clock, with its own checkers of every promise.
 * What it has no part of here is the agents: those are real processes.
 */
export interface DemoWorld {
	readonly simulation: Simulation;
	/** Brings the world to this moment; call it before anything looks at it or changes it. */
	catchUp(): void;
	stop(): void;
}

/** What the world tells of; the rest of its hooks are the checkers'. */
export type WorldEvents = Pick<
	Hooks,
	'replicationChanged' | 'hypervisorChanged' | 'callHandler' | 'hearingMayChange' | 'booted'
> & {
	/** A VM's vCPUs begin to run. */
	readonly vmRuns: Hooks['vmRuns'];
	readonly fenced: Hooks['fenced'];
};

/** How late the world may be, ms: far below anything that an agent waits for. */
const lateMsMax = 20;

/** Starts the world's clock. `seed` decides its small delays. */
export const startWorld = (
	world: ScenarioWorld,
	seed: number,
	events: WorldEvents,
	trace: ((line: string) => void) | null,
): DemoWorld => {
	const simulation = createSimulation({
		world,
		seed,
		mutation: 'none',
		trace,
		persistMaxMs: 1,
		observeMaxMs: 1,
		clockRates: [1, 1],
		observer: (made) =>
			createObserver(made, { honestDevices: true, onNote: null, onReply: null, onStep: null }),
	});
	// All that is scheduled so far is the start of simulated agents.
	simulation.queue.timers.length = 0;
	const checkers = { ...simulation.hooks };
	Object.assign(simulation.hooks, {
		...events,
		vmRuns: (host, vm) => {
			checkers.vmRuns(host, vm);
			events.vmRuns(host, vm);
		},
		fenced: (victim) => {
			checkers.fenced(victim);
			events.fenced(victim);
		},
		agentGoesOn: () => {},
	} satisfies Partial<Hooks>);

	const beganMs = performance.now();
	const catchUp = (): void => {
		const nowMs = performance.now() - beganMs;
		while (runNext(simulation.queue, nowMs));
		simulation.queue.nowMs = nowMs;
	};
	const timer = setInterval(() => {
		catchUp();
		// Guests write all the time: without this a VM's writes would be counted at changes only.
		settleAll(simulation);
	}, lateMsMax);
	return { simulation, catchUp, stop: () => clearInterval(timer) };
};
