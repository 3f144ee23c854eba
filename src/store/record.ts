import * as z from 'zod';

/**
 * What is remembered (docs/protocol.md, section 1), durable on this host before anything acts on it.
 * The format carries a version from the first release: an older agent refuses a newer file.
 */
export const stateFormat = 1;

const name = z.string().min(1).max(128);
const bootId = z.string().min(1).max(64);

/** An open planned hand-over of a VM: stop on `from`, start on `to`. Nothing else may start the VM meanwhile. */
const handoverSchema = z.strictObject({
	kind: z.literal('handover'),
	from: name,
	to: name,
	/** True when the VM shall run on `to` afterwards. */
	start: z.boolean(),
	/** Left out unless it is a drill: how the guest is stopped. */
	drill: z.enum(['shutdown', 'destroy']).optional(),
});

/** An open live migration: nothing starts the VM meanwhile, and the resolver settles what it finds. */
const migrationSchema = z.strictObject({
	kind: z.literal('migration'),
	from: name,
	to: name,
	start: z.literal(true),
	/** `forth`: it goes to `to`. `back`: it does not; what is left of it is taken away, and `from` keeps the VM. */
	phase: z.enum(['forth', 'back']),
	/** Left out when a person asked for it, or the host is emptied. */
	cause: z.literal('load').optional(),
});

const journalSchema = z.discriminatedUnion('kind', [handoverSchema, migrationSchema]);

/** The record of one resource, equal on both hosts while they are together. */
export const resourceRecordSchema = z.strictObject({
	/** Grows with every change; a lower one is never adopted. */
	generation: z.int().min(1),
	/** The one host that may have the VM's vCPUs runnable, or null. */
	owner: name.nullable(),
	/** Hosts whose copy holds every acknowledged write, sorted. */
	inSync: z.array(name).max(2),
	/**
	 * DRBD's current UUID per volume (index), masked, read back after the thaw or promote that followed
	 * the last exclusion; null until read: until then nobody starts alone.
	 */
	uuids: z
		.array(z.string().regex(/^[0-9A-F]{16}$/))
		.max(64)
		.nullable(),
	/** What the people want of the VM. */
	wanted: z.enum(['running', 'stopped']),
	journal: journalSchema.nullable(),
});

/** When a VM last ran here, wall-clock time for people; `to` is null while it runs, or when its end was not seen. */
export const lastRunSchema = z.strictObject({
	from: z.string().max(64),
	to: z.string().max(64).nullable(),
});

/** When and how a VM last had a drill; wall-clock time of its end, for people. */
export const lastDrillSchema = z.strictObject({
	at: z.string().max(64),
	from: name,
	to: name,
	/** Whether it ran there in the end. */
	ran: z.boolean(),
	tookMs: z.number().min(0),
});

/** This host's own addition to a resource's record: never sent as truth about the other host. */
const localResourceSchema = z.strictObject({
	record: resourceRecordSchema,
	/**
	 * This host's own copy is known to miss writes (its disk failed); set before anything else happens,
	 * cleared only when the owner's record counts this host in again. Holds the generation it was set at.
	 */
	selfExcludedAt: z.int().min(1).nullable(),
	/**
	 * Why this record and the peer's can't be merged, from the moment they met; nothing is written or started
	 * until both hosts hold the same record again or a person decides (V14). Null when there is no conflict.
	 */
	held: z.string().max(1024).nullable(),
	/** This host took its disk away to release a Primary that the other one replaced; it is attached again. */
	detached: z.boolean().default(false),
	lastRun: lastRunSchema.nullable().default(null),
	lastDrill: lastDrillSchema.nullable().default(null),
});

/** The time of a pause is this long at the most, ms. What may make it last longer is told (ADR 0021). */
export const pauseMaxMs = 86_400_000;

/** Automatic action of an armed pair rests for a while: who wanted it, why, and for how long. */
const pauseSchema = z.strictObject({
	by: z.string().max(256),
	reason: z.string().max(1024),
	/** Wall-clock times it was asked for and would end, ISO 8601, only for people: `pauseClock` decides. */
	at: z.string().max(64),
	until: z.string().max(64),
	forMs: z.int().min(1).max(pauseMaxMs),
});

/** The pair's own record. */
export const pairRecordSchema = z.strictObject({
	generation: z.int().min(0),
	armed: z.boolean(),
	/** Who changed `armed` last and why, for status. */
	by: z.string().max(256),
	reason: z.string().max(1024),
	/** Wall-clock time of that change, ISO 8601, only for people. */
	at: z.string().max(64),
	/** Left out when the pair is not paused. */
	pause: pauseSchema.optional(),
});

/**
 * What is left of the pause that the pair record of this `generation` holds, ms, at this monotonic time of this boot of
 * this host. Written anew once a minute, so that a reboot takes no more than that off what has passed.
 */
const pauseClockSchema = z.strictObject({
	generation: z.int().min(0),
	bootId,
	atMs: z.number().min(0),
	leftMs: z.number().min(0),
});

/** An `off` command whose outcome is unknown: it may still land (protocol rule V12). */
const openFenceSchema = z.strictObject({
	target: name,
	/** The boot of the target it was sent against. */
	targetBootId: bootId.nullable(),
	/** Boot and monotonic time of the sender when it was sent. */
	bootId,
	atMs: z.number().min(0),
	/**
	 * The levels of the target's ladder through which it, or one before it that is still open, was sent. A file
	 * written before there were levels means the first.
	 */
	levels: z.array(z.int().min(0)).min(1).max(8).default([0]),
});

/** What this host remembers of the witness; null while it never had one. */
const witnessMemorySchema = z.strictObject({
	/** The run of the witness that both hosts confirmed; null: none grants anything (V6). */
	confirmedRunId: z.string().max(128).nullable(),
	/** High-water marks: what was seen there in a confirmed run. Less than that was restored. */
	version: z.int().min(0),
	generations: z.record(name, z.int().min(1)),
	/** A record there of a lower version counts for nothing: a claim was given up that it may still hold (V2). */
	voidBelow: z.int().min(0).default(0),
	/** The peer last said that its watchdog is not armed, or is too slow: its silence proves nothing (P3). */
	peerUnarmed: z.boolean().default(false),
	/**
	 * By resource, the highest generation that a command of this host may have written there: nothing else is written
	 * under it, also not by a later run of the agent, because a command may arrive very late (V14).
	 */
	reserved: z.record(name, z.int().min(1)).default({}),
	/** A claim was or will be sent, and its withdrawal is not known to have landed (V2). */
	claiming: z.boolean(),
	/**
	 * Number of the pair record by which the pair is disarmed, once the peer and the arbiter knew it: no lease binds
	 * a VM under it, and the watchdog is stopped (V17). Null: none.
	 */
	disarmed: z.int().min(0).nullable().default(null),
	/** Domains that this host paused for want of a vote, by VM; the instance names the very domain. */
	paused: z.record(name, z.string().max(256)),
});

/** The arbiter in force and the one that both hosts are changing to (V10). */
export const arbiterRecordSchema = z.strictObject({
	/** Grows with every change; the higher one is the later. */
	round: z.int().min(1),
	now: z.enum(['witness', 'fencing', 'person']),
	next: z.enum(['witness', 'fencing', 'person']).nullable(),
});

/**
 * How a host leaves (P1). `migrate`: its VMs go live where they can. `hand-over`: they are stopped here and started
 * over there. `stop`: they are stopped, stay with this host, and start again when it is back; an armed pair takes them
 * over when its power reads off meanwhile.
 */
const leaveHows = ['migrate', 'hand-over', 'stop'] as const;
export type LeaveHow = (typeof leaveHows)[number];

/** Who put a host in standby, why and when (wall-clock time, ISO 8601), for people. */
const standbySchema = z.strictObject({
	by: z.string().max(256),
	reason: z.string().max(1024),
	at: z.string().max(64),
});

/** The last move of a VM because of load, in either direction: both hosts remember it, for the rests that follow. */
const loadMoveSchema = z.strictObject({
	/** Boot and monotonic time of this host when it ended, or began while it is open. */
	bootId,
	atMs: z.number().min(0),
	/** How many there were, each soon after the one before. */
	moves: z.int().min(1),
	open: z.boolean(),
});

export const persistedSchema = z.strictObject({
	format: z.literal(stateFormat),
	pairId: z.string().min(1).max(128),
	host: name,
	/** Kernel boot id of this host when the file was written. */
	bootId,
	/** The boot in which this host joined; joined only while it is the present one. */
	joinedBootId: bootId.nullable(),
	/** Boot ids of the peer ever seen, oldest first; the last one is the present one. */
	peerBootIds: z.array(bootId).max(256),
	pair: pairRecordSchema,
	/** Null while the pair is not paused. */
	pauseClock: pauseClockSchema.nullable().default(null),
	resources: z.record(name, localResourceSchema),
	openFence: openFenceSchema.nullable(),
	/** The peer's fence device is known to belong to another host: what it reads proves nothing. */
	deviceWrong: z.boolean(),
	/** Since when the hosts do not hear each other both ways: boot and monotonic time of this host. */
	contactLost: z.strictObject({ bootId, atMs: z.number().min(0) }).nullable(),
	/** `off` commands sent, newest last, for the hourly limit. */
	fences: z.array(z.strictObject({ bootId, atMs: z.number().min(0) })).max(64),
	witness: witnessMemorySchema.nullable().default(null),
	/** Null: the configured one, unless that is a witness that the hosts have not agreed on yet. */
	arbiter: arbiterRecordSchema.nullable().default(null),
	/** This host takes no VM over and is kept empty, also after a boot; null: it takes part. */
	standby: standbySchema.nullable().default(null),
	/** This host leaves, and how, also when its agent is started again before it is done; it is over with the boot. */
	leaving: z
		.strictObject({ how: z.enum(leaveHows), bootId, done: z.boolean() })
		.nullable()
		.default(null),
	/** By VM. */
	loadMoves: z.record(name, loadMoveSchema).default({}),
});

export type ResourceRecord = Readonly<z.infer<typeof resourceRecordSchema>>;
export type LocalResource = Readonly<z.infer<typeof localResourceSchema>>;
export type PairRecord = Readonly<z.infer<typeof pairRecordSchema>>;
export type Pause = Readonly<z.infer<typeof pauseSchema>>;
export type WitnessMemory = Readonly<z.infer<typeof witnessMemorySchema>>;
export type ArbiterRecord = Readonly<z.infer<typeof arbiterRecordSchema>>;
export type LoadMove = Readonly<z.infer<typeof loadMoveSchema>>;
export type Persisted = Readonly<z.infer<typeof persistedSchema>>;
