import type { DropReason } from '#src/heartbeat/drop.ts';
import type { Handshake } from '#src/heartbeat/handshake.ts';

/** A WebSocket to a holder of the pinned certificate; the agent behind it still has to prove itself. */
export interface Connection {
	/** Does nothing once the connection is closed. */
	readonly send: (text: string) => void;
	/** Bytes that wait to be sent. */
	readonly bufferedBytes: () => number;
	/** The agent behind it is authenticated: the time limit for that ends. */
	readonly accept: () => void;
	/** Ends it at once, without a farewell that would wait for a dead peer. */
	readonly terminate: () => void;
}

/** A run of the peer's agent that answered our nonce. */
export interface Proven {
	readonly bootId: string;
	readonly session: string;
}

/** One connection, and what its peer has proven so far. */
export interface Session {
	readonly link: string;
	readonly connection: Connection;
	handshake: Handshake;
	/** Null until the peer answered our nonce. */
	peer: Proven | null;
	received: { readonly seq: number; readonly atMs: number } | null;
	echo: number;
	/** When the peer last echoed a newer beat of ours here. */
	acknowledgedMs: number;
	/** Revision of the document last sent here. */
	revision: number;
}

/** Why a frame does not come from the run of the peer's agent that is behind its connection; null when it does. */
export const foreignTo = (
	proven: Proven,
	peer: string,
	from: Proven & { readonly host: string },
): DropReason | null => {
	if (from.host !== peer) return 'wrong-host';
	if (from.bootId !== proven.bootId) return 'other-boot';
	return from.session === proven.session ? null : 'other-session';
};
