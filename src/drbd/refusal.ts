import { isConnected, isFrozen } from '#src/drbd/role.ts';
import { failed, type Failed } from '#src/ports-outcome.ts';
import type { ResourceObservation } from '#src/ports.ts';

/** What an action of the driver refuses by itself, before DRBD is asked; null when nothing is in the way. */

/** Only an unconnected Secondary is outdated. */
export const outdateRefusal = (seen: ResourceObservation): Failed | null => {
	const { resource, role } = seen;
	if (role === 'Primary')
		return failed('drbd-primary', `resource ${resource} is Primary here and cannot be outdated`);
	return isConnected(seen)
		? failed('drbd-connected', `resource ${resource} is connected and cannot be outdated`)
		: null;
};

/** A Primary stays connected; `discards`: the copy is to be given up, which takes a split brain. */
export const reconnectRefusal = (seen: ResourceObservation, discards: boolean): Failed | null => {
	const { resource, role, connection } = seen;
	if (role !== 'Secondary')
		return failed('drbd-primary', `resource ${resource} is ${role} here and stays connected`);
	return discards && connection === 'Connected'
		? failed('drbd-connected', `resource ${resource} is connected: nothing is given up`)
		: null;
};

/** Only a frozen Primary without its peer loses its disk. */
export const detachRefusal = (seen: ResourceObservation): Failed | null =>
	seen.role !== 'Primary' || !isFrozen(seen) || isConnected(seen)
		? failed('drbd-not-frozen', `resource ${seen.resource} is no frozen Primary any more`)
		: null;
