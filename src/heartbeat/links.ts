import { readFile } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { frameMaxBytes } from '#src/heartbeat/beat.ts';
import type { DropReason } from '#src/heartbeat/drop.ts';
import { normalizeFingerprint } from '#src/heartbeat/fingerprint.ts';
import type { ChannelLink } from '#src/heartbeat/message.ts';
import type { Connection } from '#src/heartbeat/session.ts';

/** A peer whose kernel lives answers a connect within a round trip. */
const connectMs = 1000;
/** From the TCP connect to the agent's answer to our nonce; generous for slow processors. */
const authenticateMs = 3000;
/** Waits before the next attempt; the last one repeats. */
const backoffMs = [50, 100, 200, 400, 500] as const;
/** Connections that have not authenticated yet, from the peer's address and from all others. */
const strangersMax = 8;
const listenRetryMs = 1000;

const webSocketLimits = {
	perMessageDeflate: false,
	maxPayload: frameMaxBytes,
	maxFragments: 64,
	maxBufferedChunks: 16 * 1024,
	skipUTF8Validation: false,
} as const;

export interface ConnectionHandlers {
	readonly text: (text: string) => void;
	readonly closed: () => void;
}

export interface LinkHandlers {
	readonly connected: (connection: Connection) => ConnectionHandlers;
	/** `fromPeer`: it came from the peer's address, or its certificate was proven. */
	readonly dropped: (reason: DropReason, detail: string, fromPeer: boolean) => void;
	/** Whether the peer's kernel refused the last connect: its host lives, its agent does not. */
	readonly refused: (refused: boolean) => void;
	/** What `readCarrier` found; null when that cannot be known. */
	readonly carrier: (carrier: boolean | null) => void;
	/** The own address could not be listened on; it is tried again. */
	readonly notListening: (detail: string) => void;
}

export interface LinkOptions {
	readonly link: ChannelLink;
	/**
	 * Exactly one host dials per link, so two connections never compete. The other one only asks the
	 * peer's kernel, by a bare connect, whether an agent listens there while it hears nothing.
	 */
	readonly dials: boolean;
	readonly certificatePem: string;
	readonly keyPem: string;
	readonly peerFingerprint256: string;
}

interface Stranger {
	readonly fromPeer: boolean;
	readonly limit: NodeJS.Timeout;
}

/** One link's sockets. Addresses are IP addresses, so nothing here waits for a resolver or a disk. */
export class LinkSockets {
	readonly #options: LinkOptions;
	readonly #handlers: LinkHandlers;
	readonly #identity: tls.SecureContextOptions & { readonly rejectUnauthorized: false };
	readonly #listener: net.Server;
	readonly #secure: tls.Server;
	readonly #http: http.Server;
	readonly #upgrader: WebSocketServer;
	/** What is known of sockets that have not authenticated yet, by their remote end. */
	readonly #strangers = new Map<string, Stranger>();
	readonly #sockets = new Set<net.Socket>();
	#accepted = 0;
	#attempts = 0;
	#attempting = false;
	#carrierAskedMs: number | null = null;
	#retry: NodeJS.Timeout | null = null;
	#listenRetry: NodeJS.Timeout | null = null;
	#closed = false;

	constructor(options: LinkOptions, handlers: LinkHandlers) {
		this.#options = options;
		this.#handlers = handlers;
		// No CA: both certificates are self-signed, and the pin is the whole check (see `#pinned`).
		this.#identity = {
			cert: options.certificatePem,
			key: options.keyPem,
			// Also spares this thread the list of public CAs, which takes memory and time to read.
			ca: [],
			minVersion: 'TLSv1.3',
			rejectUnauthorized: false,
		};
		this.#listener = net.createServer((socket) => this.#admit(socket));
		this.#secure = tls.createServer({ ...this.#identity, requestCert: true }, (socket) =>
			this.#greet(socket),
		);
		this.#http = http.createServer({ maxHeaderSize: 4096 });
		this.#upgrader = new WebSocketServer({
			noServer: true,
			clientTracking: false,
			...webSocketLimits,
		});
		this.#wire();
	}

	/** Listens and begins to dial, or to ask; resolves when it listens or has failed to for the first time. */
	start(): Promise<void> {
		this.#attemptSoon();
		return new Promise((resolve) => {
			this.#listener.once('listening', resolve);
			this.#listener.once('error', () => resolve());
			this.#listen();
		});
	}

	/** Closes every socket at once. */
	close(): void {
		this.#closed = true;
		if (this.#retry !== null) clearTimeout(this.#retry);
		if (this.#listenRetry !== null) clearTimeout(this.#listenRetry);
		for (const socket of this.#sockets) socket.destroy();
		this.#listener.close();
	}

	/**
	 * Asks whether the link's device has carrier; no answer within `limitMs` is unknown. Asynchronous,
	 * because a network driver may make a reader of its device wait.
	 */
	readCarrier(limitMs: number): void {
		const { device } = this.#options.link;
		if (device === null) return;
		const nowMs = performance.now();
		if (this.#carrierAskedMs !== null) {
			if (nowMs - this.#carrierAskedMs > limitMs) this.#handlers.carrier(null);
			return;
		}
		this.#carrierAskedMs = nowMs;
		readFile(`/sys/class/net/${device}/carrier`, 'latin1', (error, text) => {
			this.#carrierAskedMs = null;
			// A device that is administratively down reads as EINVAL: it carries nothing.
			if (error !== null) this.#handlers.carrier(error.code === 'EINVAL' ? false : null);
			else this.#handlers.carrier(text.trim() === '1');
		});
	}

	#listen(): void {
		const { listenAddress, listenPort } = this.#options.link;
		this.#listener.listen({ host: listenAddress, port: listenPort, backlog: 16 });
	}

	#wire(): void {
		// At boot the address may not be there yet, so a failed listen is tried again for ever.
		this.#listener.on('error', (error) => {
			if (this.#closed) return;
			this.#handlers.notListening(error.message);
			this.#listenRetry = setTimeout(() => this.#listen(), listenRetryMs);
		});
		this.#secure.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
			const early = error.code === 'ECONNRESET';
			this.#dropped(early ? 'closed-early' : 'tls-failed', error.message, socket);
			socket.destroy();
		});
		this.#http.on('clientError', (error, socket) => {
			this.#handlers.dropped('not-websocket', error.message, true);
			socket.destroy();
		});
		this.#http.on('request', (request) => {
			this.#handlers.dropped('not-websocket', 'a plain HTTP request', true);
			request.socket.destroy();
		});
		this.#http.on('upgrade', (request, socket, head) => {
			if (this.#options.dials) {
				this.#handlers.dropped('unexpected-dial', 'this host is the one that dials', true);
				socket.destroy();
				return;
			}
			this.#upgrader.handleUpgrade(request, socket, head, (webSocket) =>
				this.#open(webSocket, () => this.#trust(remoteEnd(request.socket))),
			);
		});
	}

	/** Bounds the sockets that have not authenticated, and the time they may take. */
	#admit(socket: net.Socket): void {
		this.#own(socket);
		const fromPeer = isPeer(socket, this.#options.link);
		const alike = [...this.#strangers.values()].filter((other) => other.fromPeer === fromPeer);
		// A flood from elsewhere must not take the peer's place, so the two are counted apart.
		if (alike.length >= strangersMax) {
			this.#dropped('too-many-connections', socket.remoteAddress ?? 'unknown address', socket);
			socket.destroy();
			return;
		}
		const end = remoteEnd(socket);
		const limit = setTimeout(() => {
			this.#handlers.dropped('late-authentication', end, fromPeer);
			socket.destroy();
		}, authenticateMs);
		this.#strangers.set(end, { fromPeer, limit });
		socket.once('close', () => this.#trust(end));
		this.#secure.emit('connection', socket);
	}

	#dropped(reason: DropReason, detail: string, socket: net.Socket): void {
		this.#handlers.dropped(reason, detail, isPeer(socket, this.#options.link));
	}

	/** Ends the time limit of a socket that has authenticated, or is closed. */
	#trust(end: string): void {
		clearTimeout(this.#strangers.get(end)?.limit);
		this.#strangers.delete(end);
	}

	#own(socket: net.Socket): void {
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		socket.on('error', closeFollows);
	}

	#greet(socket: tls.TLSSocket): void {
		socket.on('error', closeFollows);
		if (this.#pinned(socket)) this.#http.emit('connection', socket);
	}

	/** The one check of who is at the other end: the very certificate, in a handshake made just now. */
	#pinned(socket: tls.TLSSocket): boolean {
		const found = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
		const wanted = normalizeFingerprint(this.#options.peerFingerprint256);
		const fresh = !socket.isSessionReused();
		if (wanted !== null && fresh && normalizeFingerprint(found) === wanted) return true;
		const from = socket.remoteAddress ?? 'unknown address';
		const shown = found === '' ? 'no certificate' : `certificate ${found}`;
		this.#dropped('wrong-certificate', `${from} presented ${shown}`, socket);
		socket.destroy();
		return false;
	}

	#attemptSoon(): void {
		if (this.#closed || this.#attempting || this.#accepted > 0 || this.#retry !== null) return;
		const step = Math.min(Math.max(this.#attempts - 1, 0), backoffMs.length - 1);
		this.#retry = setTimeout(() => {
			this.#retry = null;
			if (this.#accepted === 0) this.#attempt();
		}, backoffMs[step]);
	}

	#attempt(): void {
		const { listenAddress, peerAddress, peerPort } = this.#options.link;
		const to = {
			host: peerAddress,
			port: peerPort,
			// From the link's own address, so that a route over another link never carries this one.
			...(isWildcard(listenAddress) ? {} : { localAddress: listenAddress }),
		};
		this.#attempting = true;
		this.#attempts += 1;
		const secure = this.#options.dials ? tls.connect({ ...to, ...this.#identity }) : null;
		const socket = secure ?? net.connect(to);
		this.#own(socket);
		let connected = false;
		let code: string | undefined;
		const limit = setTimeout(() => socket.destroy(), connectMs);
		socket.on('error', (error: NodeJS.ErrnoException) => {
			code = error.code;
		});
		socket.once('connect', () => {
			connected = true;
			clearTimeout(limit);
			this.#handlers.refused(false);
			if (secure === null) socket.destroy();
			else this.#dial(secure);
		});
		socket.once('close', () => {
			clearTimeout(limit);
			if (!connected) this.#handlers.refused(code === 'ECONNREFUSED');
			else if (code?.startsWith('ERR_SSL') === true)
				this.#handlers.dropped('tls-failed', code, true);
			this.#attempting = false;
			this.#attemptSoon();
		});
	}

	#dial(socket: tls.TLSSocket): void {
		const limit = setTimeout(() => {
			this.#handlers.dropped('late-authentication', remoteEnd(socket), true);
			socket.destroy();
		}, authenticateMs);
		socket.once('close', () => clearTimeout(limit));
		socket.once('secureConnect', () => {
			if (!this.#pinned(socket)) return;
			const webSocket = new WebSocket('ws://peer/', {
				...webSocketLimits,
				followRedirects: false,
				// Connected, encrypted and checked already: ws only speaks on it.
				createConnection: () => socket,
			});
			webSocket.on('error', () => socket.destroy());
			webSocket.once('open', () => this.#open(webSocket, () => clearTimeout(limit)));
		});
	}

	#open(webSocket: WebSocket, trust: () => void): void {
		let accepted = false;
		const handlers = this.#handlers.connected({
			send: (text) => {
				if (webSocket.readyState === WebSocket.OPEN) webSocket.send(text, closeFollows);
			},
			bufferedBytes: () => webSocket.bufferedAmount,
			accept: () => {
				accepted = true;
				this.#accepted += 1;
				this.#attempts = 0;
				trust();
			},
			terminate: () => webSocket.terminate(),
		});
		webSocket.on('message', (data, isBinary) => {
			if (webSocket.readyState !== WebSocket.OPEN) return;
			if (!isBinary && Buffer.isBuffer(data)) {
				handlers.text(data.toString('utf8'));
				return;
			}
			this.#handlers.dropped('malformed', 'a binary message', true);
			webSocket.terminate();
		});
		webSocket.on('error', (error: NodeJS.ErrnoException) => {
			if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
				this.#handlers.dropped('oversized', error.message, true);
			else if (error.code?.startsWith('WS_ERR') === true)
				this.#handlers.dropped('malformed', error.message, true);
			webSocket.terminate();
		});
		webSocket.once('close', () => {
			if (accepted) this.#accepted -= 1;
			handlers.closed();
			this.#attemptSoon();
		});
	}
}

/** Every socket's end is handled at its `close`, which follows an error. */
const closeFollows = (): void => {};

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** Names a connection: no two live ones to one listener share it. */
const remoteEnd = (socket: net.Socket): string =>
	`${socket.remoteAddress ?? 'unknown address'} port ${socket.remotePort ?? 0}`;

const isPeer = (socket: net.Socket, link: ChannelLink): boolean =>
	socket.remoteAddress === link.peerAddress ||
	socket.remoteAddress === `::ffff:${link.peerAddress}`;
