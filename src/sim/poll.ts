import type { SimAgent, Simulation } from '#src/sim/model.ts';
import { inAgent } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';

/** Looks again and again, for as long as this run of the agent lives; put off while its process stands still. */
export const poll = (
	simulation: Simulation,
	agent: SimAgent,
	everyMs: number,
	look: () => void,
): void => {
	schedule(simulation.queue, simulation.queue.nowMs + everyMs, () => {
		if (!agent.alive) return;
		inAgent(agent, look);
		poll(simulation, agent, everyMs, look);
	});
};
