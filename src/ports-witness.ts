import * as z from 'zod';
import type { HostName, MonotonicMs, Outcome, ResourceName } from '#src/ports.ts';
import { type ResourceRecord, resourceRecordSchema } from '#src/store/record.ts';

/** The third voter as the rest of the program sees it: one record for each pair, changed by commands. */

const name = z.string().min(1).max(128);
const bootId = z.string().min(1).max(64);
const count = z.int().min(0);

/** One pair's record in the witness. It has no time-out: only a command changes it. */
export const witnessRecordSchema = z.strictObject({
	format: z.literal(1),
	pairId: name,
	/** Grows with every write of anybody. */
	version: z.int().min(1),
	hosts: z.record(
		name,
		z.strictObject({
			/** Grows by one with each renewal of this host. */
			renewals: count,
			bootId,
			/** Real time-out of its armed watchdog, ms; null when it has none that is armed. */
			watchdogMs: z.int().min(1).nullable(),
		}),
	),
	/** The host that is about to act against the other one, and the version at which it said so. */
	claim: z.strictObject({ by: name, against: name, version: z.int().min(1) }).nullable(),
	resources: z.record(name, resourceRecordSchema),
});

export type WitnessRecord = Readonly<z.infer<typeof witnessRecordSchema>>;

/**
 * What a host asks of the witness. Each is atomic. `expected...` is what the caller saw when it decided: when
 * that is not so any more, the command is refused and nothing is changed.
 */
export type WitnessCommand =
	| { readonly op: 'read' }
	/** Says that this host lives. Refused while the other host claims. */
	| {
			readonly op: 'renew';
			readonly host: HostName;
			readonly bootId: string;
			readonly watchdogMs: number | null;
	  }
	/** Writes the whole record: over the version expected, or, with null, where there is none. */
	| {
			readonly op: 'seed';
			readonly host: HostName;
			readonly expectedVersion: number | null;
			readonly record: WitnessRecord;
	  }
	| {
			readonly op: 'claim';
			readonly host: HostName;
			readonly against: HostName;
			readonly expectedRenewals: number | null;
	  }
	/** Takes the own claim away; without one it changes nothing. */
	| { readonly op: 'withdraw'; readonly host: HostName }
	/** Takes the claim of a peer away that renews no more. */
	| {
			readonly op: 'void-claim';
			readonly host: HostName;
			readonly claimVersion: number;
			readonly expectedRenewals: number;
	  }
	/** An exclusion, growth or any other change by the owner. A claimed host may only release. */
	| {
			readonly op: 'change';
			readonly host: HostName;
			readonly resource: ResourceName;
			/** 0 for a resource that the record does not hold yet. */
			readonly expectedGeneration: number;
			readonly record: ResourceRecord;
	  }
	/** A change by the claimer: needs its claim, and its copy in sync. */
	| {
			readonly op: 'takeover';
			readonly host: HostName;
			readonly resource: ResourceName;
			readonly expectedGeneration: number;
			/** Renewals of the peer, when its silence is the proof. */
			readonly expectedRenewals: number | null;
			readonly record: ResourceRecord;
	  };

/**
 * Why a command changed nothing. `changed`: the version, or the claim, is not the expected one. `other-pair`: the
 * key belongs to a pair of another name.
 */
export const witnessRefusals = [
	'absent',
	'claimed',
	'generation',
	'renewed',
	'changed',
	'not-in-sync',
	'other-pair',
] as const;
export type WitnessRefusal = (typeof witnessRefusals)[number];

/** The record after the command; null where there is none of this pair. */
export type WitnessReply =
	| { readonly ok: true; readonly record: WitnessRecord }
	| {
			readonly ok: false;
			readonly refused: WitnessRefusal;
			readonly record: WitnessRecord | null;
	  };

/** A reply, with the run of the server it came from and when the command was sent. */
export type WitnessAnswer = WitnessReply & {
	/** Changes with every start of the server, which may hide that it lost writes. */
	readonly runId: string;
	/** Just before the command was sent: a vote counts from here. */
	readonly sentMs: MonotonicMs;
};

/**
 * How a command ended. `unknown`: no connection, or no answer in time; it may still take effect. `failed`: the
 * server answered with an error and nothing was changed; with `witness-record-unreadable` the record is damaged.
 */
export type WitnessOutcome = Outcome<WitnessAnswer>;
