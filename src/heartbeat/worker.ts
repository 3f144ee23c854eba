import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import {
	decodeFrame,
	encodeAnswer,
	encodeBeat,
	encodeDocument,
	encodeHello,
	encodeNotes,
} from '#src/heartbeat/beat.ts';
import type { Beat, DocumentHead, Frame, NotesFrame } from '#src/heartbeat/beat.ts';
import type { DropReason } from '#src/heartbeat/drop.ts';
import { createDetector, detect, observe } from '#src/heartbeat/detector.ts';
import type { DetectorState, Observed } from '#src/heartbeat/detector.ts';
import { protocolVersion } from '#src/heartbeat/document.ts';
import { createPeerIdentity, identify, shake } from '#src/heartbeat/handshake.ts';
import type { PeerIdentity } from '#src/heartbeat/handshake.ts';
import { type ConnectionHandlers, LinkSockets } from '#src/heartbeat/links.ts';
import { createMailbox, type Mailbox } from '#src/heartbeat/mailbox.ts';
import type {
	ChannelLink,
	ChannelOptions,
	FromWorker,
	Orders,
	Report,
	ToWorker,
	WorkerInput,
} from '#src/heartbeat/message.ts';
import { createRecorder, waitingMax, type Recorder } from '#src/heartbeat/recorder.ts';
import { createReporter, type Reporter } from '#src/heartbeat/reporter.ts';
import { type Connection, foreignTo, type Proven, type Session } from '#src/heartbeat/session.ts';
import { openVotes, type Votes } from '#src/heartbeat/votes.ts';
import { createTally, type Tally } from '#src/heartbeat/tally.ts';
import { assert } from '#src/std/assert.ts';

/**
 * The heartbeat thread. It reads no disk after its start and writes no log, so neither a stuck disk
 * nor a stalled main loop makes this host look dead.
 */

/** Beats stop, and are dropped, while more than this waits to be sent on a connection. */
const bufferedMaxBytes = 64 * 1024;
/** Sending times of beats that are remembered: for longer than any D, stretched. */
const sentMax = 1024;

/** Milliseconds of the clock that all threads of this host share. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

/** Lets this thread, and only this one, run before most others on a busy host. */
const hurry = (): void => {
	const [, , thread] = readlinkSync('/proc/thread-self').split('/');
	try {
		setPriority(Number(thread), constants.priority.PRIORITY_HIGH);
	} catch {
		// Only root may: without it beats are merely less regular.
	}
};

class HeartbeatThread {
	readonly #options: ChannelOptions;
	readonly #turns: BigInt64Array;
	readonly #mailbox: Mailbox<Report>;
	readonly #tally: Tally;
	readonly #reporter: Reporter;
	readonly #recorder: Recorder = createRecorder();
	readonly #links: readonly LinkSockets[];
	readonly #sessions = new Set<Session>();
	/** Sending time of our last rounds of beats by seq, ms. */
	readonly #sentMs = new Map<number, number>();
	#detector: DetectorState;
	#identity: PeerIdentity;
	#seq = 0;
	#roundMs: number;
	#heardMs: number | null = null;
	#peerLagMs = 0;
	#peerDocumentSeq = 0;
	#revision = 0;
	#document = '';
	#votes: Votes | null = null;
	#deadline: { readonly timer: NodeJS.Timeout; readonly atMs: number } | null = null;

	constructor(input: WorkerInput, post: (message: FromWorker) => void) {
		const { options } = input;
		this.#options = options;
		this.#turns = new BigInt64Array(input.turns);
		this.#mailbox = createMailbox((report) => post({ type: 'report', report }));
		this.#tally = createTally(this.#mailbox);
		this.#reporter = createReporter(this.#mailbox);
		this.#roundMs = monotonicMs();
		this.#detector = createDetector(
			options.links.map((link) => link.name),
			options.timing,
			this.#roundMs,
		);
		this.#identity = createPeerIdentity(options.knownBootIds);
		this.#links = options.links.map((link) => this.#openLink(link));
		setInterval(() => this.#round(), options.timing.beatIntervalMs);
		this.#judge();
	}

	async start(): Promise<void> {
		this.#votes = await openVotes(this.#options.voter, this.#mailbox, monotonicMs);
		await Promise.all(this.#links.map((link) => link.start()));
	}

	handle(message: ToWorker, post: (message: FromWorker) => void): void {
		switch (message.type) {
			case 'taken':
				this.#mailbox.taken();
				return;
			case 'stop':
				this.#stop();
				return;
			case 'lease':
				this.#votes?.obey(message.orders);
				return;
			case 'orders':
				post({ type: 'taken' });
				this.#obey(message.orders);
		}
	}

	/** Ends this thread, not the process; the kernel tells the peer that nobody listens any more. */
	#stop(): void {
		for (const link of this.#links) link.close();
		process.exit(0);
	}

	#obey(orders: Partial<Orders>): void {
		if (orders.factor !== undefined) this.#detect({ type: 'factor', factor: orders.factor });
		if (orders.notes !== undefined) this.#recorder.take(orders.notes);
		if (orders.document === undefined) return;
		this.#document = orders.document;
		this.#revision += 1;
		for (const session of this.#sessions) this.#sendDocument(session);
	}

	#openLink(link: ChannelLink): LinkSockets {
		const { self, peer, tls } = this.#options;
		const options = {
			link,
			dials: self < peer,
			certificatePem: tls.certificatePem,
			keyPem: tls.keyPem,
			peerFingerprint256: tls.peerFingerprint256,
		};
		return new LinkSockets(options, {
			connected: (connection) => this.#connected(link.name, connection),
			dropped: (reason, detail, fromPeer) => this.#drop(reason, link.name, detail, fromPeer),
			refused: (refused) => this.#detect({ type: 'refused', link: link.name, refused }),
			carrier: (carrier) => this.#detect({ type: 'carrier', link: link.name, carrier }),
			notListening: (detail) =>
				this.#tally.notice(
					'cannot listen on a heartbeat link, trying again every second; check its address',
					{ link: link.name, address: link.listenAddress, port: link.listenPort, detail },
					monotonicMs(),
				),
		});
	}

	#connected(link: string, connection: Connection): ConnectionHandlers {
		const { pairId, self, bootId, session } = this.#options;
		const nonce = randomBytes(24).toString('base64url');
		const opened: Session = {
			link,
			connection,
			handshake: { nonce, hello: null },
			peer: null,
			received: null,
			echo: 0,
			acknowledgedMs: 0,
			revision: 0,
		};
		this.#sessions.add(opened);
		connection.send(encodeHello({ protocolVersion, pairId, host: self, bootId, session, nonce }));
		return {
			text: (text) => this.#take(opened, text),
			closed: () => {
				this.#sessions.delete(opened);
				if (opened.peer === null) return;
				this.#tally.add('disconnections');
				this.#recorder.broken(monotonicMs());
			},
		};
	}

	#take(session: Session, text: string): void {
		const { frame, dropped } = decodeFrame(text);
		const refused = frame === null ? dropped : this.#takeFrame(session, frame);
		if (refused === null) return;
		this.#drop(refused, session.link, 'a message of the peer', true);
		session.connection.terminate();
	}

	/** Why the frame is refused, or null when it was taken. */
	#takeFrame(session: Session, frame: Frame): DropReason | null {
		if (session.peer === null) return this.#shake(session, frame);
		if (frame.type === 'beat') return this.#takeBeat(session, session.peer, frame.beat);
		if (frame.type === 'notes') return this.#takeNotes(session.peer, frame.notes);
		if (frame.type === 'document') return this.#takeDocument(session.peer, frame.head, frame.text);
		return 'unexpected-frame';
	}

	#shake(session: Session, frame: Frame): DropReason | null {
		const shaken = shake(session.handshake, frame, this.#options);
		if (shaken.result === 'refused') return shaken.reason;
		if (shaken.result === 'waiting') {
			session.handshake = shaken.handshake;
			if (shaken.answer !== null) session.connection.send(encodeAnswer(shaken.answer));
			return null;
		}
		const identified = identify(this.#identity, shaken.bootId, shaken.session);
		if (identified.result === 'refused') return identified.reason;
		if (identified.result === 'changed') this.#meet(identified.identity);
		this.#establish(session, shaken);
		return null;
	}

	/** The peer runs in another boot or session than before: nothing of the one before counts now. */
	#meet(identity: PeerIdentity): void {
		this.#identity = identity;
		this.#heardMs = null;
		this.#peerLagMs = 0;
		this.#peerDocumentSeq = 0;
		this.#mailbox.update(({ document: _outdated, ...waiting }) => waiting);
		for (const session of this.#sessions) if (session.peer !== null) session.connection.terminate();
		this.#detect({ type: 'identity' });
	}

	#establish(session: Session, peer: Proven): void {
		// The same host dialled again: the connection before is dead, whatever our kernel thinks.
		for (const other of this.#sessions)
			if (other.link === session.link && other.peer !== null) other.connection.terminate();
		session.peer = { bootId: peer.bootId, session: peer.session };
		session.acknowledgedMs = monotonicMs();
		session.connection.accept();
		this.#tally.add('connections');
		this.#nextSeq(session.acknowledgedMs);
		this.#sendBeat(session);
		this.#sendDocument(session);
	}

	#takeBeat(session: Session, peer: Proven, beat: Beat): DropReason | null {
		const foreign = foreignTo(peer, this.#options.peer, beat);
		if (foreign !== null) return foreign;
		if (session.received !== null && beat.seq <= session.received.seq) return 'repeated-beat';
		if (beat.echo !== null && beat.echo > this.#seq) return 'unknown-echo';
		const nowMs = monotonicMs();
		session.received = { seq: beat.seq, atMs: nowMs };
		if (beat.echo !== null && beat.echo > session.echo) {
			session.echo = beat.echo;
			session.acknowledgedMs = nowMs;
		}
		this.#tally.add('beatsReceived');
		if (this.#heardMs !== null) this.#tally.worst('worstBeatGapMs', nowMs - this.#heardMs);
		this.#heardMs = nowMs;
		this.#peerLagMs = beat.lagMs;
		const echoedSentMs = beat.echo === null ? null : (this.#sentMs.get(beat.echo) ?? null);
		const rttMs = echoedSentMs === null ? null : Math.max(0, nowMs - echoedSentMs - beat.heldMs);
		const promisedMs = beat.promises ? echoedSentMs : null;
		this.#detect({ type: 'beat', link: session.link, echoedSentMs: promisedMs, rttMs });
		this.#votes?.heard(promisedMs);
		return null;
	}

	#takeDocument(peer: Proven, head: DocumentHead, text: string): DropReason | null {
		if (head.pairId !== this.#options.pairId) return 'wrong-pair';
		const foreign = foreignTo(peer, this.#options.peer, head);
		if (foreign !== null) return foreign;
		// Every link brings each document; the first copy counts.
		if (head.seq <= this.#peerDocumentSeq) return null;
		this.#peerDocumentSeq = head.seq;
		this.#tally.add('documentsReceived');
		this.#mailbox.update((waiting) => ({ ...waiting, document: text }));
		return null;
	}

	#takeNotes(peer: Proven, frame: NotesFrame): DropReason | null {
		const foreign = foreignTo(peer, this.#options.peer, frame);
		if (foreign !== null) return foreign;
		const fresh = this.#recorder.heard(peer.session, frame);
		this.#mailbox.update((waiting) => ({
			...waiting,
			peerNotes: [...(waiting.peerNotes ?? []), ...fresh].slice(-waitingMax),
		}));
		return null;
	}

	/** One beat on every link, and everything that is looked at as often. */
	#round(): void {
		const { beatIntervalMs, suspectMs } = this.#options.timing;
		const nowMs = monotonicMs();
		const gapMs = nowMs - this.#roundMs;
		this.#tally.worst('worstSendGapMs', gapMs);
		// What came while this thread did not run is unread: its own stall is no fault of a connection.
		const excusedMs = gapMs >= suspectMs ? Math.max(0, gapMs - beatIntervalMs) : 0;
		this.#roundMs = nowMs;
		Atomics.add(this.#turns, 1, 1n);
		this.#nextSeq(nowMs);
		for (const session of this.#sessions) {
			if (session.peer === null) continue;
			session.acknowledgedMs += excusedMs;
			// TCP doubles its retransmit time-out, so a new connection is sooner back than an old one.
			if (nowMs - session.acknowledgedMs < Math.max(500, 5 * beatIntervalMs)) {
				this.#sendBeat(session);
				this.#sendDocument(session);
				continue;
			}
			this.#tally.add('unacknowledged');
			session.connection.terminate();
		}
		this.#sendNotes(nowMs);
		for (const link of this.#links) link.readCarrier(5 * beatIntervalMs);
		this.#detect({ type: 'tick' });
		this.#tally.flush();
	}

	#nextSeq(nowMs: number): void {
		this.#seq += 1;
		this.#sentMs.set(this.#seq, nowMs);
		this.#sentMs.delete(this.#seq - sentMax);
	}

	#sendBeat(session: Session): void {
		// An old beat that waits in a buffer says nothing: drop it rather than queue it.
		if (session.connection.bufferedBytes() > bufferedMaxBytes) {
			this.#tally.add('beatsWithheld');
			return;
		}
		const nowMs = monotonicMs();
		const { self, bootId, session: mySession, timing } = this.#options;
		const lagMs = nowMs - Number(Atomics.load(this.#turns, 0) / 1000n) / 1000;
		session.connection.send(
			encodeBeat({
				host: self,
				bootId,
				session: mySession,
				seq: this.#seq,
				echo: session.received?.seq ?? null,
				promises: this.#votes?.promises ?? true,
				heldMs: session.received === null ? 0 : nowMs - session.received.atMs,
				lagMs: Math.max(0, Math.round(lagMs - timing.beatIntervalMs)),
			}),
		);
	}

	#sendDocument(session: Session): void {
		if (session.peer === null || session.revision === this.#revision) return;
		if (session.connection.bufferedBytes() > bufferedMaxBytes) return;
		session.revision = this.#revision;
		session.connection.send(encodeDocument(this.#document));
	}

	/** After the beats: what they leave of the line. */
	#sendNotes(nowMs: number): void {
		const { self: host, bootId, session } = this.#options;
		this.#recorder.send(this.#sessions, nowMs, ({ first, notes }) =>
			encodeNotes({ host, bootId, session, first, notes: [...notes] }),
		);
	}

	#detect(input: Observed): void {
		this.#detector = detect(this.#detector, { ...input, nowMs: monotonicMs() });
		this.#judge();
	}

	/** Reports what changed, and wakes up when time alone changes something. */
	#judge(): void {
		const { nowMs } = this.#detector;
		const detection = observe(this.#detector);
		const { session, bootId } = this.#identity;
		const peer = { bootId: session === null ? null : bootId, lagMs: this.#peerLagMs };
		this.#reporter.detection(detection, peer, nowMs);
		const atMs = detection.nextMs;
		if (this.#deadline !== null && atMs !== null && this.#deadline.atMs <= atMs) return;
		if (this.#deadline !== null) clearTimeout(this.#deadline.timer);
		this.#deadline = null;
		if (atMs === null) return;
		const again = (): void => {
			this.#deadline = null;
			this.#detect({ type: 'tick' });
		};
		this.#deadline = { timer: setTimeout(again, Math.ceil(atMs - nowMs)), atMs };
	}

	#drop(reason: DropReason, link: string, detail: string, fromPeer: boolean): void {
		this.#tally.drop(reason, { link, detail, fromPeer }, monotonicMs());
	}
}

assert(parentPort !== null, 'the heartbeat runs in a thread of its own');
const port = parentPort;
const post = (message: FromWorker): void => port.postMessage(message);
const thread = new HeartbeatThread(workerData as WorkerInput, post);
port.on('message', (message: ToWorker) => thread.handle(message, post));
hurry();
await thread.start();
post({ type: 'ready' });
