import * as z from 'zod';
import type { HostName, MonotonicMs, Outcome, ResourceName } from '#src/ports.ts';
import { resourceRecordSchema } from '#src/store/record.ts';
import type { ResourceRecord } from '#src/store/record.ts';

/**
 * The witness: one record of the pair in a third place, changed by atomic commands only. Everything that
 * comes from it is checked by these schemas before anybody believes it (docs/protocol.md, section 5).
 */

const name = z.string().min(1).max(128);
const bootId = z.string().min(1).max(64);

/** What one host last said of itself in the witness. */
const witnessHostSchema = z.strictObject({
	/** Grows by one with every renewal of this host. */
	renewals: z.int().min(0),
	bootId,
	/** Time-out of its armed watchdog, whole ms; null when none is armed or when it obeys no lease. */
	watchdogMs: z.int().min(0).nullable(),
});

/** A host that is about to act against the other one; bars that one from everything but pausing and releasing. */
const witnessClaimSchema = z.strictObject({
	by: name,
	against: name,
});

export const witnessRecordSchema = z.strictObject({
	format: z.literal(1),
	pairId: z.string().min(1).max(128),
	/** Grows by one with every write of anybody. */
	version: z.int().min(1),
	hosts: z.record(name, witnessHostSchema),
	claim: witnessClaimSchema.nullable(),
	/**
	 * Version of the record with which a claim was last made or ended, or with which both hosts wrote it; 0: never.
	 * It names the claim that stands, or this very absence of one.
	 */
	claimVersion: z.int().min(0),
	resources: z.record(name, resourceRecordSchema),
});

export type WitnessHost = Readonly<z.infer<typeof witnessHostSchema>>;
export type WitnessRecord = Readonly<z.infer<typeof witnessRecordSchema>>;

/**
 * What was read when a command was decided on. A command may lie in a buffer for minutes: it is refused `changed`,
 * before anything else is looked at, when a claim was made or ended since.
 */
interface UnderClaim {
	readonly host: HostName;
	readonly claimVersion: number;
}

interface OwnerWrite extends UnderClaim {
	readonly resource: ResourceName;
	/** Generation of the resource in the witness; 0 when it holds none yet. */
	readonly expectedGeneration: number;
	readonly record: ResourceRecord;
}

/** Each one is atomic in the witness; `host` is the caller. */
export type WitnessCommand =
	| { readonly op: 'read'; readonly host: HostName }
	/**
	 * Refused `claimed` while a claim stands against the caller, `renewed` when its own number of renewals is not the
	 * one that it has read (null: none): an older renewal must not say what a newer one has taken back.
	 */
	| {
			readonly op: 'renew';
			readonly host: HostName;
			readonly bootId: string;
			readonly watchdogMs: number | null;
			readonly expectedRenewals: number | null;
	  }
	/**
	 * A record for both hosts, after they agreed on it over a heartbeat. Null: only when the key is absent. Refused
	 * `changed` over another version, or when its own is not higher; `absent` when a version was expected.
	 */
	| {
			readonly op: 'seed';
			readonly host: HostName;
			readonly expectedVersion: number | null;
			readonly record: WitnessRecord;
	  }
	/** Refused `claimed` while a claim stands, `renewed` when the peer renewed since it was read (null: it never had). */
	| ({
			readonly op: 'claim';
			readonly against: HostName;
			readonly expectedRenewals: number | null;
	  } & UnderClaim)
	/**
	 * Takes the caller's own claim away. When none stands it is written all the same: a claim of the caller that is
	 * still under way can not land any more. Under the peer's claim it changes nothing.
	 */
	| ({ readonly op: 'withdraw' } & UnderClaim)
	/** Ends the peer's claim when that is silent itself (L3); refused `changed` without one, then `renewed`. */
	| ({ readonly op: 'void-claim'; readonly expectedRenewals: number } & UnderClaim)
	/**
	 * Exclusion, growth, ordinary change. Refused `generation` when another one is there or the new one is not
	 * higher; then `claimed`, unless it gives the caller's own VM up and leaves the in-sync set as it is (V21).
	 */
	| ({ readonly op: 'change' } & OwnerWrite)
	/**
	 * Owner of the peer's resource; `expectedRenewals` when silence is the proof (P3). Refused, in this order:
	 * `changed` without a claim, `claimed` under the peer's, `generation`, `renewed`, `not-in-sync`.
	 */
	| ({ readonly op: 'takeover'; readonly expectedRenewals: number | null } & OwnerWrite);

export const witnessRefusals = [
	'absent',
	'claimed',
	'generation',
	'renewed',
	'changed',
	'not-in-sync',
	'other-pair',
] as const;

export type WitnessReply =
	| { readonly ok: true; readonly record: WitnessRecord }
	| {
			readonly ok: false;
			readonly refused: (typeof witnessRefusals)[number];
			readonly record: WitnessRecord | null;
	  };

/** A reply and where it came from. No answer in time is no such value: it is unknown. */
export interface WitnessAnswer {
	/** Names one life of the server: another one may have lost what was written before (V6). */
	readonly runId: string;
	/** Just before the command was sent. */
	readonly sentMs: MonotonicMs;
	/** `unreadable`: the key holds something that is no record of ours; `detail` names the key. */
	readonly reply:
		WitnessReply | { readonly ok: false; readonly refused: 'unreadable'; readonly detail: string };
}

/**
 * How a command ended. `unknown`: no connection, or no answer in time; it may still take effect. `failed`: the
 * server answered with an error and nothing was changed.
 */
export type WitnessOutcome = Outcome<WitnessAnswer>;

/** The connection to the witness. Every call ends exactly once and within a second; none rejects. */
export interface Witness {
	/** Succeeded also when the witness refused; unknown without a connection or an answer in time. */
	send(command: WitnessCommand): Promise<WitnessOutcome>;
}

/** What the heartbeat thread needs of the world for votes; made in that thread, on connections of its own. */
export interface Voter {
	/** A renewal or a read; null without a connection or an answer in time. Never rejects. */
	ask(command: WitnessCommand): Promise<WitnessAnswer | null>;
	/**
	 * Lets the feeder feed the watchdog until then, on the monotonic clock that all processes share, ms. Null: it
	 * stops the watchdog, because nobody reckons with it any more (V17).
	 */
	grant(untilMs: MonotonicMs | null): void;
	/** Tells what the feeder shows, at each change; null: no feeder answers. Called once, before anything is granted. */
	watch(seen: (watchdog: WatchdogObservation | null) => void): void;
}

/** The watchdog of this host as its feeder shows it; null when no feeder answers. */
export interface WatchdogObservation {
	readonly device: string;
	/** The real time-out, read back from the kernel, ms; null while nobody says it. */
	readonly timeoutMs: number | null;
	/** It counts, is held, and is fed now. */
	readonly armed: boolean;
	/** Why it is not armed, as a sentence; empty when it is. */
	readonly why: string;
}

/** What the heartbeat thread makes of all votes: `ending` is early enough to pause every VM in time. */
export type Vote = 'held' | 'ending' | 'none';
