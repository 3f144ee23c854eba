import * as z from 'zod';
import { loadKinds } from '#src/ports-load.ts';
import { connectionStates, diskStates, presences, roles, twins } from '#src/ports.ts';
import {
	arbiterRecordSchema,
	lastRunSchema,
	pairRecordSchema,
	resourceRecordSchema,
} from '#src/store/record.ts';

/**
 * The document each agent publishes to its peer: its durable records, what it sees, what it asks and
 * what it answers. It is whole every time (a lost or repeated one is harmless) and is sent only after
 * everything in it is durable, so a record seen in the peer's document is the peer's durable answer.
 */
export const protocolVersion = 1;

const name = z.string().min(1).max(128);
const id = z.string().min(1).max(64);

const uuid = z.string().regex(/^[0-9A-F]{16}$/);

/** Where one copy of a volume stands (`VolumeEvidence` in ports.ts). */
const evidenceSchema = z.strictObject({
	volume: z.int().min(0),
	current: uuid,
	bitmap: uuid.nullable(),
	history: z.array(uuid).max(8),
	outOfSyncKib: z.int().min(0).nullable(),
});

/** What the sender sees of one VM and its resource right now. */
const sightSchema = z.strictObject({
	/** Null while the resource is down or unknown on the sender. */
	role: z.enum(roles).nullable(),
	/** The lowest disk state of its volumes. */
	disk: z.enum(diskStates).nullable(),
	connected: z.boolean(),
	frozen: z.boolean(),
	/** The data generation of its unconnected Secondary, read in this run; null when not read. */
	uuids: z.array(z.string().max(16)).max(64).nullable(),
	/** The sender counts its own copy out: its disk failed. */
	excluded: z.boolean(),
	/** The sender holds its record of this VM: it and the peer's conflict. */
	held: z.boolean(),
	/** Null while the resource is down or unknown on the sender. */
	connection: z.enum(connectionStates).nullable(),
	/** What its copy carries while it stands apart; null when not read. */
	evidence: z.array(evidenceSchema).max(64).nullable(),
	/** The order by which its copy is given up, once it connects so. */
	givenUp: id.nullable(),
	/** When the VM last ran on the sender, wall-clock time for people. */
	lastRun: lastRunSchema.nullable(),
	presence: z.enum(['absent', ...presences, 'unknown']),
	/** The domain that a live migration has beside the VM's own on the sender. */
	twin: z.enum(twins).nullable().default(null),
	/** xl sends or receives the VM on the sender; also when that is not known. */
	migrating: z.boolean().default(false),
	/** The sender waits for the VM's memory. */
	receiving: z.boolean().default(false),
	/** Both hosts may be Primary by the sender's setting; null: not read. */
	twoPrimaries: z.boolean().nullable().default(null),
});

/** "Please outdate your copy": asked by the owner for one loss of replication, with the record that follows. */
const outdateRequestSchema = z.strictObject({
	resource: name,
	/** Counts the asker's losses of replication in this boot; an answer to another loss is dropped (V5). */
	loss: z.int().min(1),
	proposal: resourceRecordSchema,
});

const outdateAnswerSchema = z.strictObject({
	resource: name,
	loss: z.int().min(1),
	/** The run of the asker's agent that is answered: each run counts its losses anew. */
	session: id,
	/** `outdated`: the disk was read back Outdated and the proposal is durable here. */
	answer: z.enum(['outdated', 'refused']),
	reason: z.string().max(512),
});

/** "A person gives your copy up": with the record that you make durable before I do. */
const resolveOrderSchema = z.strictObject({
	resource: name,
	id,
	by: z.string().max(256),
	proposal: resourceRecordSchema,
});

/** "Please do this, it is yours to decide": an admin's request made on the host that is not the owner. */
const forwardedRequestSchema = z.strictObject({
	id,
	verb: z.enum([
		'start',
		'stop',
		'move',
		'migrate',
		'cancel-migration',
		'drill',
		'evacuate',
		'balance',
	]),
	/** Null: it is about the host. */
	vm: name.nullable(),
	/** Of `move`, `migrate` and `drill`. */
	to: name.nullable(),
	/** Of `evacuate`. */
	cold: z.boolean().default(false),
	/** Of `drill`. */
	hard: z.boolean().default(false),
	by: z.string().max(256),
});

const forwardedReplySchema = z.strictObject({
	id,
	accepted: z.boolean(),
	reason: z.string().max(1024),
});

/** What the sender makes of the witness, and what it asks and promises about votes. */
const witnessSightSchema = z.strictObject({
	/** The run it last read; null before the first answer. */
	runId: z.string().max(128).nullable(),
	/** Nothing there is below what it has seen before: it would confirm that run (V6). */
	fits: z.boolean(),
	/** It answers, is confirmed and grants. */
	usable: z.boolean(),
	/** Unusable for long enough to change the arbiter; or usable for long enough to change back. */
	settled: z.enum(['usable', 'unusable']).nullable(),
	/** High-water mark of the record's version. */
	version: z.int().min(0),
	/** The sender believes no record of a lower version any more, whatever lands in it. */
	voidBelow: z.int().min(0).default(0),
	/** A claim of the sender may be under way: it echoes nothing and promises nothing. */
	claiming: z.boolean(),
	/** Counts the returns of the sender's vote; `heardRound` repeats the receiver's (V3). */
	round: z.int().min(0),
	heardRound: z.int().min(0).nullable(),
	/** No lease binds the sender, and its watchdog is stopped: the pair is disarmed (V17). */
	released: z.boolean().default(false),
	/** Time-out of the sender's armed watchdog, ms; null: silence proves nothing. */
	watchdogMs: z.number().min(0).nullable(),
	/** The receiver's fence devices answer the sender. */
	monitored: z.boolean(),
});

/** How busy the sender is, and what it makes of that. */
const loadSightSchema = z.strictObject({
	/** Shares from 0 to 1, rounded up to steps; null: not known. */
	host: z.record(z.enum(loadKinds), z.number().min(0).max(1).nullable()),
	/** Physical CPUs. */
	cpus: z.number().min(0).max(65_536),
	/** Why one of its VMs is to be moved, or none is although it is overloaded; empty when it is not. */
	verdict: z.string().max(1024),
});

const criticalSchema = z.strictObject({
	check: name,
	/** It empties its host. */
	evacuate: z.boolean(),
});

/** What the sender tells its receivers of alerts about one condition (`Telling` in alert/turn.ts). */
const tellingSchema = z.strictObject({
	key: z.string().min(1).max(512),
	open: z.boolean(),
	severity: z.enum(['critical', 'warning', 'info']),
	told: z.array(name).max(128),
	acknowledged: z
		.strictObject({
			by: z.string().max(256),
			at: z.string().max(64),
			reason: z.string().max(1024),
		})
		.nullable(),
});

export const peerDocumentSchema = z.strictObject({
	protocolVersion: z.int().min(1),
	pairId: z.string().min(1).max(128),
	host: name,
	/** Kernel boot id; `session` names one run of the agent; `seq` counts documents of that run. */
	bootId: id,
	session: id,
	seq: z.int().min(1),
	/** The newest document of yours that I have merged and made durable, or null. */
	heard: z.strictObject({ bootId: id, session: id, seq: z.int().min(1) }).nullable(),
	joined: z.boolean(),
	/** This host is leaving for good (clean shutdown); `left` is its goodbye. */
	leaving: z.boolean(),
	left: z.boolean(),
	/** The sender has seen that the receiver leaves: it counts it in no more. */
	leaveSeen: z.boolean().default(false),
	/** The sender takes no VMs. */
	standby: z.boolean().default(false),
	/** The sender's VMs go to the receiver: it leaves, is in standby or is evacuated. */
	emptied: z.boolean().default(false),
	pair: pairRecordSchema,
	/** What is left of the pause that `pair` holds, by the sender's clock, ms; left out when there is none. */
	pauseLeftMs: z.number().min(0).optional(),
	/** Hash of everything in the configuration that must be equal on both hosts. */
	configDigest: z.string().max(128),
	version: z.string().max(64),
	/** Preflight findings on the sender that forbid arming the pair. */
	armBlockers: z.array(z.string().max(1024)).max(64),
	/** The fence device that the receiver would use against the sender is not the sender's. */
	deviceWrong: z.boolean(),
	freeMemoryMib: z.number(),
	/** Null: not known. */
	load: loadSightSchema.nullable().default(null),
	/** Health checks of the sender that count as critical. */
	critical: z.array(criticalSchema).max(64).default([]),
	records: z.record(name, resourceRecordSchema),
	sights: z.record(name, sightSchema),
	/** The target of a power-off whose outcome the sender does not know. */
	openFence: z.strictObject({ target: name, targetBootId: id.nullable() }).nullable(),
	witness: witnessSightSchema.nullable().default(null),
	arbiter: arbiterRecordSchema.nullable().default(null),
	outdateRequests: z.array(outdateRequestSchema).max(1024),
	outdateAnswers: z.array(outdateAnswerSchema).max(1024),
	resolveOrders: z.array(resolveOrderSchema).max(1024),
	forwarded: z.array(forwardedRequestSchema).max(64),
	forwardedReplies: z.array(forwardedReplySchema).max(64),
	tellings: z.array(tellingSchema).max(256).default([]),
});

export type Sight = Readonly<z.infer<typeof sightSchema>>;
export type OutdateRequest = Readonly<z.infer<typeof outdateRequestSchema>>;
export type OutdateAnswer = Readonly<z.infer<typeof outdateAnswerSchema>>;
export type ResolveOrder = Readonly<z.infer<typeof resolveOrderSchema>>;
export type ForwardedRequest = Readonly<z.infer<typeof forwardedRequestSchema>>;
export type ForwardedReply = Readonly<z.infer<typeof forwardedReplySchema>>;
export type LoadSight = Readonly<z.infer<typeof loadSightSchema>>;
export type PeerDocument = Readonly<z.infer<typeof peerDocumentSchema>>;
