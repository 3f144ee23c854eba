import type { DetectorTiming } from '#src/heartbeat/detector.ts';
import type { DropReason } from '#src/heartbeat/drop.ts';
import type { PeerNote } from '#src/heartbeat/recorder.ts';
import type { Hearing, HostName, LinkObservation, MonotonicMs } from '#src/ports.ts';
import type { Vote, WatchdogObservation, WitnessAnswer } from '#src/ports-witness.ts';
import type { LeaseOrders, LeaseTiming } from '#src/witness/lease.ts';

/** One network between the hosts. Addresses are IP addresses: a name would need a resolver to answer. */
export interface ChannelLink {
	readonly name: string;
	/** The network device whose carrier is watched, or null. */
	readonly device: string | null;
	readonly listenAddress: string;
	readonly listenPort: number;
	readonly peerAddress: string;
	readonly peerPort: number;
}

interface ChannelTls {
	readonly certificatePem: string;
	readonly keyPem: string;
	/** SHA-256 of the peer's certificate, as `vmpair keygen` printed it there. */
	readonly peerFingerprint256: string;
}

export interface ChannelOptions {
	readonly self: HostName;
	readonly peer: HostName;
	readonly pairId: string;
	/** Kernel boot id of this host, and one id for this run of the agent. */
	readonly bootId: string;
	readonly session: string;
	readonly links: readonly ChannelLink[];
	readonly tls: ChannelTls;
	readonly timing: DetectorTiming;
	/** Boot ids of the peer ever seen, oldest first; all but the last are refused (V13). */
	readonly knownBootIds: readonly string[];
	/** Null in a pair without a witness. */
	readonly voter: VoterOptions | null;
}

/** What the thread needs to count votes. */
export interface VoterOptions {
	readonly host: HostName;
	readonly bootId: string;
	readonly timing: LeaseTiming;
	/** False: an earlier run of the agent may have a claim under way (V2). */
	readonly echoing: boolean;
	/** An earlier run of the agent had stopped the watchdog of the disarmed pair (V17). */
	readonly released: boolean;
	/** URL of the module whose `openVoter(settings)` makes the thread's connections, and what it is given. */
	readonly module: string;
	readonly settings: unknown;
}

/** The fields of the engine's `hearing-changed`. */
export interface HearingReport {
	readonly hearing: Hearing;
	readonly bootId: string | null;
	readonly echoed: boolean;
	readonly echoedMs: MonotonicMs | null;
	readonly peerLagMs: number;
}

export interface ChannelCounters {
	readonly dropped: Readonly<Record<DropReason, number>>;
	/** Those of them that came from the peer. */
	readonly droppedOfPeer: Readonly<Record<DropReason, number>>;
	/** Authenticated connections that were opened, and closed again for any reason. */
	readonly connections: number;
	readonly disconnections: number;
	/** Connections ended because the peer echoed nothing in time. */
	readonly unacknowledged: number;
	readonly beatsReceived: number;
	/** Beats not sent because the connection's buffer was full. */
	readonly beatsWithheld: number;
	readonly documentsReceived: number;
	/** The longest time without any beat between two beats of one session of the peer, ms. */
	readonly worstBeatGapMs: number;
	/** The longest time between two rounds of our own beats, ms. */
	readonly worstSendGapMs: number;
}

/** Something an admin should read; the same text comes at most once a minute. */
export interface ChannelNotice {
	readonly level: 'info' | 'warn';
	readonly message: string;
	readonly fields: Readonly<Record<string, string | number>>;
}

/** What the agent wants of the heartbeat thread; whole values, the newest wins. */
export interface Orders {
	/** The JSON of the newest document. */
	readonly document: string;
	readonly factor: 1 | 3;
	/** Notes for the peer to keep, oldest first; what waits is added to. */
	readonly notes: readonly PeerNote[];
}

/** What the heartbeat thread found; whole values, the newest wins. */
export interface Report {
	/** Answer to the last renewal or read; null: none in time. */
	readonly witness: WitnessAnswer | null;
	readonly vote: { readonly vote: Vote; readonly votedMs: MonotonicMs | null };
	readonly echo: { readonly echoing: boolean; readonly heardMs: MonotonicMs | null };
	/** What the feeder shows; null: no feeder answers. */
	readonly watchdog: WatchdogObservation | null;
	readonly hearing: HearingReport;
	readonly links: readonly LinkObservation[];
	/** The JSON of the peer's newest document. */
	readonly document: string;
	/** Notes of the peer, oldest first; what waits is added to. */
	readonly peerNotes: readonly PeerNote[];
	readonly counters: ChannelCounters;
	readonly notices: readonly ChannelNotice[];
}

/** Handed to the thread at its start. */
export interface WorkerInput {
	readonly options: ChannelOptions;
	/**
	 * Two 64-bit integers: the main loop's last tick in nanoseconds of the monotonic clock, and the thread's rounds of
	 * beats so far. Each of the two sees by them that the other one turns.
	 */
	readonly turns: SharedArrayBuffer;
}

export type ToWorker =
	| { readonly type: 'orders'; readonly orders: Partial<Orders> }
	/** Not in the mailbox: it must arrive although this loop may hang right after. */
	| { readonly type: 'lease'; readonly orders: LeaseOrders }
	| { readonly type: 'taken' }
	| { readonly type: 'stop' };

export type FromWorker =
	| { readonly type: 'ready' }
	| { readonly type: 'taken' }
	| { readonly type: 'report'; readonly report: Partial<Report> };
