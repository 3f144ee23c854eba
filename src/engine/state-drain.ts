import type { MonotonicMs, VmName } from '#src/ports.ts';

/**
 * How a host leaves (P1). `migrate`: its VMs go live where they can. `hand-over`: they are stopped here and started
 * over there. `stop`: they are stopped, stay with this host, and start again when it is back; an armed pair
 * takes them over when its power reads off meanwhile.
 */
export type LeaveHow = 'migrate' | 'hand-over' | 'stop';

/** A person's order to empty this host, of this run of the agent. */
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

/** Nobody has to go. */
export const noDrain: DrainState = { evacuation: null, tries: {}, idleSinceMs: null };
