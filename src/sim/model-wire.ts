import type { DetectorState } from '#src/heartbeat/detector.ts';
import type { Hearing } from '#src/ports.ts';
import type { StreamStage } from '#src/sim/model-migration.ts';
import type { Timer } from '#src/sim/queue.ts';
import type { Prng } from '#src/std/prng.ts';
import { between, chance } from '#src/std/prng.ts';

/** Links that lose and delay what they carry, as plain data. While one does, beats are simulated one by one. */

/** What a direction of a path does to packets. */
export interface Impairment {
	/** So many of a hundred packets are lost, and sent again by TCP. */
	readonly lossPercent: number;
	/** A packet arrives up to this much later. */
	readonly jitterMs: number;
}

/** What an agent's failure detector makes of the beats. */
export interface Ears {
	hearing: Hearing | null;
	/** Beats arrive now on some link. */
	flowing: boolean;
	echoed: boolean;
	/** Our clock's time of the youngest beat that was echoed before it ended; null: none. */
	echoedMs: number | null;
	lastBeatMs: number;
	bootId: string | null;
	timer: Timer | null;
	stretch: 1 | 3;
	/** Hears single beats while links lose or delay packets; null: on sound links beats are not simulated. */
	listener: Listener | null;
}

/** A beat under way. Times with `true` in their name are of the world, the others of one host's clock. */
export interface BeatFrame {
	readonly session: string;
	readonly bootId: string;
	readonly sentMs: number;
	readonly sentTrueMs: number;
	/** The youngest beat of the receiver that the sender had received on this connection. */
	readonly echo: { readonly sentMs: number; readonly sentTrueMs: number } | null;
	/** The echo is a promise not to act (V2). */
	readonly promises: boolean;
}

/** One network's heartbeat connection, and what the network does to it. */
export interface Wire {
	/** By sending host. */
	readonly impaired: [Impairment | null, Impairment | null];
	/** Counts connections: what was sent on an older one never arrives. */
	connections: number;
	/** By sending host: nothing overtakes what was sent before it, in true time. */
	readonly lastArrivalMs: [number, number];
	/** DRBD's packets are being sent again: nothing of it passes at the moment. */
	replicationWaits: boolean;
	/** Somebody looks whether it does. */
	strained: boolean;
	/** Until then the streams of live migrations stand still here, whatever else passes. */
	streamsHangUntilMs: number;
	/** The next one that gets to this stage stands still there for so long. */
	streamHangsIn: { readonly stage: StreamStage; readonly forMs: number } | null;
}

/** A heartbeat thread that hears beat by beat. */
export interface Listener {
	detector: DetectorState;
	/** The run of the peer's agent whose beats were heard last. */
	peerSession: string | null;
	/** By network: the last beat received on the present connection, and when ours were last echoed there. */
	readonly links: Map<string, { received: BeatFrame | null; acknowledgedMs: number }>;
	roundMs: number;
	/** Beats that wait in sockets while the thread stands still. */
	readonly unread: { readonly network: string; readonly connection: number; frame: BeatFrame }[];
	/** What was last seen, and what of it the loop was last told. */
	seen: string;
	told: string;
	telling: boolean;
	deadline: Timer | null;
}

export const createWire = (): Wire => ({
	impaired: [null, null],
	connections: 0,
	lastArrivalMs: [0, 0],
	replicationWaits: false,
	strained: false,
	streamsHangUntilMs: 0,
	streamHangsIn: null,
});

/** True while some link between the hosts loses or delays packets. */
export const isDegraded = (world: {
	readonly networks: readonly { readonly wire: Wire }[];
}): boolean =>
	world.networks.some(({ wire }) => wire.impaired[0] !== null || wire.impaired[1] !== null);

/** What a step of a scenario says of a path; null: it is sound. */
export const impairmentOf = (step: { loss: number; jitter: number }): Impairment | null =>
	step.loss === 0 && step.jitter === 0 ? null : { lossPercent: step.loss, jitterMs: step.jitter };

/** TCP sends a lost packet again after this long, and doubles it each time. */
const retransmitMs = 200;
const retransmitsMax = 7;

/** How much longer one packet takes, ms. */
export const extraMs = (random: Prng, impairment: Impairment | null): number => {
	if (impairment === null) return 0;
	let ms = between(random, 0, impairment.jitterMs);
	for (let times = 0; times < retransmitsMax; times += 1) {
		if (!chance(random, impairment.lossPercent / 100)) break;
		ms += retransmitMs * 2 ** times;
	}
	return ms;
};
