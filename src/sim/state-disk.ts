import type { SimAgent, Simulation } from '#src/sim/model.ts';
import { inAgent, onHost } from '#src/sim/model.ts';

/** The disk with an agent's state file and journal: it is full, or it does not answer. */

/** A write that takes longer is told, as by the agent's own store; ms. */
const stallMs = 5000;

const full = 'no space left on device';

/** The journal, on the same disk, is written all the time: the agent knows before a decision meets the full disk. */
export const tellDisk = (agent: SimAgent): void => {
	inAgent(agent, () => {
		agent.loop.post({ type: 'disk-observed', problem: agent.host.store.full ? full : null });
	});
};

/**
 * Calls `write` once the disk answers, or `refused` when it is full. The agent waits for it and decides nothing
 * meanwhile; somebody is told. What a dead agent was about to write is never written.
 */
export const onStateDisk = (
	simulation: Simulation,
	agent: SimAgent,
	refused: (error: Error) => void,
	write: () => void,
): void => {
	const { host } = agent;
	const waitMs = host.store.hungUntilMs - simulation.queue.nowMs;
	if (!agent.alive) return;
	if (waitMs <= 0) {
		if (host.store.full) refused(new Error(`the state file could not be written: ${full}`));
		else write();
		return;
	}
	const say = (level: 'error' | 'warn', message: string) => {
		if (agent.alive) simulation.hooks.noted(host, { level, message, fields: {} });
	};
	if (waitMs > stallMs)
		onHost(simulation, host, stallMs, () =>
			say('error', 'the disk of the state file does not answer'),
		);
	onHost(simulation, host, waitMs, () => {
		if (waitMs > stallMs) say('warn', 'the disk of the state file answers again');
		onStateDisk(simulation, agent, refused, write);
	});
};
