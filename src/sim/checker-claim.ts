import { checkGain } from '#src/sim/checker-gain.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { peerOf, violate } from '#src/sim/model.ts';

/** What must be true when an `off` is sent. */
export const checkFenceSent = (simulation: Simulation, victim: SimHost): void => {
	checkClaim(simulation, victim);
	checkGain(simulation, victim);
};

/** A claim is believed so long after its last sight; and an `off` waits for a write and a tool, ms. */
const claimFreshMs = 9000;

/** A host that had a vote so shortly before is alive for all: it is claimed only after two intervals, ms. */
const renewedMs = 1500;

const roundOf = ({ store: { content } }: SimHost): number =>
	content === null || content === 'corrupt' ? 0 : (content.arbiter?.round ?? 0);

/**
 * Under a witness every act without the peer's consent, a fence included, first needs the compare-and-set. The arbiter
 * is the witness for certain while the host that is switched off says so: the other one may be on its way to another
 * arbiter by then, but no further (V10).
 */
const checkClaim = (simulation: Simulation, victim: SimHost): void => {
	const { witness, queue } = simulation;
	const { content } = victim.store;
	if (witness === null || content === null || content === 'corrupt') return;
	if (content.arbiter?.now !== 'witness' || content.arbiter.next !== null) return;
	const sender = peerOf(simulation, victim);
	// Two rounds further: the victim's file is an older copy that was put back.
	if (roundOf(sender) > content.arbiter.round + 1) return;
	const silentMs = queue.nowMs - victim.votedMs;
	// One that has just gone on, or whose agent has, is heard again in the middle of what was decided about it.
	const steady = queue.nowMs - Math.max(victim.resumedMs, victim.agentSinceMs) >= renewedMs;
	if (steady && silentMs < renewedMs)
		violate(
			simulation,
			'claim',
			`${sender.name} switches ${victim.name} off, which renewed its vote ${silentMs} ms ago`,
		);
	const claimedMs = witness.claimedMs.get(sender.name) ?? Number.NEGATIVE_INFINITY;
	if (queue.nowMs - claimedMs <= claimFreshMs) return;
	violate(
		simulation,
		'claim',
		`${sender.name} switches ${victim.name} off and has not claimed it in the witness`,
	);
};
