import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import tls from 'node:tls';
import v8 from 'node:v8';
import vm from 'node:vm';
import { normalizeFingerprint } from '#src/heartbeat/fingerprint.ts';
import {
	answerLine,
	answerTo,
	headerLine,
	lineBytesMax,
	parseAnswer,
	type Header,
} from '#src/migrate/header.ts';
import { idleMs } from '#src/migrate/transport.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** Bytes that wait in a connection before its source is made to wait. */
const highWaterMark = 1_048_576;
/** Bytes that are handed on together, before their source is made to wait. */
const gatherMax = 524_288;
/** Bytes after which those that were handed on are collected. */
const collectBytes = 16_777_216;
/** From the connect to the header, or to the answer to it; generous for slow processors. */
const authenticateMs = 10_000;
/** Connections that have not authenticated yet. */
const strangersMax = 8;
const retryMs = 200;
/** Idle connections to a host that is gone end about this long after its silence began, ms. */
const keepAliveMs = 10_000;

/** Both ends of a stream and who may be there. */
export interface Route {
	readonly address: string;
	readonly peerAddress: string;
	readonly port: number;
	readonly certificatePem: string;
	readonly keyPem: string;
	readonly peerFingerprint256: string;
	readonly header: Header;
}

/** No CA: both certificates are self-signed, and the pin is the whole check, as for the heartbeats. */
const identity = ({ certificatePem, keyPem }: Route) => ({
	cert: certificatePem,
	key: keyPem,
	ca: [],
	minVersion: 'TLSv1.3' as const,
	rejectUnauthorized: false as const,
	// xl's end of the stream and the final report travel in opposite directions: one may end before the other.
	allowHalfOpen: true,
});

/** What is wrong with the certificate at the other end; null when it is the pinned one, proven just now. */
const strangerAt = (socket: tls.TLSSocket, { peerFingerprint256 }: Route): string | null => {
	const found = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
	const wanted = normalizeFingerprint(peerFingerprint256);
	const fresh = !socket.isSessionReused();
	if (wanted !== null && fresh && normalizeFingerprint(found) === wanted) return null;
	return found === '' ? 'no certificate' : `the certificate ${found}`;
};

/** The first line; what follows stays in the socket. Rejects when it is too long or the socket ends before. */
const readLine = (socket: tls.TLSSocket): Promise<string> =>
	new Promise((resolve, reject) => {
		let read = Buffer.alloc(0);
		const settle = (act: () => void): void => {
			socket.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
			act();
		};
		const onEnd = (): void => settle(() => reject(new Error('the connection ended')));
		const onReadable = (): void => {
			for (;;) {
				const chunk = socket.read() as Buffer | null;
				if (chunk === null) return;
				read = Buffer.concat([read, chunk]);
				const at = read.indexOf(10);
				if (at !== -1) {
					if (at + 1 < read.length) socket.unshift(read.subarray(at + 1));
					settle(() => resolve(read.toString('utf8', 0, at)));
					return;
				}
				if (read.length <= lineBytesMax) continue;
				settle(() => reject(new Error(`its first line has more than ${lineBytesMax} bytes`)));
				return;
			}
		};
		socket.on('readable', onReadable).on('end', onEnd).on('close', onEnd);
	});

/** Takes one connection for good, or refuses it and says why. */
const greet = async (
	socket: tls.TLSSocket,
	route: Route,
	refused: (why: string) => void,
): Promise<boolean> => {
	const from = socket.remoteAddress ?? 'unknown address';
	// Every end of a socket is seen at its `close`.
	socket.on('error', () => {});
	const limit = setTimeout(() => socket.destroy(), authenticateMs);
	const stranger = strangerAt(socket, route);
	try {
		if (stranger !== null) throw new Error(`it presented ${stranger}`);
		const answer = answerTo(await readLine(socket), route.header);
		if (answer.accepted) {
			socket.write(answerLine(answer));
			return true;
		}
		refused(`${from}: ${answer.detail}`);
		socket.end(answerLine(answer));
	} catch (error) {
		refused(`${from}: ${messageOf(error)}`);
		socket.destroy();
	} finally {
		clearTimeout(limit);
	}
	return false;
};

/**
 * Waits at the target for the one connection of the peer that wants to send this VM; all others are refused and told
 * to `refused`. `ready`: it listens. Throws `migration-port` and, after `limitMs`, `migration-nobody-came`.
 */
export const awaitPeer = (
	route: Route,
	limitMs: number,
	{ ready, refused }: { ready: () => void; refused: (why: string) => void },
): Promise<tls.TLSSocket> =>
	new Promise((resolve, reject) => {
		const server = tls.createServer({
			...identity(route),
			requestCert: true,
			handshakeTimeout: authenticateMs,
			noDelay: true,
		});
		let taken = false;
		const finish = (act: () => void): void => {
			clearTimeout(limit);
			server.close();
			act();
		};
		const limit = setTimeout(() => {
			const words = `nobody came to send ${route.header.vm} within ${limitMs} ms`;
			const next = 'the migration has ended; the VM goes on where it was';
			finish(() => reject(new VmpairError('migration-nobody-came', words, { next })));
		}, limitMs);
		server.maxConnections = strangersMax;
		server.on('error', (error: Error) => {
			const words = `cannot listen on ${route.address} port ${route.port}: ${error.message}`;
			const next = 'another migration may be under way; else set "migration.port" on both hosts';
			finish(() => reject(new VmpairError('migration-port', words, { next, cause: error })));
		});
		server.on('tlsClientError', (error: Error, socket) => {
			refused(`a connection without encryption of ours: ${error.message}`);
			socket.destroy();
		});
		server.on('secureConnection', (socket) => {
			void greet(socket, route, refused).then((accepted) => {
				if (!accepted) return;
				if (taken || socket.destroyed) {
					socket.destroy();
					return;
				}
				taken = true;
				socket.setKeepAlive(true, keepAliveMs);
				finish(() => resolve(socket));
			});
		});
		server.listen({ host: route.address, port: route.port, backlog: 16 }, ready);
	});

/** Another way to the peer's port than a connection of one's own; `said`: what it tells of itself. */
type Dial = () => { readonly socket: Socket; readonly said: () => string };

const direct = <Common>({ address, peerAddress, port }: Route, common: Common) => ({
	...common,
	host: peerAddress,
	port,
	// From the link's own address, so that a route over another link never carries the stream.
	localAddress: address,
	// xl's words to each other are short, and each waits for the last one.
	noDelay: true,
});

/** One try; a refusal of either side is a `VmpairError`. */
const attempt = async (route: Route, limitMs: number, dial?: Dial): Promise<tls.TLSSocket> => {
	const line = dial?.();
	const common = { ...identity(route), highWaterMark };
	const socket =
		line === undefined
			? tls.connect(direct(route, common))
			: tls.connect({ ...common, socket: line.socket });
	const limit = setTimeout(() => socket.destroy(new Error('no answer in time')), limitMs);
	try {
		await new Promise<void>((resolve, reject) => {
			socket.once('error', reject).once('close', () => reject(new Error('closed')));
			socket.once('secureConnect', () => resolve());
		});
		socket.on('error', () => {});
		const stranger = strangerAt(socket, route);
		if (stranger !== null) {
			throw new VmpairError('migration-wrong-certificate', `the peer presented ${stranger}`, {
				next: 'compare "certificate" of that host in vmpair.yaml with what "vmpair keygen" printed there',
			});
		}
		socket.write(headerLine(route.header));
		const answer = parseAnswer(await readLine(socket));
		if (answer?.accepted === true) {
			socket.setKeepAlive(true, keepAliveMs);
			return socket;
		}
		const why = answer?.detail ?? 'its answer is not understood';
		throw new VmpairError('migration-refused', `the peer takes nothing from here: ${why}`, {
			next: 'the VM goes on here; make pair, VM and version of vmpair equal on both hosts',
		});
	} catch (error) {
		socket.destroy();
		line?.socket.destroy();
		const said = line?.said() ?? '';
		if (error instanceof VmpairError || said === '') throw error;
		throw new Error(said, { cause: error });
	} finally {
		clearTimeout(limit);
	}
};

/**
 * Connects the source to a target that waits for this VM, within `limitMs`. Throws `migration-wrong-certificate`,
 * `migration-refused` and, when nobody answers, `migration-unreachable`.
 */
export const reachPeer = async (
	route: Route,
	limitMs: number,
	dial?: Dial,
): Promise<tls.TLSSocket> => {
	const endMs = performance.now() + limitMs;
	for (;;) {
		try {
			return await attempt(route, Math.max(1, endMs - performance.now()), dial);
		} catch (error) {
			// A refusal is final; anything else may pass while the target's process starts. Ssh has tried long enough.
			if (error instanceof VmpairError) throw error;
			if (dial !== undefined || performance.now() + retryMs >= endMs) {
				const { peerAddress, port } = route;
				const words = `${peerAddress} port ${port} does not answer: ${messageOf(error)}`;
				const look = dial === undefined ? 'firewalls' : 'what "vmpair status" advises about ssh';
				const next = `the VM goes on here; look at the link "migration.network" and at ${look}`;
				throw new VmpairError('migration-unreachable', words, { next, cause: error });
			}
			await new Promise((resolve) => setTimeout(resolve, retryMs));
		}
	}
};

/** A stream that runs. */
export interface Carriage {
	/** The peer has said its last and `sink` has it; false when the connection broke before. */
	readonly received: Promise<boolean>;
	/** Both directions have ended, or the connection broke. */
	readonly closed: Promise<void>;
}

/** Node makes a block of memory for each piece that it reads. */
const collectorOf = (): (() => void) => {
	// By their sum V8 starts collections of everything there is, on all processors: one for each 30 MiB, half of the work
	// of a stream. Nearly all are dead by then, and a collection of what is young takes a millisecond.
	v8.setFlagsFromString('--expose-gc');
	const collect = vm.runInNewContext('gc') as (how: { readonly type: 'minor' }) => void;
	return () => collect({ type: 'minor' });
};

/**
 * Hands on what `source` gives to `sink` and makes it wait while `sink` is full, as `pipe` does, but all that came in
 * one turn of the event loop goes on as one write: a record of TLS has 16 KiB at most, and one by one each would wake
 * whoever reads. When `source` ends, or breaks, `sink` is ended. Returns what stops it.
 */
export const pour = (source: Readable, sink: Writable): (() => void) => {
	let pieces: Buffer[] = [];
	let bytes = 0;
	let planned: NodeJS.Immediate | undefined;
	let uncollected = 0;
	const collect = collectorOf();
	const handOn = (): void => {
		planned = undefined;
		sink.cork();
		for (const piece of pieces) sink.write(piece);
		sink.uncork();
		pieces = [];
		uncollected += bytes;
		bytes = 0;
		if (uncollected > collectBytes) {
			collect();
			uncollected = 0;
		}
		if (sink.writableNeedDrain) source.pause();
		else source.resume();
	};
	const onData = (piece: Buffer): void => {
		pieces.push(piece);
		bytes += piece.length;
		if (bytes >= gatherMax) source.pause();
		planned ??= setImmediate(handOn);
	};
	const onDrain = (): void => void source.resume();
	const stop = (): void => {
		clearImmediate(planned);
		source.off('data', onData).off('end', finish).off('close', finish);
		sink.off('drain', onDrain);
	};
	const finish = (): void => {
		stop();
		if (sink.writable) handOn();
		sink.end();
	};
	source.on('data', onData).once('end', finish).once('close', finish);
	sink.on('drain', onDrain);
	return stop;
};

/**
 * Carries bytes both ways, with back-pressure: what `source` gives goes to the peer, what comes from there to `sink`.
 * The end of one direction leaves the other alone. When the connection breaks `sink` ends.
 */
export const carry = (socket: tls.TLSSocket, source: Readable, sink: Writable): Carriage => {
	source.on('error', () => {});
	socket.setTimeout(idleMs, () => socket.destroy(new Error(`nothing passed for ${idleMs} ms`)));
	const stopSending = pour(source, socket);
	const stopReceiving = pour(socket, sink);
	// Whoever reads there is gone: the rest is read and dropped, or the peer would never come to its end.
	const drop = (): void => {
		stopReceiving();
		socket.resume();
	};
	sink.on('error', drop).once('close', drop);
	const closed = new Promise<void>((resolve) => {
		socket.once('close', () => {
			stopSending();
			sink.end();
			resolve();
		});
	});
	const received = new Promise<boolean>((resolve) => {
		let ended = false;
		const written = (): void => resolve(ended);
		socket.once('end', () => {
			ended = true;
			if (sink.destroyed || sink.writableFinished) written();
		});
		sink.once('finish', written).once('close', written);
		void closed.then(() => (ended ? undefined : resolve(false)));
	});
	return { received, closed };
};
