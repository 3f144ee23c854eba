import type { SimAgent, Simulation } from '#src/sim/model.ts';
import { inAgentAfter, tell } from '#src/sim/model.ts';

/** As the agent does: it waits so long for the peer's answer to its goodbye, and looks so often, ms. */
const goodbyeMs = 3000;
const lookMs = 100;

/** A host that has left ends its agent when the other one has heard the goodbye, or did not in its time. */
export const sayGoodbye = (simulation: Simulation, agent: SimAgent, end: () => void): void => {
	const untilMs = simulation.queue.nowMs + goodbyeMs;
	const look = (): void => {
		const { peer, documentSeq } = agent.loop.state;
		const heard = peer.document?.heard ?? null;
		const said = heard?.session === agent.session && heard.seq >= documentSeq;
		if (!said && simulation.queue.nowMs < untilMs) {
			inAgentAfter(simulation, agent, lookMs, look);
			return;
		}
		tell(simulation, agent.host.name, 'agent has left and stops');
		end();
	};
	look();
};
