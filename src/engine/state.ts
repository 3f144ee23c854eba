import type { Action, Note } from '#src/engine/action.ts';
import type { Persisted } from '#src/store/record.ts';

export interface State {
	readonly persisted: Persisted | null;
}

export interface Step {
	readonly state: State;
	/** Made durable before any action of this step starts; null when nothing durable changed. */
	readonly persist: Persisted | null;
	readonly actions: readonly Action[];
	readonly notes: readonly Note[];
	/** When the engine wants to be asked again at the latest; null when the next tick will do. */
	readonly wakeAtMs: number | null;
}
