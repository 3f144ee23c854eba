import { assert } from '#src/std/assert.ts';
import type { Hearing, LinkObservation, MonotonicMs } from '#src/ports.ts';

/** The part of the timing table that the detector needs; milliseconds. */
export interface DetectorTiming {
	readonly beatIntervalMs: number;
	/** Three beats: this long without one makes a link silent, and the peer suspect when every link is. */
	readonly suspectMs: number;
	/** D: nothing on any link for this long, and the peer is silent. */
	readonly detectionMs: number;
}

interface LinkState {
	readonly link: string;
	/** When the last beat came in on this link; moved forward by our own stalls. */
	readonly heardMs: MonotonicMs | null;
	readonly carrier: boolean | null;
	/** Carrier is lost and no beat has come since. A beat proves the path, whatever the device says. */
	readonly gone: boolean;
	readonly refused: boolean;
	readonly rttMs: number | null;
}

export interface DetectorState {
	readonly timing: DetectorTiming;
	readonly factor: 1 | 3;
	readonly nowMs: MonotonicMs;
	/** The last beat on any link, or the start of listening; moved forward by our own stalls. */
	readonly heardMs: MonotonicMs;
	/** When we sent the youngest beat that the peer has echoed. Never moved: it stands for a promise. */
	readonly echoedMs: MonotonicMs | null;
	readonly links: readonly LinkState[];
}

/** What was observed; with the time of it, an input. */
export type Observed =
	| { readonly type: 'tick' }
	| {
			readonly type: 'beat';
			readonly link: string;
			/** When the beat that this one echoes was sent; null when it echoes none. */
			readonly echoedSentMs: MonotonicMs | null;
			readonly rttMs: number | null;
	  }
	| { readonly type: 'carrier'; readonly link: string; readonly carrier: boolean | null }
	| { readonly type: 'refused'; readonly link: string; readonly refused: boolean }
	| { readonly type: 'factor'; readonly factor: 1 | 3 }
	/** Another boot or another run of the peer's agent: what the one before echoed says nothing of it. */
	| { readonly type: 'identity' };
export type DetectorInput = { readonly nowMs: MonotonicMs } & Observed;

export interface Detection {
	readonly hearing: Hearing;
	/** Both directions work: a beat of the peer echoed one of ours that is younger than D. */
	readonly echoed: boolean;
	/** When we sent the youngest beat that the peer has echoed; null: none in this run of its agent. */
	readonly echoedMs: MonotonicMs | null;
	readonly links: readonly LinkObservation[];
	/** The earliest time at which the passing of time alone changes something; null when never. */
	readonly nextMs: MonotonicMs | null;
}

/** A detector that begins to listen at `nowMs`: suspect until the first beat, silent after D without one. */
export const createDetector = (
	links: readonly string[],
	timing: DetectorTiming,
	nowMs: MonotonicMs,
): DetectorState => ({
	timing,
	factor: 1,
	nowMs,
	heardMs: nowMs,
	echoedMs: null,
	links: links.map((link) => ({
		link,
		heardMs: null,
		carrier: null,
		gone: false,
		refused: false,
		rttMs: null,
	})),
});

/** Takes one input. Time never runs backwards: an older `nowMs` counts as the newest one seen. */
export const detect = (before: DetectorState, input: DetectorInput): DetectorState => {
	const state = advance(before, input.nowMs);
	switch (input.type) {
		case 'tick':
			return state;
		case 'factor':
			return { ...state, factor: input.factor };
		case 'identity':
			return { ...state, echoedMs: null };
		case 'refused':
			return change(state, input.link, (link) => ({ ...link, refused: input.refused }));
		case 'carrier':
			return change(state, input.link, (link) => ({
				...link,
				carrier: input.carrier,
				gone: input.carrier === false && (link.gone || link.carrier !== false),
			}));
		case 'beat':
			return accept(state, input.link, input.echoedSentMs, input.rttMs);
	}
};

/** What the state says at its own `nowMs`. */
export const observe = (state: DetectorState): Detection => {
	const { nowMs, echoedMs } = state;
	const detectionMs = state.timing.detectionMs * state.factor;
	const up = (link: LinkState): boolean =>
		link.heardMs !== null && !link.gone && nowMs - link.heardMs < state.timing.suspectMs;
	const silent = nowMs - state.heardMs >= detectionMs;
	const changes = [state.heardMs + detectionMs];
	if (echoedMs !== null) changes.push(echoedMs + detectionMs);
	for (const link of state.links)
		if (link.heardMs !== null) changes.push(link.heardMs + state.timing.suspectMs);
	const coming = changes.filter((atMs) => atMs > nowMs);
	return {
		hearing: silent ? 'silent' : state.links.some(up) ? 'online' : 'suspect',
		echoed: echoedMs !== null && nowMs - echoedMs < detectionMs,
		echoedMs,
		links: state.links.map((link) => ({
			link: link.link,
			state: up(link) ? 'up' : 'silent',
			carrier: link.carrier,
			refused: link.refused,
			rttMs: link.rttMs,
		})),
		nextMs: coming.length === 0 ? null : Math.min(...coming),
	};
};

/**
 * While this thread did not run it could not hear, and beats may wait unread: a stall of our own is
 * not silence of the peer. It counts as one beat interval, so that a thread that always runs late
 * still finds out in the end.
 */
const advance = (state: DetectorState, nowMs: MonotonicMs): DetectorState => {
	const passedMs = nowMs - state.nowMs;
	if (!(passedMs > 0)) return state;
	const { beatIntervalMs, suspectMs } = state.timing;
	if (passedMs < suspectMs) return { ...state, nowMs };
	const excusedMs = Math.max(0, passedMs - beatIntervalMs);
	return {
		...state,
		nowMs,
		heardMs: state.heardMs + excusedMs,
		links: state.links.map((link) =>
			link.heardMs === null ? link : { ...link, heardMs: link.heardMs + excusedMs },
		),
	};
};

const accept = (
	state: DetectorState,
	name: string,
	echoedSentMs: MonotonicMs | null,
	rttMs: number | null,
): DetectorState => {
	const { nowMs, echoedMs } = state;
	const heard = change(state, name, (link) => ({
		...link,
		heardMs: nowMs,
		gone: false,
		refused: false,
		rttMs: rttMs ?? link.rttMs,
	}));
	if (echoedSentMs === null || echoedSentMs > nowMs) return { ...heard, heardMs: nowMs };
	// The age of an echo counts from the sending of the beat echoed, so a delayed packet proves nothing new.
	return { ...heard, heardMs: nowMs, echoedMs: Math.max(echoedMs ?? echoedSentMs, echoedSentMs) };
};

const change = (
	state: DetectorState,
	name: string,
	to: (link: LinkState) => LinkState,
): DetectorState => {
	assert(
		state.links.some((link) => link.link === name),
		`${name} is a configured link`,
	);
	return { ...state, links: state.links.map((link) => (link.link === name ? to(link) : link)) };
};
