import test from 'ava';
import fc from 'fast-check';
import type { Frame } from '#src/heartbeat/beat.ts';
import { createPeerIdentity, identify, shake } from '#src/heartbeat/handshake.ts';
import type { Handshake, Shaken } from '#src/heartbeat/handshake.ts';

const alpha = { pairId: 'pair', peer: 'beta', bootId: 'boot-a', session: 'session-a' };
const hello = {
	protocolVersion: 1,
	pairId: 'pair',
	host: 'beta',
	bootId: 'boot-b',
	session: 'session-b',
	nonce: 'nonce-of-beta-0123',
} as const;
const greeting: Frame = { type: 'hello', hello };
const greeted: Handshake = { nonce: 'nonce-of-alpha-012', hello };
const answer = (change: object): Frame => ({
	type: 'answer',
	answer: { bootId: 'boot-b', session: 'session-b', nonce: greeted.nonce, ...change },
});
const reason = (shaken: Shaken): string | null =>
	shaken.result === 'refused' ? shaken.reason : null;

test('a peer is proven by its hello and its answer to my nonce', (t) => {
	const first = shake({ ...greeted, hello: null }, greeting, alpha);
	t.deepEqual(first, {
		result: 'waiting',
		handshake: greeted,
		answer: { bootId: 'boot-a', session: 'session-a', nonce: hello.nonce },
	});
	t.deepEqual(shake(greeted, answer({}), alpha), {
		result: 'proven',
		bootId: 'boot-b',
		session: 'session-b',
	});
});

test('everything else is refused', (t) => {
	const empty = { ...greeted, hello: null };
	const other = (change: object): Frame => ({ type: 'hello', hello: { ...hello, ...change } });
	t.is(reason(shake(empty, other({ pairId: 'pair-2' }), alpha)), 'wrong-pair');
	t.is(reason(shake(empty, other({ host: 'alpha' }), alpha)), 'wrong-host');
	t.is(reason(shake(greeted, greeting, alpha)), 'unexpected-frame');
	t.is(reason(shake(empty, answer({}), alpha)), 'unexpected-frame');
	t.is(reason(shake(greeted, answer({ nonce: hello.nonce }), alpha)), 'stale-nonce');
	t.is(reason(shake(greeted, answer({ bootId: 'boot-c' }), alpha)), 'other-boot');
	t.is(reason(shake(greeted, answer({ session: 'session-c' }), alpha)), 'other-session');
});

test('a boot or session that another one replaced never counts again', (t) => {
	const boots = fc.constantFrom<string>('boot-1', 'boot-2', 'boot-3', 'boot-4');
	const runs = fc.array(fc.tuple(boots, fc.constantFrom('s-1', 's-2', 's-3')), { maxLength: 30 });
	fc.assert(
		fc.property(fc.uniqueArray(boots), runs, (known, list) => {
			let identity = createPeerIdentity(known);
			const oldBoots = new Set<string>(known.slice(0, -1));
			const oldSessions = new Set<string>();
			for (const [bootId, session] of list) {
				const identified = identify(identity, bootId, session);
				const old = oldBoots.has(bootId) || oldSessions.has(session);
				if ((identified.result === 'refused') !== old) return false;
				if (identified.result === 'refused') continue;
				if (identity.bootId !== null && identity.bootId !== bootId) oldBoots.add(identity.bootId);
				if (identity.session !== null && identity.session !== session)
					oldSessions.add(identity.session);
				({ identity } = identified);
			}
			return true;
		}),
	);
	t.pass();
});

test('what is remembered of old boots is bounded', (t) => {
	let identity = createPeerIdentity([]);
	for (let boot = 0; boot < 1000; boot += 1) {
		const identified = identify(identity, `boot-${boot}`, `session-${boot}`);
		if (identified.result !== 'refused') ({ identity } = identified);
	}
	t.is(identity.supersededBootIds.length, 256);
	t.is(identity.supersededBootIds.at(-1), 'boot-998');
});
