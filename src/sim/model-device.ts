import type { deviceBehaviours } from '#src/sim/step.ts';

/** One simulated fence device of a host. */
export interface Device {
	readonly name: string;
	/** The level of the ladder it belongs to; 0 is the first. Each level alone cuts all power. */
	readonly level: number;
	behaviour: (typeof deviceBehaviours)[number];
	latencyMs: number;
	byMs: number;
	readonly diesWithHost: boolean;
	/** Supplies its host. */
	outlet: boolean;
	/** It was told to switch off (what a lying device claims from then on). */
	offAsked: boolean;
}
