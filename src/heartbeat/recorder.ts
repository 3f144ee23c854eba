import * as z from 'zod';
import type { MonotonicMs } from '#src/ports.ts';

/**
 * The flight recorder: what each agent says in its log goes to the other host as well, which keeps it for the day when
 * this one is dead. It travels in small frames of its own beside the beats, never in one, and only where nothing waits
 * to be sent: it may be late or lost, a beat may not.
 */

const fieldSchema = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** A sentence of the other host's log. */
export const peerNoteSchema = z.strictObject({
	/** Wall-clock time on its host, ISO 8601. */
	at: z.string().max(64),
	level: z.enum(['info', 'warn', 'error']),
	message: z.string().max(512),
	fields: z.record(z.string().max(128), fieldSchema),
});

export type PeerNote = Readonly<z.infer<typeof peerNoteSchema>>;

/** So many sentences wait for a link, the newest. */
export const waitingMax = 256;
/** With the frame around it, TLS and TCP it fits into one packet of an Ethernet, bytes. */
const frameBytesMax = 1100;
/** The beat that was just written is still under way; more than that means that the line is busy, bytes. */
const quietMaxBytes = 4096;
/** What went out this short a time before its connection broke may not have arrived, ms. */
const uncertainMs = 2000;

const bytesOf = (note: PeerNote): number => new TextEncoder().encode(JSON.stringify(note)).length;

/** A note cut down to what fits into a frame: the sentence stays, fields go when they are too long. */
export const cutNote = (note: PeerNote): PeerNote => {
	const message = note.message.slice(0, 256);
	const short = { ...note, message };
	return bytesOf(short) <= frameBytesMax - 300 ? short : { ...short, fields: { cut: true } };
};

/** A connection as far as the recorder uses it. */
interface RecorderSession {
	readonly peer: object | null;
	readonly connection: {
		readonly send: (text: string) => void;
		readonly bufferedBytes: () => number;
	};
}

/** Notes of a frame; the first one has this number. */
export interface Notes {
	readonly first: number;
	readonly notes: readonly PeerNote[];
}

export interface Recorder {
	/** Takes own notes, to be sent. */
	readonly take: (notes: readonly PeerNote[]) => void;
	/** Sends at most one frame, over one connection that is not busy. */
	readonly send: (
		sessions: Iterable<RecorderSession>,
		nowMs: MonotonicMs,
		encode: (notes: Notes) => string,
	) => void;
	/** A connection broke: what may have been lost with it goes out again. */
	readonly broken: (nowMs: MonotonicMs) => void;
	/** Those of the peer's notes that are new; `session` is the run of its agent. */
	readonly heard: (session: string, notes: Notes) => readonly PeerNote[];
}

export const createRecorder = (): Recorder => {
	let waiting: readonly { readonly seq: number; readonly note: PeerNote }[] = [];
	let taken = 0;
	let sent = 0;
	let frames: readonly { readonly before: number; readonly atMs: MonotonicMs }[] = [];
	let heard = { session: '', last: 0 };

	const nextFrame = (): Notes | null => {
		const due = waiting.filter(({ seq }) => seq > sent);
		const [first] = due;
		if (first === undefined) return null;
		let bytes = 0;
		const end = due.findIndex(({ note }) => {
			bytes += bytesOf(note) + 1;
			return bytes > frameBytesMax - 200;
		});
		const notes = due.slice(0, end === -1 ? due.length : Math.max(1, end));
		return { first: first.seq, notes: notes.map(({ note }) => note) };
	};

	return {
		take: (notes) => {
			const numbered = notes.map((note) => ({ seq: (taken += 1), note }));
			waiting = [...waiting, ...numbered].slice(-waitingMax);
		},
		send: (sessions, nowMs, encode) => {
			frames = frames.filter(({ atMs }) => nowMs - atMs < uncertainMs);
			for (const { peer, connection } of sessions) {
				if (peer === null || connection.bufferedBytes() > quietMaxBytes) continue;
				const frame = nextFrame();
				if (frame === null) return;
				frames = [...frames, { before: sent, atMs: nowMs }];
				sent = frame.first + frame.notes.length - 1;
				connection.send(encode(frame));
				return;
			}
		},
		broken: (nowMs) => {
			const uncertain = frames.filter(({ atMs }) => nowMs - atMs < uncertainMs);
			sent = Math.min(sent, ...uncertain.map(({ before }) => before));
			frames = [];
		},
		heard: (session, { first, notes }) => {
			const last = heard.session === session ? heard.last : 0;
			const fresh = notes.filter((_note, index) => first + index > last);
			heard = { session, last: Math.max(last, first + notes.length - 1) };
			return fresh;
		},
	};
};
