import { movingMs, stoppingMs } from '#src/api/shutdown.ts';
import { leavingOf } from '#src/engine/draft.ts';
import { drainLeft } from '#src/engine/drain.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { count, hostClock, tell } from '#src/sim/model.ts';
import { panic } from '#src/sim/power.ts';
import { schedule } from '#src/sim/queue.ts';

/** How often the command looks, ms. */
const lookMs = 500;

/**
 * Somebody types `reboot`: the shutdown unit empties the host live, shuts down what does not go; then the kernel goes.
 */
export const reboot = (
	simulation: Simulation,
	host: SimHost,
	ask: (how: 'migrate' | 'stop') => void,
): void => {
	const { life, agent } = host;
	const begunMs = simulation.queue.nowMs;
	let stopping = false;
	const look = (): void => {
		if (host.life !== life || !host.kernelUp) return;
		const forMs = simulation.queue.nowMs - begunMs;
		if (agent?.alive !== true || forMs >= movingMs + stoppingMs) {
			tell(simulation, host.name, 'reboots');
			count(simulation, 'reboots');
			panic(simulation, host);
			return;
		}
		const { state } = agent.loop;
		const refused = leavingOf(state) === null && forMs >= 2 * lookMs;
		const stays = refused || drainLeft(state, hostClock(simulation, host)).length > 0;
		if (!stopping && (stays || forMs >= movingMs)) {
			stopping = true;
			ask('stop');
		}
		schedule(simulation.queue, simulation.queue.nowMs + lookMs, look);
	};
	ask('migrate');
	schedule(simulation.queue, simulation.queue.nowMs + lookMs, look);
};
