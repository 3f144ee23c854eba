import type { Outcome } from '#src/ports.ts';
import { failed, succeeded } from '#src/ports-outcome.ts';
import { replicationPath } from '#src/sim/data.ts';
import type { Replica, Simulation } from '#src/sim/model.ts';
import { delay, onHost, otherReplica, tell } from '#src/sim/model.ts';

/** DRBD's `allow-two-primaries`: a setting of the connection, which a kernel tells the one at the other end. */

type Done = (outcome: Outcome) => void;

export const mayBothBePrimary = (replica: Replica): boolean =>
	replica.twoPrimaries && otherReplica(replica).twoPrimaries;

const bothPrimary = (replica: Replica): boolean =>
	replica.connection === 'Connected' &&
	replica.role === 'Primary' &&
	otherReplica(replica).role === 'Primary';

/** A connection that is StandAlone has no settings: it takes those of the file when it is made anew. */
const isConfigured = ({ up, connection }: Replica): boolean => up && connection !== 'StandAlone';

const set = (simulation: Simulation, replica: Replica, allowed: boolean): void => {
	if (replica.twoPrimaries === allowed) return;
	replica.twoPrimaries = allowed;
	simulation.changes += 1;
	const { host, vm } = replica;
	tell(
		simulation,
		host.name,
		`drbd ${vm.name}: two Primaries ${allowed ? 'allowed' : 'forbidden'}`,
	);
};

/** The packet lies in the connection until it arrives or the connection ends. */
const tellPeer = (simulation: Simulation, replica: Replica, connects: number): void => {
	const peer = otherReplica(replica);
	const there = replica.connects === connects && replica.connection === 'Connected';
	if (!there || peer.connection !== 'Connected') return;
	if (replicationPath(simulation)) set(simulation, peer, replica.twoPrimaries);
	else onHost(simulation, replica.host, 100, () => tellPeer(simulation, replica, connects));
};

/** `drbdadm net-options --allow-two-primaries=yes|no`. */
export const setTwoPrimaries = (
	simulation: Simulation,
	replica: Replica,
	allowed: boolean,
	done: Done,
): void => {
	onHost(simulation, replica.host, delay(simulation, 20, 200), () => {
		if (!isConfigured(replica))
			done(allowed ? failed('drbd-not-connected', 'drbd-not-connected') : succeeded(null));
		else if (!allowed && bothPrimary(replica))
			done(failed('drbd-two-primaries', 'drbd-two-primaries'));
		else {
			set(simulation, replica, allowed);
			tellPeer(simulation, replica, replica.connects);
			done(succeeded(null));
		}
	});
};
