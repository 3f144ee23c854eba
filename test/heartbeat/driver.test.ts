import net from 'node:net';
import process from 'node:process';
import type { Worker } from 'node:worker_threads';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { encodeAnswer, encodeBeat, encodeDocument, encodeHello } from '#src/heartbeat/beat.ts';
import type { Beat, Hello } from '#src/heartbeat/beat.ts';
import type { DropReason } from '#src/heartbeat/drop.ts';
import { PeerChannel } from '#src/heartbeat/driver.ts';
import type { VmpairError } from '#src/std/error.ts';
import {
	createCable,
	createDocument,
	createIdentities,
	createLink,
	createOptions,
	dialAs,
	freeEndpoint,
	listen,
	timing,
	until,
} from '#test/heartbeat/peers.ts';
import type { Listening, Stranger } from '#test/heartbeat/peers.ts';

const identities = createIdentities();

/** Both channels over the given number of links, each through a cable that can go dead. */
const createPair = async (t: ExecutionContext, count: number) => {
	const keys = await identities;
	const links = [];
	const cables = [];
	for (let number = 1; number <= count; number += 1) {
		const beta = freeEndpoint();
		const cable = await createCable(t, beta);
		cables.push(cable);
		// The loopback device always has carrier; of one that does not exist nothing is known.
		const device = number === 1 ? 'lo' : 'no-such-device';
		links.push(createLink(`link-${number}`, { via: cable, beta, device }));
	}
	const [alpha, beta] = await Promise.all([
		listen(
			t,
			createOptions(
				'alpha',
				links.map((link) => link.alpha),
				keys,
			),
		),
		listen(
			t,
			createOptions(
				'beta',
				links.map((link) => link.beta),
				keys,
			),
		),
	]);
	return { alpha, beta, cables };
};

const together = async (...all: Listening[]): Promise<void> =>
	await until('both are online and echoed, on every link', () =>
		all.every(
			(one) =>
				one.hearing() === 'online' &&
				one.hearings.at(-1)?.echoed === true &&
				[...one.links.values()].every((link) => link.state === 'up' && link.rttMs !== null),
		),
	);

test('two hosts find each other and exchange their documents', async (t) => {
	const { alpha, beta, cables } = await createPair(t, 2);
	alpha.channel.publish(createDocument(alpha.options, 1, 'the first'));
	await together(alpha, beta);
	beta.channel.publish(createDocument(beta.options, 1, 'of beta'));
	await until('the documents arrive', () => alpha.documents.length + beta.documents.length >= 2);
	alpha.channel.publish(createDocument(alpha.options, 2, 'the second'));
	await until('the second document arrives', () => beta.documents.length >= 2);
	t.deepEqual(
		beta.documents.map((document) => document.pair.by),
		['the first', 'the second'],
		'each document comes once although there are two links',
	);
	t.is(alpha.documents[0]?.pair.by, 'of beta');
	t.is(alpha.hearings.at(-1)?.bootId, 'boot-of-beta');
	t.is(beta.hearings.at(-1)?.bootId, 'boot-of-alpha');
	t.true((alpha.links.get('link-1')?.rttMs ?? Infinity) < timing.suspectMs);
	await until('carrier is known', () => alpha.links.get('link-1')?.carrier === true);
	t.is(alpha.links.get('link-2')?.carrier, null);
	t.is(beta.hearings[0]?.bootId, null, 'nothing is claimed before the first handshake');

	const before = [alpha.hearings.length, beta.hearings.length];
	const { connections } = beta.channel.counters();
	for (const cable of cables) cable.reset();
	await until(
		'broken connections are opened again',
		() => beta.channel.counters().connections >= connections + 2,
	);
	await together(alpha, beta);
	const after = [...alpha.hearings.slice(before[0]), ...beta.hearings.slice(before[1])];
	t.true(after.every(({ hearing }) => hearing !== 'silent'));
	t.is(beta.documents.length, 2, 'a document that is sent again is not new');
});

test('one dead link leaves the peer online; with the last one it is suspect, then silent', async (t) => {
	const { alpha, beta, cables } = await createPair(t, 2);
	await together(alpha, beta);
	const before = alpha.hearings.length;
	cables[0]?.kill();
	await until('the link is silent', () => alpha.links.get('link-1')?.state === 'silent');
	alpha.channel.publish(createDocument(alpha.options, 1));
	await until('the other link brings documents', () => beta.documents.length === 1);
	t.is(alpha.links.get('link-2')?.state, 'up');
	t.true(alpha.hearings.slice(before).every(({ hearing }) => hearing === 'online'));

	const deadMs = performance.now();
	cables[1]?.kill();
	await until('alpha is silent', () => alpha.hearing() === 'silent');
	const [suspect, silent] = alpha.hearings.filter(({ hearing }) => hearing !== 'online').slice(-2);
	t.is(suspect?.hearing, 'suspect');
	const toleratedMs = 2 * timing.beatIntervalMs;
	t.true((suspect?.atMs ?? 0) - deadMs > timing.suspectMs - toleratedMs, 'not too early');
	t.true((silent?.atMs ?? 0) - deadMs > timing.detectionMs - toleratedMs, 'not too early');
	await until('no echo is young enough', () => alpha.hearings.at(-1)?.echoed === false);
	t.false(alpha.links.get('link-1')?.refused, 'a dead host refuses nothing');

	alpha.channel.publish(createDocument(alpha.options, 2, 'written while apart'));
	for (const cable of cables) cable.heal();
	await together(alpha, beta);
	await until('the document arrives', () => beta.documents.length === 2);
	t.is(beta.documents[1]?.pair.by, 'written while apart');
	t.true(alpha.channel.counters().unacknowledged > 0, 'old connections were given up');
});

test('a stopped agent is told from a dead host: its kernel refuses, on either side', async (t) => {
	const keys = await identities;
	const link = createLink('link-1');
	const alpha = await listen(t, createOptions('alpha', [link.alpha], keys));
	const beta = await listen(t, createOptions('beta', [link.beta], keys));
	await together(alpha, beta);
	await beta.channel.stop();
	await until('alpha is refused', () => alpha.links.get('link-1')?.refused === true);
	const again = await listen(t, createOptions('beta', [link.beta], keys));
	await together(alpha, again);
	t.false(alpha.links.get('link-1')?.refused);
	t.is(alpha.hearings.at(-1)?.bootId, 'boot-of-beta', 'another session of the same boot');
	await alpha.channel.stop();
	await until('beta is refused', () => again.links.get('link-1')?.refused === true);
	await until('alpha is silent', () => again.hearing() === 'silent');
});

// Alone, because the cables of the other tests run on this main loop.
test.serial(
	'a main loop blocked for longer than D is reported as lag, not as silence',
	async (t) => {
		const keys = await identities;
		const link = createLink('link-1');
		const one = await listen(t, createOptions('alpha', [link.alpha], keys));
		const two = await listen(t, createOptions('beta', [link.beta], keys));
		await together(one, two);
		const before = one.hearings.length;
		const endMs = performance.now() + 1600;
		while (performance.now() < endMs);
		await until('the lag is reported', () =>
			one.hearings.slice(before).some(({ peerLagMs }) => peerLagMs >= 1000),
		);
		t.true(one.hearings.slice(before).every(({ hearing }) => hearing === 'online'));
		t.true(one.channel.counters().worstBeatGapMs < timing.detectionMs);
		await until('the lag is over', () => (one.hearings.at(-1)?.peerLagMs ?? Infinity) < 1000);
	},
);

test('a certificate that is not the pinned one is refused by either side', async (t) => {
	const keys = await identities;
	const link = createLink('link-1');
	const beta = await listen(t, createOptions('beta', [link.beta], keys));
	const impostor = { ...keys, alpha: keys.other };
	const alpha = await listen(t, createOptions('alpha', [link.alpha], impostor));
	await until('beta refuses', () => beta.channel.counters().dropped['wrong-certificate'] > 0);
	await alpha.channel.stop();
	const credulous = createOptions('alpha', [link.alpha], keys);
	const wrongPin = { ...credulous.tls, peerFingerprint256: keys.other.fingerprint256 };
	const careful = await listen(t, { ...credulous, tls: wrongPin });
	await until('alpha refuses', () => careful.channel.counters().dropped['wrong-certificate'] > 0);
	t.is(beta.hearings.at(-1)?.bootId, null);
	t.is(careful.hearings.at(-1)?.bootId, null);
	t.true(beta.notices.some((notice) => notice.includes('fingerprints')));
});

const knownBootIds = ['boot-0', 'boot-1'];

/** One channel for the tests that speak to it frame by frame; they run one after the other. */
const lonely = identities.then(async (keys) => {
	const link = createLink('link-1').beta;
	const beta = await listen(null, createOptions('beta', [link], keys, { knownBootIds }));
	const dropped = async (reason: DropReason, count = 1): Promise<void> =>
		await until(`${reason} is counted`, () => beta.channel.counters().dropped[reason] >= count);
	return { beta, keys, dropped, at: { address: link.listenAddress, port: link.listenPort } };
});
test.after.always(async () => await (await lonely).beta.channel.stop());

test.serial('garbage on the port is dropped and counted, and the agent lives', async (t) => {
	const { beta, keys, dropped, at } = await lonely;
	const noise = net.connect({ host: at.address, port: at.port });
	noise.on('error', () => {});
	noise.write('GET / HTTP/1.1\r\n\r\n');
	await dropped('tls-failed');
	const nobody = await dialAs(t, at, null);
	await dropped('wrong-certificate');
	await until('a stranger without certificate is out', nobody.closed);
	const early = net.connect({ host: at.address, port: at.port });
	early.once('connect', () => early.destroy());
	await dropped('closed-early');
	for (const [reason, text] of [
		['malformed', 'what is this'],
		['malformed', `hello ${'['.repeat(4000)}`],
		['malformed', Buffer.from([0, 1, 2, 3])],
		['oversized', `hello ${' '.repeat(8192)}`],
		['oversized', `document ${' '.repeat(2 * 1024 * 1024)}`],
		['unknown-version', 'hello {"protocolVersion":999}'],
		['unexpected-frame', 'document {"pairId":"p","host":"h","bootId":"b","session":"s","seq":1}'],
	] as const) {
		const count = beta.channel.counters().dropped[reason] + 1;
		const stranger = await dialAs(t, at, keys.alpha);
		stranger.send(text);
		await dropped(reason, count);
		await until('the connection is closed', stranger.closed);
	}
	t.is(beta.hearings.at(-1)?.bootId, null);
	t.true(beta.notices.some((notice) => notice.includes('protocol version')));
});

const hello: Hello = {
	protocolVersion: 1,
	pairId: 'pair-1',
	host: 'alpha',
	bootId: 'boot-1',
	session: 'session-1',
	nonce: 'a-nonce-of-alpha-0123456789',
};

const beat: Beat = {
	host: 'alpha',
	bootId: 'boot-1',
	session: 'session-1',
	seq: 1,
	echo: null,
	promises: true,
	heldMs: 0,
	lagMs: 0,
};

/** The nonce that a channel sent to the stranger. */
const nonceOf = async (stranger: Stranger): Promise<string> => {
	await until('the channel greets', () => stranger.received.length > 0);
	const greeting = JSON.parse(stranger.received[0]?.slice('hello '.length) ?? '') as Hello;
	return greeting.nonce;
};

const introduce = async (stranger: Stranger, bootId: string, session: string): Promise<void> => {
	stranger.send(encodeHello({ ...hello, bootId, session }));
	stranger.send(encodeAnswer({ bootId, session, nonce: await nonceOf(stranger) }));
};

test.serial('a frame of another boot, session, host or pair ends its connection', async (t) => {
	const { beta, keys, dropped, at } = await lonely;
	for (const [reason, changed] of [
		['wrong-pair', { pairId: 'pair-2' }],
		['wrong-host', { host: 'gamma' }],
	] as const) {
		const stranger = await dialAs(t, at, keys.alpha);
		stranger.send(encodeHello({ ...hello, ...changed }));
		await dropped(reason);
		await until('the connection is closed', stranger.closed);
	}
	let run = 0;
	for (const [reason, changed] of [
		['other-boot', { bootId: 'boot-9' }],
		['other-session', { session: 'session-9' }],
		['wrong-host', { host: 'gamma' }],
		['unknown-echo', { echo: 1_000_000 }],
	] as const) {
		run += 1;
		const session = `session-${run}-of-alpha`;
		const count = beta.channel.counters().dropped[reason] + 1;
		const stranger = await dialAs(t, at, keys.alpha);
		await introduce(stranger, 'boot-1', session);
		stranger.send(encodeBeat({ ...beat, session, ...changed }));
		await dropped(reason, count);
		await until('the connection is closed', stranger.closed);
	}
	t.true(beta.hearings.every(({ hearing }) => hearing !== 'online'));
});

test.serial('a boot counts only with an answer to a fresh nonce, and never twice', async (t) => {
	const { beta, keys, dropped, at } = await lonely;
	const first = await dialAs(t, at, keys.alpha);
	const nonce = await nonceOf(first);
	await introduce(first, 'boot-1', 'session-1');
	first.send(encodeBeat(beat));
	await until('alpha is online', () => beta.hearing() === 'online');
	t.is(beta.hearings.at(-1)?.bootId, 'boot-1');

	// Everything of the first connection once more, word for word.
	const replay = await dialAs(t, at, keys.alpha);
	replay.send(encodeHello(hello));
	replay.send(encodeAnswer({ bootId: 'boot-1', session: 'session-1', nonce }));
	await dropped('stale-nonce');

	await introduce(await dialAs(t, at, keys.alpha), 'boot-0', 'session-0');
	await dropped('old-boot');
	const rebooted = await dialAs(t, at, keys.alpha);
	await introduce(rebooted, 'boot-2', 'session-2');
	await until('the new boot counts', () => beta.hearings.at(-1)?.bootId === 'boot-2');
	await until('the connection of the boot before is closed', first.closed);
	await introduce(await dialAs(t, at, keys.alpha), 'boot-1', 'session-1');
	await dropped('old-boot', 2);
	t.is(beta.hearings.at(-1)?.bootId, 'boot-2');

	const document = { ...createDocument(beta.options, 1), host: 'alpha', bootId: 'boot-2' };
	const sent = { ...document, session: 'session-2' };
	rebooted.send(encodeDocument(JSON.stringify({ ...sent, more: 'than is known' })));
	await dropped('invalid-document');
	rebooted.send(encodeDocument(JSON.stringify({ ...sent, seq: 2 })));
	await until('a valid document arrives', () => beta.documents.length === 1);
	t.is(beta.documents[0]?.seq, 2);
	const before = beta.channel.counters().dropped['other-boot'];
	rebooted.send(encodeDocument(JSON.stringify({ ...sent, seq: 3, bootId: 'boot-1' })));
	await dropped('other-boot', before + 1);
	await until('the connection is closed', rebooted.closed);
	t.is(beta.documents.length, 1);
});

// Alone, so that the thread it ends is its own.
test.serial('a heartbeat thread that dies is reported, so that the agent can exit', async (t) => {
	const keys = await identities;
	const threads: Worker[] = [];
	const collect = (worker: Worker): void => void threads.push(worker);
	process.on('worker', collect);
	const options = createOptions('alpha', [createLink('link-1').alpha], keys);
	const channel = new PeerChannel(options);
	const errors: VmpairError[] = [];
	channel.onFailed((error) => errors.push(error));
	t.teardown(() => channel.stop());
	await channel.start();
	process.off('worker', collect);
	t.is(threads.length, 1);
	await threads[0]?.terminate();
	await until('the failure is reported', () => errors.length === 1);
	t.is(errors[0]?.code, 'heartbeat-failed');
});

test('sockets that do not authenticate are few, and closed in time', async (t) => {
	const { beta, keys, dropped, at } = await lonely;
	const idle = Array.from({ length: 12 }, () => net.connect({ host: at.address, port: at.port }));
	for (const socket of idle) {
		socket.on('error', () => {});
		t.teardown(() => socket.destroy());
	}
	await dropped('too-many-connections', 4);
	await dropped('late-authentication', 8);
	await until('all are closed', () => idle.every((socket) => socket.closed));
	const alpha = await dialAs(t, at, keys.alpha);
	await introduce(alpha, 'boot-3', 'session-3');
	await until('the peer is let in', () => beta.hearings.at(-1)?.bootId === 'boot-3');
	t.pass();
});

test('what cannot work is refused with a remedy', async (t) => {
	const keys = await identities;
	const link = createLink('link-1').alpha;
	const options = createOptions('alpha', [link], keys);
	const named = { ...options, links: [{ ...link, peerAddress: 'beta.example' }] };
	t.is(t.throws(() => new PeerChannel(named))?.message.includes('not an IP address'), true);
	const unpinned = { ...options, tls: { ...options.tls, peerFingerprint256: 'AB:CD' } };
	t.throws(() => new PeerChannel(unpinned), { code: 'heartbeat-invalid' });
	const document = createDocument(options, 1);
	const huge = { ...document, version: 'x'.repeat(1024 * 1024) };
	t.throws(() => new PeerChannel(options).publish(huge), { code: 'document-too-large' });
	const keyless = new PeerChannel({ ...options, tls: { ...options.tls, keyPem: 'no key' } });
	await t.throwsAsync(keyless.start(), { code: 'heartbeat-failed' });
	await keyless.stop();
});
