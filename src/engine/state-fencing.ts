import type { LevelTries } from '#src/fence/ladder.ts';
import type { DeviceReading, MonotonicMs, PowerState } from '#src/ports.ts';
import type { Persisted } from '#src/store/record.ts';

/** What is remembered of the peer's power and of what was done to it. */

/** What the devices of one level said when they were asked last. */
export interface LevelPower {
	/** `off` only when every one of them says off; null when they could not tell. */
	readonly state: PowerState | null;
	readonly devices: readonly DeviceReading[];
	/** When it was asked, and how long the answer took. */
	readonly atMs: MonotonicMs;
	readonly tookMs: number;
	/** When the level last gave an answer; null before the first. */
	readonly knownAtMs: MonotonicMs | null;
}

/** What keeps this host from sending an `off`, in words; with its end where it only waits for a time. */
export interface FenceHold {
	readonly reason: string;
	readonly untilMs: MonotonicMs | null;
}

/** What is going on with the peer's power. */
export interface FencingState {
	/** What was tried since the peer was last heard, by level. */
	readonly tries: readonly LevelTries[];
	readonly notBeforeMs: MonotonicMs;
	/** Levels through which we switched it off and which the policy wants on again, in that order. */
	readonly powerOnDue: readonly number[];
	/** The open fence before the `off` that is under way: it stands if that one is not sent. */
	readonly openBefore: Persisted['openFence'];
	/** Why no fence is sent although the peer is lost; for status. */
	readonly hold: FenceHold | null;
	/** Until then an `off` of the peer against this host may still land: no `off` is sent meanwhile (I9). */
	readonly targetedUntilMs: MonotonicMs;
}
