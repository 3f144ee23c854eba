import type { State } from '#src/engine/state.ts';
import { monotonicMs } from '#src/agent-drivers.ts';

/** A leaving host waits so long for the peer's answer to its goodbye. */
const goodbyeMs = 3000;

/** Resolves once the peer has the goodbye of this run of the agent, or will not take it. */
export const goodbyeTaken = async (state: () => State, session: string): Promise<void> => {
	const limitMs = monotonicMs() + goodbyeMs;
	const heard = (): boolean => {
		const { peer, documentSeq } = state();
		const said = peer.document?.heard ?? null;
		return said?.session === session && said.seq >= documentSeq;
	};
	while (!heard() && monotonicMs() < limitMs) {
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
};
