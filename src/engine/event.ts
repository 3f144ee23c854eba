import type { Request } from '#src/api/request.ts';
import type { EngineConfig } from '#src/engine/config.ts';
import type { HealthReading, LoadSample } from '#src/ports-load.ts';
import type { Vote, WatchdogObservation, WitnessAnswer } from '#src/ports-witness.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import type {
	HandlerCall,
	Hearing,
	HypervisorObservation,
	LinkObservation,
	MonotonicMs,
	Outcome,
	ResourceName,
	ResourceObservation,
} from '#src/ports.ts';

/** What happened or was seen. Observations are whole: a lost or repeated one is harmless. */
export type Event =
	/** Time has passed; sent at least once a second and at `wakeAtMs`. */
	| { readonly type: 'tick' }
	| { readonly type: 'config-changed'; readonly config: EngineConfig }
	/** Everything DRBD shows; null when DRBD could not be asked in time (unknown, not "nothing"). */
	| {
			readonly type: 'replication-observed';
			readonly resources: readonly ResourceObservation[] | null;
	  }
	/** `at`: wall-clock time, ISO 8601, only for what people read. */
	| {
			readonly type: 'hypervisor-observed';
			readonly observation: HypervisorObservation | null;
			readonly at?: string;
			/** When the look began; without it nothing of it counts as verified. */
			readonly beganMs?: MonotonicMs;
	  }
	/** The kernel called its split-brain handler: DRBD found it and gave the connection up. */
	| { readonly type: 'split-brain-reported'; readonly resource: ResourceName }
	| {
			readonly type: 'links-observed';
			readonly links: readonly LinkObservation[];
			/** False when the gateway was asked and did not answer; null when none is configured. */
			readonly gatewayAnswers: boolean | null;
	  }
	| {
			readonly type: 'hearing-changed';
			readonly hearing: Hearing;
			/** Boot id of the peer accepted in a handshake that answered our nonce; null before the first. */
			readonly bootId: string | null;
			/** True while the peer echoes our beats: both directions work. */
			readonly echoed: boolean;
			/** When we sent the youngest beat that the peer has echoed; null: none that is known. */
			readonly echoedMs: MonotonicMs | null;
			/** The peer's main-loop lag as it reports it, ms. */
			readonly peerLagMs: number;
	  }
	/** Answer to a renewal or a read of the heartbeat thread; null: none in time. */
	| { readonly type: 'witness-observed'; readonly answer: WitnessAnswer | null }
	/** Sent at each change and every second: a vote that is not told again ends by itself. */
	| {
			readonly type: 'vote-observed';
			readonly vote: Vote;
			/** Sending time of the youngest vote; null without any. */
			readonly votedMs: MonotonicMs | null;
	  }
	/** The heartbeat thread obeys: from now on it echoes, or does not. */
	| {
			readonly type: 'echo-changed';
			readonly echoing: boolean;
			/** The last beat of the peer that was received on any path; null: none in this run. */
			readonly heardMs: MonotonicMs | null;
	  }
	| { readonly type: 'watchdog-observed'; readonly watchdog: WatchdogObservation | null }
	| { readonly type: 'document-received'; readonly document: PeerDocument }
	| { readonly type: 'handler-called'; readonly call: HandlerCall }
	/** The handler's client went away; its answer is not awaited any more. */
	| { readonly type: 'handler-gone'; readonly call: string }
	/** Preflight findings that forbid arming, as sentences with remedies; empty when all is well. */
	| {
			readonly type: 'preflight-observed';
			readonly blockers: readonly string[];
			/** What this host reads of its own fence device is not what the peer would fence. */
			readonly ownDeviceWrong: boolean;
	  }
	/** How busy this host was since the reading before; null: it could not be read. */
	| { readonly type: 'load-observed'; readonly sample: LoadSample | null }
	/** The answer of one health check of this host. */
	| { readonly type: 'health-observed'; readonly reading: HealthReading }
	/** Why the disk of the state file takes nothing, in words of the system; null: it takes what is written. */
	| { readonly type: 'disk-observed'; readonly problem: string | null }
	/** What this host tells its receivers of alerts, for the peer to know. It decides nothing. */
	| { readonly type: 'tellings-changed'; readonly tellings: PeerDocument['tellings'] }
	/** `at`: wall-clock time, ISO 8601, only for what people read. */
	| {
			readonly type: 'requested';
			readonly id: string;
			readonly request: Request;
			readonly at: string;
	  }
	| { readonly type: 'action-ended'; readonly id: number; readonly outcome: Outcome };
