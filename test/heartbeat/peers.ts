import { randomInt, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import type { ExecutionContext } from 'ava';
import { WebSocket } from 'ws';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import { PeerChannel } from '#src/heartbeat/driver.ts';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';
import type { Identity } from '#src/heartbeat/driver-identity.ts';
import type { ChannelLink, ChannelOptions, HearingReport } from '#src/heartbeat/message.ts';
import type { LinkObservation } from '#src/ports.ts';

/** Short, yet long enough for a busy machine. */
export const timing = { beatIntervalMs: 100, suspectMs: 400, detectionMs: 1200 };

/** Waits for a condition; fails with its description. */
export const until = async (
	description: string,
	holds: () => boolean,
	limitMs = 10_000,
): Promise<void> => {
	const endMs = performance.now() + limitMs;
	while (!holds()) {
		if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${description}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
};

/** Two hosts' identities in a temporary folder. */
export const createIdentities = async (): Promise<Record<'alpha' | 'beta' | 'other', Identity>> => {
	const folder = await mkdtemp(path.join(tmpdir(), 'vmpair-heartbeat-'));
	try {
		const [alpha, beta, other] = await Promise.all(
			(['alpha', 'beta', 'other'] as const).map((host) =>
				createIdentity(path.join(folder, host), host),
			),
		);
		if (alpha === undefined || beta === undefined || other === undefined)
			throw new Error('three identities');
		return { alpha, beta, other };
	} finally {
		await rm(folder, { recursive: true });
	}
};

interface Endpoint {
	readonly address: string;
	readonly port: number;
}

/** An address and a port that no other test uses. */
export const freeEndpoint = (): Endpoint => ({
	address: `127.${randomInt(1, 255)}.${randomInt(0, 255)}.${randomInt(1, 255)}`,
	port: randomInt(10_000, 30_000),
});

/** One link's two ends, as alpha and beta configure them. */
export const createLink = (
	name: string,
	options: {
		/** Where alpha, who dials, finds beta: a cable before it. */
		readonly via?: Endpoint;
		readonly beta?: Endpoint;
		readonly device?: string;
	} = {},
): { alpha: ChannelLink; beta: ChannelLink } => {
	const alpha = freeEndpoint();
	const beta = options.beta ?? freeEndpoint();
	const end = (here: Endpoint, there: Endpoint): ChannelLink => ({
		name,
		device: options.device ?? null,
		listenAddress: here.address,
		listenPort: here.port,
		peerAddress: there.address,
		peerPort: there.port,
	});
	return { alpha: end(alpha, options.via ?? beta), beta: end(beta, alpha) };
};

export const createOptions = (
	self: 'alpha' | 'beta',
	links: readonly ChannelLink[],
	identities: Record<'alpha' | 'beta', Identity>,
	change: Partial<ChannelOptions> = {},
): ChannelOptions => {
	const peer = self === 'alpha' ? 'beta' : 'alpha';
	return {
		self,
		peer,
		pairId: 'pair-1',
		bootId: `boot-of-${self}`,
		session: randomUUID(),
		links,
		tls: {
			certificatePem: identities[self].certificatePem,
			keyPem: identities[self].keyPem,
			peerFingerprint256: identities[peer].fingerprint256,
		},
		timing,
		knownBootIds: [],
		voter: null,
		...change,
	};
};

/** A started channel and everything it reported. */
export interface Listening {
	readonly channel: PeerChannel;
	readonly options: ChannelOptions;
	readonly hearings: (HearingReport & { readonly atMs: number })[];
	readonly links: Map<string, LinkObservation>;
	readonly documents: PeerDocument[];
	readonly notices: string[];
	/** Sentences of the peer's log. */
	readonly recorded: string[];
	readonly hearing: () => HearingReport['hearing'] | undefined;
}

/** Without a test, the caller stops the channel. */
export const listen = async (
	t: ExecutionContext | null,
	options: ChannelOptions,
): Promise<Listening> => {
	const channel = new PeerChannel(options);
	const listening: Listening = {
		channel,
		options,
		hearings: [],
		links: new Map(),
		documents: [],
		notices: [],
		recorded: [],
		hearing: () => listening.hearings.at(-1)?.hearing,
	};
	channel.onHearing((hearing) => listening.hearings.push({ ...hearing, atMs: performance.now() }));
	channel.onLinks((links) => {
		for (const link of links) listening.links.set(link.link, link);
	});
	channel.onDocument((document) => listening.documents.push(document));
	channel.onPeerNotes((notes) => listening.recorded.push(...notes.map(({ message }) => message)));
	channel.onNotice((notice) => listening.notices.push(notice.message));
	t?.teardown(() => channel.stop());
	await channel.start();
	return listening;
};

export const createDocument = (options: ChannelOptions, seq: number, by = ''): PeerDocument => ({
	protocolVersion: 1,
	pairId: options.pairId,
	host: options.self,
	bootId: options.bootId,
	session: options.session,
	seq,
	heard: null,
	joined: false,
	armBlockers: [],
	deviceWrong: false,
	leaving: false,
	left: false,
	leaveSeen: false,
	standby: false,
	emptied: false,
	pair: { generation: 0, armed: false, by, reason: '', at: '' },
	configDigest: '',
	version: '0',
	freeMemoryMib: 0,
	load: null,
	critical: [],
	records: {},
	sights: {},
	openFence: null,
	outdateRequests: [],
	outdateAnswers: [],
	resolveOrders: [],
	forwarded: [],
	forwardedReplies: [],
	tellings: [],
	witness: null,
	arbiter: null,
});

/** A cable that can go dead: nothing is forwarded, and nothing is closed either. */
export interface Cable extends Endpoint {
	readonly kill: () => void;
	readonly heal: () => void;
	/** Closes every connection, as a restarted switch would not, but a firewall does. */
	readonly reset: () => void;
}

export const createCable = async (t: ExecutionContext, to: Endpoint): Promise<Cable> => {
	const here = freeEndpoint();
	const ends = new Set<net.Socket>();
	let dead = false;
	const server = net.createServer((near) => {
		const far = net.connect({ host: to.address, port: to.port });
		for (const [from, other] of [
			[near, far],
			[far, near],
		] as const) {
			ends.add(from);
			if (dead) from.pause();
			from.on('data', (data) => other.write(data));
			if (dead) from.pause();
			from.on('error', () => other.destroy());
			from.on('close', () => {
				ends.delete(from);
				// A dead cable carries no farewell either.
				if (!dead) other.destroy();
			});
		}
	});
	await new Promise<void>((resolve) => server.listen(here.port, here.address, resolve));
	const reset = (): void => {
		for (const end of ends) end.destroy();
	};
	t.teardown(() => {
		reset();
		server.close();
	});
	return {
		...here,
		reset,
		kill: () => {
			dead = true;
			for (const end of ends) end.pause();
		},
		heal: () => {
			dead = false;
			for (const end of ends) end.resume();
		},
	};
};

/** Speaks to a channel with the given identity, frame by frame. */
export interface Stranger {
	readonly received: string[];
	readonly send: (text: string | Buffer) => void;
	readonly closed: () => boolean;
}

export const dialAs = async (
	t: ExecutionContext,
	to: Endpoint,
	identity: Pick<Identity, 'certificatePem' | 'keyPem'> | null,
): Promise<Stranger> => {
	const socket = tls.connect({
		host: to.address,
		port: to.port,
		rejectUnauthorized: false,
		...(identity === null ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
	});
	const received: string[] = [];
	let closed = false;
	socket.on('error', () => {});
	socket.on('close', () => (closed = true));
	t.teardown(() => socket.destroy());
	await until('the stranger is connected', () => closed || socket.getProtocol() === 'TLSv1.3');
	const webSocket = new WebSocket('ws://peer/', { createConnection: () => socket });
	webSocket.on('error', () => {});
	webSocket.on('close', () => (closed = true));
	webSocket.on('message', (data) => received.push((data as Buffer).toString('utf8')));
	await until('the stranger is open', () => closed || webSocket.readyState === WebSocket.OPEN);
	return { received, send: (text) => webSocket.send(text, () => {}), closed: () => closed };
};
