import type { Answer, Frame, Hello } from '#src/heartbeat/beat.ts';
import type { DropReason } from '#src/heartbeat/drop.ts';

/** Who we are, and whom we expect, on every connection. */
export interface Introduction {
	readonly pairId: string;
	readonly peer: string;
	readonly bootId: string;
	readonly session: string;
}

/** One connection's handshake: my nonce, and the peer's hello once it came. */
export interface Handshake {
	readonly nonce: string;
	readonly hello: Hello | null;
}

export type Shaken =
	| { readonly result: 'waiting'; readonly handshake: Handshake; readonly answer: Answer | null }
	/** The peer answered my fresh nonce: it runs now, in this boot and session. */
	| { readonly result: 'proven'; readonly bootId: string; readonly session: string }
	| { readonly result: 'refused'; readonly reason: DropReason };

const refused = (reason: DropReason): Shaken => ({ result: 'refused', reason });

/**
 * Takes one frame of a connection that is not authenticated yet. A boot id counts only when its
 * holder answers the nonce that this connection just sent: a recorded hello proves nothing (V13).
 */
export const shake = (handshake: Handshake, frame: Frame, me: Introduction): Shaken => {
	if (frame.type === 'hello') {
		const { hello } = frame;
		if (handshake.hello !== null) return refused('unexpected-frame');
		if (hello.pairId !== me.pairId) return refused('wrong-pair');
		if (hello.host !== me.peer) return refused('wrong-host');
		const answer = { bootId: me.bootId, session: me.session, nonce: hello.nonce };
		return { result: 'waiting', handshake: { ...handshake, hello }, answer };
	}
	if (frame.type !== 'answer' || handshake.hello === null) return refused('unexpected-frame');
	const { answer } = frame;
	if (answer.nonce !== handshake.nonce) return refused('stale-nonce');
	if (answer.bootId !== handshake.hello.bootId) return refused('other-boot');
	if (answer.session !== handshake.hello.session) return refused('other-session');
	return { result: 'proven', bootId: answer.bootId, session: answer.session };
};

/** As many superseded boots as the durable record keeps. */
const supersededMax = 256;

/** The peer's present boot and session, and those that never count again. */
export interface PeerIdentity {
	/** The present boot; before the first handshake the last one known. */
	readonly bootId: string | null;
	/** Null before the first handshake of this run. */
	readonly session: string | null;
	readonly supersededBootIds: readonly string[];
	readonly supersededSessions: readonly string[];
}

/** `knownBootIds`: the peer's boots ever seen, oldest first; the last one may still be the present one. */
export const createPeerIdentity = (knownBootIds: readonly string[]): PeerIdentity => {
	const bootId = knownBootIds.at(-1) ?? null;
	return {
		bootId,
		session: null,
		supersededBootIds: knownBootIds.filter((known) => known !== bootId).slice(-supersededMax),
		supersededSessions: [],
	};
};

export type Identified =
	| { readonly result: 'same' | 'changed'; readonly identity: PeerIdentity }
	| { readonly result: 'refused'; readonly reason: 'old-boot' | 'old-session' };

/**
 * Takes the boot and session that a handshake has proven. Once another one took its place, a boot or
 * session never counts as new again: frames that were long under way must not look like a reboot.
 */
export const identify = (identity: PeerIdentity, bootId: string, session: string): Identified => {
	if (identity.supersededBootIds.includes(bootId)) return { result: 'refused', reason: 'old-boot' };
	if (identity.supersededSessions.includes(session))
		return { result: 'refused', reason: 'old-session' };
	if (identity.bootId === bootId && identity.session === session)
		return { result: 'same', identity };
	const supersede = (list: readonly string[], old: string | null, present: string) =>
		old === null || old === present ? list : [...list, old].slice(-supersededMax);
	return {
		result: 'changed',
		identity: {
			bootId,
			session,
			supersededBootIds: supersede(identity.supersededBootIds, identity.bootId, bootId),
			supersededSessions: supersede(identity.supersededSessions, identity.session, session),
		},
	};
};
