import * as z from 'zod';
import { ageMs, name, sentence } from '#src/api/shape.ts';
import { conditionSchema, deadmanSchema, receiverSchema } from '#src/api/view-alert.ts';
import { balanceSchema, healthSchema, loadSchema, vmLoadSchema } from '#src/api/view-load.ts';
import { dropReasons } from '#src/heartbeat/drop.ts';
import { presences, roles } from '#src/ports.ts';
import { lastDrillSchema } from '#src/store/record.ts';

/**
 * What `vmpair status` shows and `--json` prints. The shape is stable: fields are added, never
 * renamed or reused, unless `apiVersion` grows. Every observed fact carries its age; an age of null
 * means "never seen", and its value is then `unknown` or null, never a guess.
 */
export const apiVersion = 1;

/**
 * The one word that comes first.
 * - `protected`: every VM that shall run runs, and would run again if its host died now.
 * - `degraded`: every VM that shall run runs, but the failover of at least one would not work now, or a level of
 *   the fencing ladder is out of order while another one works.
 * - `unprotected`: no VM would be failed over now (peer out, arbiter person, not joined, ...).
 * - `failing-over`: a takeover is under way.
 * - `holding`: VMs are down or frozen and nothing more happens until a person acts.
 * - `disarmed`: people switched automatic action off.
 * - `paused`: people switched it off for a while.
 */
const verdict = z.enum([
	'protected',
	'degraded',
	'unprotected',
	'failing-over',
	'holding',
	'disarmed',
	'paused',
]);

const hostSchema = z.strictObject({
	host: name,
	self: z.boolean(),
	/** `online` for this host itself. `unknown` until the peer was heard or proven out once. */
	state: z.enum(['online', 'suspect', 'agent-down', 'lost', 'left', 'out', 'unknown']),
	/** How long it has been in this state. */
	ageMs,
	/** Why that is believed: the proof when `out`, the sign of life when `agent-down`; empty when online. */
	reason: sentence,
	/** Age of the last document merged from it; 0 for this host, null when none came in this boot. */
	heardAgeMs: ageMs.nullable(),
	bootId: z.string().nullable(),
	version: z.string().nullable(),
	joined: z.boolean().nullable(),
	/** Lag of its main loop, ms. */
	lagMs: z.number().nullable(),
	freeMemoryMib: z.number().nullable(),
	/** Whether its configuration agrees with this host's where both must be equal. */
	configAgrees: z.boolean().nullable(),
	/** It takes no VMs over and is kept empty. */
	standby: z.boolean().nullable(),
	/** Its VMs go to the other host now: it leaves, is in standby or is evacuated. */
	emptied: z.boolean().nullable(),
	/** How busy it is, shares from 0 to 1; that of the peer in steps. Null: not known. */
	load: loadSchema.nullable(),
	/** Its health checks that count as critical; null: not known. */
	critical: z.array(name).nullable(),
});

const linkSchema = z.strictObject({
	link: name,
	state: z.enum(['up', 'silent', 'unknown']),
	/** How long it has been in this state. */
	ageMs: ageMs.nullable(),
	rttMs: z.number().nullable(),
	carrier: z.boolean().nullable(),
	/** The peer's kernel refused the last connection: host alive, agent not. */
	refused: z.boolean(),
	switched: z.boolean(),
});

const powerWord = z.enum(['on', 'off', 'unknown']);

const levelSchema = z.strictObject({
	/** 1 is the first. */
	level: z.int().min(1),
	/** `off` only when every device of the level says off. */
	power: powerWord,
	ageMs: ageMs.nullable(),
	/** `detail`: why a device does not answer, in its tool's words. */
	devices: z.array(z.strictObject({ device: name, power: powerWord, detail: sentence })).max(8),
	/** `off` commands at this level since the target was last heard. */
	attempts: z.int().min(0),
	attemptsMax: z.int().min(0),
});

const fencingSchema = z.strictObject({
	/** The host the devices can power off: the peer. */
	target: name,
	/** The last answer of all levels together, and how old it is. */
	power: powerWord,
	powerAgeMs: ageMs.nullable(),
	/** The levels of the target's ladder in the order they are tried; power is off when one level says so. */
	levels: z.array(levelSchema).max(8),
	/** An `off` whose outcome is unknown: it may still land. */
	openFence: z.strictObject({ target: name, ageMs: ageMs.nullable() }).nullable(),
	/** `off` commands of the present attempt to take the peer out. */
	attempts: z.int().min(0),
	attemptsMax: z.int().min(0),
	lastHour: z.int().min(0),
	perHourMax: z.int().min(0),
	/** This host waits this long for the other to fence first when all links fail; 0 when it goes first. */
	delayMs: z.number().min(0),
});

const sightSchema = z.strictObject({
	host: name,
	presence: z.enum(['absent', ...presences, 'unknown']),
	role: z.enum(roles).nullable(),
	/** Lowest disk state of its volumes, in DRBD's words; null while unknown or the resource is down. */
	disk: z.string().nullable(),
	connected: z.boolean(),
	/** DRBD holds back the guest's writes. */
	frozen: z.boolean(),
	/** Age of this sight: of the own observation, or of the peer's last document. */
	ageMs: ageMs.nullable(),
});

/** What one host holds of a VM whose copies stand apart. */
const sideSchema = z.strictObject({
	host: name,
	/** Its durable record; null when it has none, or none was heard. */
	record: z
		.strictObject({
			generation: z.int().min(0),
			owner: name.nullable(),
			inSync: z.array(name).max(2),
		})
		.nullable(),
	role: z.enum(roles).nullable(),
	disk: z.string().nullable(),
	connection: z.string().nullable(),
	presence: z.enum(['absent', ...presences, 'unknown']),
	/** DRBD's generations of each volume; null when not read. */
	volumes: z
		.array(
			z.strictObject({
				volume: z.int().min(0),
				current: z.string(),
				bitmap: z.string().nullable(),
				history: z.array(z.string()),
				/** What this host counts as differing; null when DRBD does not say. */
				outOfSyncKib: z.number().min(0).nullable(),
			}),
		)
		.nullable(),
	/** When the VM last ran there, wall-clock time; `to` is null while it runs or when its end was not seen. */
	lastRun: z.strictObject({ from: z.string(), to: z.string().nullable() }).nullable(),
	/** What is lost when this copy is given up, as a sentence. */
	loses: sentence,
});

const vmSchema = z.strictObject({
	vm: name,
	resource: name,
	priority: z.number(),
	/** The one host that may run it, from the durable record. */
	owner: name.nullable(),
	wanted: z.enum(['running', 'stopped']),
	/** What it is doing, judged from both sights. `down`: shall run and does not. */
	state: z.enum([
		'running',
		'stopped',
		'starting',
		'stopping',
		'moving',
		'frozen',
		'paused',
		'down',
		'unknown',
	]),
	/** Where it was seen with a domain; null when nowhere. */
	runsOn: name.nullable(),
	/** How long it has been in this state there; null when unknown. */
	ageMs: ageMs.nullable(),
	/** This host first, then the peer. */
	sights: z.array(sightSchema).max(2),
	/** Null unless it ran on this host all the time between two readings. */
	load: vmLoadSchema.nullable(),
	/** Hosts whose copy holds every acknowledged write. */
	inSync: z.array(name).max(2),
	generation: z.int().min(0),
	/** What is going on with it at this moment, as a sentence; empty when nothing is. */
	activity: sentence,
	/** Set while a resync runs. */
	resync: z
		.strictObject({
			outOfSyncKib: z.number().min(0).nullable(),
			/** Of the most that was seen out of sync since it began; null when not known. */
			donePercent: z.number().min(0).max(100).nullable(),
		})
		.nullable(),
	/** Set while its copies stand apart or its records conflict: what each host holds, for `vmpair split-brain`. */
	apart: z
		.strictObject({
			/** `records`: they conflict, DRBD may be connected. `suspected`: DRBD gave up, not known why. */
			kind: z.enum(['records', 'split-brain', 'suspected']),
			/** What is being done about it by a person's order; empty when nothing is. */
			resolving: sentence,
			/** This host first, then the peer. */
			sides: z.array(sideSchema).length(2),
		})
		.nullable(),
	/** The last drill that this host saw end; null: none. */
	lastDrill: lastDrillSchema.nullable(),
	/** Would a hand-over (stop here, start there) begin now? Null as below. */
	handover: z.strictObject({ ready: z.boolean(), blocker: sentence }).nullable(),
	/** Would a live migration begin now? Null on the host that does not own it: that is for its owner to say. */
	migration: z
		.strictObject({
			ready: z.boolean(),
			/** Why not, as a sentence; empty when ready. */
			blocker: sentence,
		})
		.nullable(),
	/** Would it run again if its host died now? */
	failover: z.strictObject({
		ready: z.boolean(),
		/** The host it would run on. */
		to: name.nullable(),
		/** Why not, as a sentence; empty when ready. */
		blocker: sentence,
		/** The next command or step; empty when there is none. */
		next: sentence,
	}),
});

/** The third voter, where the pair has one. */
const witnessSchema = z.strictObject({
	/** It answers, both hosts confirmed its run, and its record is none that was restored. */
	grants: z.boolean(),
	/** Why not, as a sentence; empty when it does. */
	why: sentence,
	/** What the peer's echoes and the witness's renewals are worth together. */
	vote: z.enum(['held', 'ending', 'none']),
	/** Age of the youngest vote. */
	voteAgeMs: ageMs.nullable(),
	/** The host that claims to act against the other one. */
	claimedBy: name.nullable(),
	/** Time-out of the armed watchdog that a host vouches for; null: its silence proves nothing. This host first. */
	watchdogs: z.array(z.strictObject({ host: name, timeoutMs: ageMs.nullable() })).length(2),
	/** L: so long a vote keeps a VM runnable. */
	leaseMs: ageMs,
	/** T_take: silence after which a host with an armed watchdog runs nothing any more. */
	takeMs: ageMs,
});

/** The engine's part of the status. */
const statusViewSchema = z.strictObject({
	apiVersion: z.literal(apiVersion),
	pairId: name,
	self: name,
	peer: name,
	verdict,
	/** One sentence that says why the verdict is what it is. */
	reason: sentence,
	/** The one next step for the person; empty when there is none. */
	next: sentence,
	/** The one in force; `changing`: both hosts are on their way to another one. */
	arbiter: z.enum(['witness', 'fencing', 'person', 'changing']),
	/** Pair-wide. `at` is wall-clock time, for people. */
	armed: z.strictObject({ armed: z.boolean(), by: z.string(), reason: z.string(), at: z.string() }),
	/** Who switched automatic action off for a while, and why; null when it is not. */
	pause: z
		.strictObject({
			by: z.string(),
			reason: z.string(),
			/** Wall-clock times, for people: when it was asked for, and the end that was announced. */
			at: z.string(),
			until: z.string(),
			forMs: ageMs,
			/** Time in which both hosts are off does not count. 0: over, and it lasts until both are together. */
			leftMs: ageMs,
		})
		.nullable(),
	/** Preflight findings that forbid arming. */
	preflight: z.array(sentence),
	/** This host first, then the peer. */
	hosts: z.array(hostSchema).length(2),
	links: z.array(linkSchema),
	/** Null when no fence device is configured. */
	fencing: fencingSchema.nullable(),
	/** Null in a pair without a witness. */
	witness: witnessSchema.nullable(),
	balance: balanceSchema,
	/** The health checks of this host. */
	health: z.array(healthSchema),
	/** Highest priority first, then by name. */
	vms: z.array(vmSchema),
	timing: z.strictObject({
		detectionMs: z.number(),
		beatIntervalMs: z.number(),
		suspectMs: z.number(),
		powerQueryMs: z.number(),
		agentDownLostMs: z.number(),
		handlerMs: z.number(),
	}),
});

const count = z.int().min(0);

/** What the heartbeat links did since the agent started. */
const heartbeatSchema = z.strictObject({
	/** Messages and connections from outside that were dropped, by reason: malformed, not the peer, ... */
	dropped: z.record(z.enum(dropReasons), count),
	/** Those of them that came from the peer's address, or over a connection that was proven to be its own. */
	droppedOfPeer: z.record(z.enum(dropReasons), count),
	/** Authenticated connections that were opened, and closed again for any reason. */
	connections: count,
	disconnections: count,
	/** Connections ended because the peer echoed nothing in time. */
	unacknowledged: count,
	beatsReceived: count,
	/** Beats not sent because the connection's buffer was full. */
	beatsWithheld: count,
	documentsReceived: count,
	/** The longest time without any beat between two beats of one session of the peer, ms. */
	worstBeatGapMs: z.number().min(0),
	/** The longest time between two rounds of own beats, ms. */
	worstSendGapMs: z.number().min(0),
});

/** What the agent itself adds to the engine's view. */
export const statusSchema = statusViewSchema.extend({
	/** Wall-clock time of this status, ISO 8601, for people. */
	at: z.string(),
	conditions: z.array(conditionSchema),
	/** What is allowed on this host but worth mending, as sentences with the remedy. */
	advice: z.array(sentence),
	heartbeat: heartbeatSchema,
	receivers: z.array(receiverSchema),
	/** Null when none is configured. */
	deadman: deadmanSchema.nullable(),
	agent: z.strictObject({
		version: z.string(),
		pid: z.int(),
		session: z.string(),
		uptimeMs: ageMs,
		/** Alerts that wait for their receiver. */
		alertsPending: count,
		/** Entries of the history that were never written, because the disk did not take them. */
		historyLost: count,
	}),
});

/** One line of the history: what was decided, refused or seen, and why. */
export interface HistoryEntry {
	/** Grows by one with every entry of this host. */
	readonly seq: number;
	/** Wall-clock time, ISO 8601, for people. */
	readonly at: string;
	/** Milliseconds on that host's monotonic clock; comparable within one boot. */
	readonly ms: number;
	readonly level: 'debug' | 'info' | 'warn' | 'error';
	readonly message: string;
	readonly fields: Readonly<Record<string, string | number | boolean | null>>;
}

/** How the agent says that it cannot answer; the HTTP status is 400 or above. */
export interface ErrorReply {
	readonly error: { readonly code: string; readonly message: string; readonly next: string };
}

export type Verdict = z.infer<typeof verdict>;
export type HostView = Readonly<z.infer<typeof hostSchema>>;
export type LinkView = Readonly<z.infer<typeof linkSchema>>;
export type FencingView = Readonly<z.infer<typeof fencingSchema>>;
export type WitnessView = Readonly<z.infer<typeof witnessSchema>>;
export type SightView = Readonly<z.infer<typeof sightSchema>>;
export type SideView = Readonly<z.infer<typeof sideSchema>>;
export type VmView = Readonly<z.infer<typeof vmSchema>>;
export type StatusView = Readonly<z.infer<typeof statusViewSchema>>;
export type Status = Readonly<z.infer<typeof statusSchema>>;
