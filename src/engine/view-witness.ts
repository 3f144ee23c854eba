import type { WitnessView } from '#src/api/view.ts';
import { vouchedWatchdogMs } from '#src/engine/lease.ts';
import type { State } from '#src/engine/state.ts';
import { witnessGrants, witnessReason } from '#src/engine/voters.ts';

/** The third voter for the status; null in a pair without a witness. `nowMs`: monotonic, ms. */
export const witnessView = (state: State, nowMs: number): WitnessView | null => {
	const { witness: timing, self, peer } = state.config;
	if (timing === null) return null;
	const { view, vote, votedMs } = state.witness;
	const grants = witnessGrants(state, nowMs);
	return {
		grants,
		why: grants ? '' : witnessReason(state),
		vote,
		voteAgeMs: votedMs === null ? null : Math.max(0, nowMs - votedMs),
		claimedBy: view?.record?.claim?.by ?? null,
		watchdogs: [
			{ host: self, timeoutMs: vouchedWatchdogMs(state) },
			{ host: peer, timeoutMs: view?.record?.hosts[peer]?.watchdogMs ?? null },
		],
		leaseMs: timing.leaseMs,
		takeMs: timing.takeMs,
	};
};
