import type { Request } from '#src/api/request.ts';
import type { Evidence, GiveUp, Release, Resolve, Stuck } from '#src/engine/state-apart.ts';
import { initialWitness, type WitnessState } from '#src/engine/state-witness.ts';
import type { Action, CarriedAction, Note } from '#src/engine/action.ts';
import { noPlans, type Plans } from '#src/engine/state-plans.ts';
import type { FencingState, LevelPower } from '#src/engine/state-fencing.ts';
import { type Burden, unburdened } from '#src/engine/state-load.ts';
import type { MigrationMemory } from '#src/engine/state-migration.ts';
import type { EngineConfig } from '#src/engine/config.ts';
import { emptyRecord } from '#src/engine/empty-record.ts';
import type {
	ForwardedReply,
	ForwardedRequest,
	OutdateAnswer,
	OutdateRequest,
	PeerDocument,
} from '#src/heartbeat/document.ts';
import type {
	HandlerCall,
	Hearing,
	LinkObservation,
	MigrationObservation,
	MonotonicMs,
	ResourceName,
	ResourceObservation,
	VmName,
	VmObservation,
} from '#src/ports.ts';
import type { Persisted } from '#src/store/record.ts';

/**
 * - `unknown`: nothing heard of it since this agent started, and not yet silent for D.
 * - `online`: beats arrive. `suspect`: three beats missed on every link.
 * - `agent-down`: no beats, but DRBD is connected or its kernel answers: hold.
 * - `lost`: silent for D and no resource connected. `left`: it said goodbye. `out`: proven out.
 */
export type PeerStatus = 'unknown' | 'online' | 'suspect' | 'agent-down' | 'lost' | 'left' | 'out';

/** A proof that the peer cannot run anything (docs/protocol.md, section 4). */
export interface Proof {
	readonly kind: 'left' | 'power-off' | 'person' | 'self-fenced';
	/** When the evidence was last seen. */
	readonly atMs: MonotonicMs;
	readonly by: string;
	/** Of a power-off: the level whose devices all read off. */
	readonly level?: number;
}

export interface PeerState {
	readonly status: PeerStatus;
	readonly statusSinceMs: MonotonicMs;
	readonly hearing: Hearing | null;
	readonly hearingSinceMs: MonotonicMs;
	/** When it was last heard, rather some beats too early than too late; null before the first one. */
	readonly heardMs: MonotonicMs | null;
	readonly echoed: boolean;
	/** When we sent the youngest beat that it echoed, as last told; null: none since this agent started. */
	readonly echoedMs: MonotonicMs | null;
	/** Both hosts heard each other in this run of the agent. */
	readonly met: boolean;
	readonly lagMs: number;
	/** Boot id of the peer as last accepted. */
	readonly bootId: string | null;
	readonly document: PeerDocument | null;
	readonly links: readonly LinkObservation[];
	readonly linksAtMs: MonotonicMs;
	/** Per link that is not up: since when. */
	readonly linkSilentSinceMs: Readonly<Record<string, MonotonicMs>>;
	readonly gatewayAnswers: boolean | null;
	readonly gatewayAnsweredAtMs: MonotonicMs | null;
	/** No resource is connected since then; null while one is. */
	readonly unreplicatedSinceMs: MonotonicMs | null;
	readonly proof: Proof | null;
	/** Last answers of its fence devices, by level; null where a level was not read yet. */
	readonly power: readonly (LevelPower | null)[];
	/** Answers to what was asked until then hold back no later question: nobody waited, or an `off` came after it. */
	readonly powerStaleMs: MonotonicMs | null;
}

/** One loss of replication of one resource. */
interface Loss {
	/** Counts the losses of this boot of the agent. */
	readonly number: number;
	readonly sinceMs: MonotonicMs;
	readonly over: boolean;
	/** When a fence-peer handler was last answered 4 or 7 for it; null before. */
	readonly answeredMs: MonotonicMs | null;
}

export interface VmState {
	/** Starts after a crash or a failed start within the window, oldest first. */
	readonly restartsMs: readonly MonotonicMs[];
	/** It ran or was started here and did not end by a wish of the guest or of a person: its next start is a restart. */
	readonly restarting: boolean;
	/** Given up until a person starts it again; the reason. */
	readonly gaveUp: string | null;
	/** A person, a hand-over or a takeover by a person ordered this start: it is done even when disarmed. */
	readonly ordered: boolean;
	/** A person asked to let the paused domain run. */
	readonly unpauseOrdered: boolean;
	/** Asked to shut down at that time. */
	readonly shutdownAskedMs: MonotonicMs | null;
	/** It ran and vanished without a reason at that time. */
	readonly vanishedMs: MonotonicMs | null;
	/** Since when this run of the agent sees it run here. */
	readonly runsSinceMs: MonotonicMs | null;
	/** Since when it is to run here and does not. */
	readonly notRunningSinceMs: MonotonicMs | null;
	/** When its open hand-over was first seen by this run of the agent. */
	readonly journalSinceMs: MonotonicMs | null;
	/** When the start was first wanted but something held it; with the reason, for status. */
	readonly hold: string | null;
}

export interface InFlight {
	readonly action: CarriedAction;
	readonly sinceMs: MonotonicMs;
}

export interface Retry {
	readonly failures: number;
	/** How many of the last ends in a row were unknown: the tool did not end in its time. */
	readonly unknowns: number;
	readonly notBeforeMs: MonotonicMs;
	readonly detail: string;
}

export interface PendingCall extends HandlerCall {
	readonly sinceMs: MonotonicMs;
}

export interface PendingRequest {
	readonly id: string;
	readonly request: Request;
	readonly at: string;
	readonly sinceMs: MonotonicMs;
	/** It has written what it asked for, and waits for others to know it; it is written once. */
	readonly written?: boolean;
}

interface Observed<Value> {
	readonly value: Value;
	readonly atMs: MonotonicMs;
}

/** `anew`: no mark was seen when it began, so one that is seen is of this request; `done`: the mark was read back. */
interface Outdating extends Pick<OutdateAnswer, 'loss' | 'session'> {
	readonly anew: boolean;
	readonly done: boolean;
}

export interface State extends Burden, Plans {
	readonly config: EngineConfig;
	readonly bootId: string;
	readonly session: string;
	readonly startedAtMs: MonotonicMs;
	readonly steppedAtMs: MonotonicMs;
	/** Since when steps come in time: ticks come every second, a longer gap is a stall of our own. */
	readonly steadySinceMs: MonotonicMs;
	/** False when the agent found no state file: it learns from the peer or seeds jointly, and says so. */
	readonly stateFileFound: boolean;
	readonly persisted: Persisted;
	readonly peer: PeerState;
	readonly fencing: FencingState;
	/** Null before the first observation; `unknownSinceMs` is set while the tool does not answer. */
	readonly resources: Observed<Readonly<Record<ResourceName, ResourceObservation>>> | null;
	readonly resourcesUnknownSinceMs: MonotonicMs | null;
	readonly vms: Observed<Readonly<Record<VmName, VmObservation>>> | null;
	readonly vmsUnknownSinceMs: MonotonicMs | null;
	/** What live migrations have on this host, as the last look at the domains showed. */
	readonly twins: Readonly<Record<VmName, MigrationObservation>>;
	/** What this run of the agent knows of live migrations; absent: nothing. */
	readonly migrations: Readonly<Record<VmName, MigrationMemory>>;
	/** Whether both hosts may be Primary, by this host's setting; absent: not read in this run. */
	readonly twoPrimaries: Readonly<Record<ResourceName, boolean>>;
	readonly freeMemoryMib: number;
	readonly vmStates: Readonly<Record<VmName, VmState>>;
	/** Data generation of an unconnected Secondary, to compare with the peer's (`compareRule`). */
	readonly ownGenerations: Readonly<Record<ResourceName, readonly string[]>>;
	/** Resources whose data generation was read since they last began to write alone. */
	readonly generationsRead: Readonly<Record<ResourceName, boolean>>;
	/**
	 * Whether DRBD compared the copies since the own disk was last seen without a connection and of unknown worth: it
	 * calls a `Consistent` disk UpToDate that connects to a host without any. Absent: not known in this run.
	 */
	readonly compared: Readonly<Record<ResourceName, boolean>>;
	/** When the last reading was asked for that showed both copies connected and in one data generation. */
	readonly mirroredAtMs: Readonly<Record<ResourceName, MonotonicMs>>;
	/** The request that the own copy is outdated for. */
	readonly outdating: Readonly<Record<ResourceName, Outdating>>;
	readonly losses: Readonly<Record<ResourceName, Loss>>;
	readonly releases: Readonly<Record<ResourceName, Release>>;
	/** What copies that stand apart carry, as read last. */
	readonly evidence: Readonly<Record<ResourceName, Evidence>>;
	/** Resources of which the kernel reported a split brain, until they replicate again. */
	readonly splitReports: Readonly<Record<ResourceName, true>>;
	readonly resolves: Readonly<Record<ResourceName, Resolve>>;
	readonly stuck: Readonly<Record<ResourceName, Stuck>>;
	readonly giveUps: Readonly<Record<ResourceName, GiveUp>>;
	/** Wall-clock time of the last look at the domains, ISO 8601, for people; empty before the first. */
	readonly wallClock: string;
	/** Requests to the peer to outdate its copy, with the record that will follow. */
	readonly outdateRequests: Readonly<Record<ResourceName, OutdateRequest>>;
	readonly outdateAnswers: Readonly<Record<ResourceName, OutdateAnswer>>;
	/** Resources whose Consistent copy was found to carry the peer's, or the recorded, data generation in this run. */
	readonly verified: Readonly<Record<ResourceName, true>>;
	/** Resources that this host may start alone in this boot although it has not joined (section 8). */
	readonly aloneAllowed: Readonly<Record<ResourceName, true>>;
	/** Resources whose stale data a person accepted in this run: nothing else is asked before they start. */
	readonly staleAccepted: Readonly<Record<ResourceName, true>>;
	readonly calls: readonly PendingCall[];
	readonly requests: readonly PendingRequest[];
	readonly forwarded: readonly ForwardedRequest[];
	readonly forwardedReplies: readonly ForwardedReply[];
	readonly tellings: PeerDocument['tellings'];
	readonly inFlight: readonly InFlight[];
	readonly nextId: number;
	readonly retries: Readonly<Record<string, Retry>>;
	/** Connects of a resource that DRBD gave up, under the generation that `detail` says. */
	readonly reconnects: Readonly<Record<ResourceName, Retry>>;
	/** The own fence device, as the peer would use it, is not this host's. */
	readonly ownDeviceWrong: boolean;
	/** Null before the first preflight. */
	readonly armBlockers: readonly string[] | null;
	/** Why the disk of the state file takes nothing: the next decision would end this agent. */
	readonly diskProblem: string | null;
	readonly witness: WitnessState;
	readonly left: boolean;
	/** The leave came to its end in this run, with or without a goodbye: the agent ends. */
	readonly leaveDone: boolean;
	readonly stretched: boolean;
	readonly documentSeq: number;
	/** The document that was published last, to publish only changes. */
	readonly published: PeerDocument | null;
}

export interface Step {
	readonly state: State;
	/** Made durable before any action of this step starts; null when nothing durable changed. */
	readonly persist: Persisted | null;
	readonly actions: readonly Action[];
	readonly notes: readonly Note[];
	/** When the engine wants to be asked again at the latest; null when the next tick will do. */
	readonly wakeAtMs: MonotonicMs | null;
	/** Before this time no rule has anything to do unless an event brings news; 0 when one may have at once. */
	readonly restUntilMs: MonotonicMs;
}

/** Who this run of the agent is: the kernel's boot id and a fresh name for the run. */
export interface Identity {
	readonly bootId: string;
	readonly session: string;
}

const initialPeer = (persisted: Persisted | null, nowMs: MonotonicMs): PeerState => ({
	status: 'unknown',
	statusSinceMs: nowMs,
	hearing: null,
	hearingSinceMs: nowMs,
	heardMs: null,
	echoed: false,
	echoedMs: null,
	met: false,
	lagMs: 0,
	bootId: persisted?.peerBootIds.at(-1) ?? null,
	document: null,
	links: [],
	linksAtMs: nowMs,
	linkSilentSinceMs: {},
	gatewayAnswers: null,
	gatewayAnsweredAtMs: null,
	unreplicatedSinceMs: nowMs,
	proof: null,
	power: [],
	powerStaleMs: null,
});

/**
 * The state of an agent that has just started.
 * @param persisted the state file's content, null when there is none.
 * @param nowMs monotonic time of the start, ms.
 */
export const initialState = (
	config: EngineConfig,
	persisted: Persisted | null,
	identity: Identity,
	nowMs: MonotonicMs,
): State => ({
	config,
	...identity,
	startedAtMs: nowMs,
	steppedAtMs: nowMs,
	steadySinceMs: nowMs,
	stateFileFound: persisted !== null,
	persisted: { ...(persisted ?? emptyRecord(config)), bootId: identity.bootId },
	peer: initialPeer(persisted, nowMs),
	fencing: {
		tries: [],
		notBeforeMs: nowMs,
		powerOnDue: [],
		openBefore: null,
		hold: null,
		targetedUntilMs: 0,
	},
	resources: null,
	resourcesUnknownSinceMs: nowMs,
	vms: null,
	vmsUnknownSinceMs: nowMs,
	twins: {},
	migrations: {},
	twoPrimaries: {},
	freeMemoryMib: 0,
	vmStates: {},
	ownGenerations: {},
	generationsRead: {},
	compared: {},
	mirroredAtMs: {},
	outdating: {},
	losses: {},
	releases: {},
	evidence: {},
	splitReports: {},
	resolves: {},
	stuck: {},
	giveUps: {},
	wallClock: '',
	outdateRequests: {},
	outdateAnswers: {},
	verified: {},
	aloneAllowed: {},
	staleAccepted: {},
	calls: [],
	requests: [],
	forwarded: [],
	forwardedReplies: [],
	tellings: [],
	inFlight: [],
	nextId: 1,
	retries: {},
	reconnects: {},
	ownDeviceWrong: false,
	armBlockers: null,
	diskProblem: null,
	witness: initialWitness(persisted, nowMs),
	left: false,
	leaveDone: false,
	...noPlans,
	...unburdened,
	stretched: false,
	documentSeq: 0,
	published: null,
});
