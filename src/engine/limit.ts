import type { CarriedAction } from '#src/engine/action.ts';
import type { MonotonicMs } from '#src/ports.ts';

/** Bound of the time a driver may take for an action, ms; the loop then reports `unknown`. */
export const limits: Readonly<Record<CarriedAction['type'], MonotonicMs>> = {
	'resource-up': 30_000,
	'resource-connect': 10_000,
	// DRBD asks the dead peer (ping-timeout), then our handler, which may wait: 121 s is drbdadm's own limit.
	promote: 125_000,
	demote: 20_000,
	outdate: 10_000,
	'resume-io': 10_000,
	detach: 20_000,
	'read-evidence': 10_000,
	snapshot: 120_000,
	'connect-discarding': 20_000,
	'resource-reconnect': 20_000,
	'fail-io': 20_000,
	'resource-down': 30_000,
	'read-generations': 10_000,
	// Emulated hosts need tens of seconds; a real one two or three.
	'create-vm': 180_000,
	'unpause-vm': 20_000,
	'pause-vm': 20_000,
	'shutdown-vm': 20_000,
	'destroy-vm': 60_000,
	// A program of ours starts; emulated hosts take fifteen seconds for that.
	'receive-vm': 45_000,
	// Memory over bandwidth: two minutes for 160 MiB on an emulated host. The saga's limit cuts the transport first.
	'send-vm': 4 * 3_600_000,
	'cut-migration': 20_000,
	'destroy-twin': 60_000,
	'allow-two-primaries': 10_000,
	'forbid-two-primaries': 10_000,
	'query-power': 30_000,
	'power-off': 60_000,
	'power-on': 60_000,
	witness: 2000,
};

/** The detection time while our own resync or migration loads the links, as a multiple of the one that is set. */
export const stretchedBy = 3;
