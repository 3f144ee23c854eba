import type { HostName, MonotonicMs, VmName } from '#src/ports.ts';

/** Orders of people that this host carries out step by step, kept while this run of the agent lasts. */

/** A person's order to empty this host. */
interface Evacuation {
	readonly by: string;
	/** What can't go live is stopped here and started over there. */
	readonly cold: boolean;
}

/** What one run of the agent remembers while its host is being emptied. */
export interface DrainState {
	readonly evacuation: Evacuation | null;
	/** Live migrations begun, by VM: one that turns back again and again is not tried for ever. */
	readonly tries: Readonly<Record<VmName, number>>;
	/** Since when no VM is on its way: from there on what stays is waited for. Null: one is, or none has to go. */
	readonly idleSinceMs: MonotonicMs | null;
}

/** A drill of one VM that is under way. */
interface DrillState {
	readonly from: HostName;
	readonly to: HostName;
	readonly sinceMs: MonotonicMs;
}

/** Nobody has to go. */
export const noDrain: DrainState = {
	evacuation: null,
	tries: {},
	idleSinceMs: null,
};

/** All of them. */
export interface Plans {
	/** How far this host is emptied. */
	readonly drain: DrainState;
	/** Drills that are under way, as this run of the agent saw them begin. */
	readonly drills: Readonly<Record<VmName, DrillState>>;
}

/** Nothing is planned. */
export const noPlans: Plans = { drain: noDrain, drills: {} };
