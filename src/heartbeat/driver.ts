import { isIP } from 'node:net';
import { Worker } from 'node:worker_threads';
import { documentMaxBytes } from '#src/heartbeat/beat.ts';
import { peerDocumentSchema } from '#src/heartbeat/document.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import { normalizeFingerprint } from '#src/heartbeat/fingerprint.ts';
import { createMailbox } from '#src/heartbeat/mailbox.ts';
import type { Mailbox } from '#src/heartbeat/mailbox.ts';
import type {
	ChannelCounters,
	ChannelNotice,
	ChannelOptions,
	FromWorker,
	HearingReport,
	Orders,
	Report,
	ToWorker,
	WorkerInput,
} from '#src/heartbeat/message.ts';
import { cutNote, type PeerNote, waitingMax } from '#src/heartbeat/recorder.ts';
import { noCounts } from '#src/heartbeat/tally.ts';
import type { LinkObservation } from '#src/ports.ts';
import type { LeaseOrders } from '#src/witness/lease.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** Generous: on a slow processor a thread takes seconds to load. */
const startMs = 60_000;
const stopMs = 2000;

/** Told of answers of the witness, of votes (each second), of an order about echoes that is obeyed, of the watchdog. */
export interface VoteCallbacks {
	readonly witness: (answer: Report['witness']) => void;
	readonly vote: (vote: Report['vote']) => void;
	readonly echo: (echo: Report['echo']) => void;
	readonly watchdog: (watchdog: Report['watchdog']) => void;
}

/**
 * The channel to the peer: beats and documents. The work is done in a thread
 * of its own (`worker.ts`); this is its end on the main loop. Register the callbacks before `start`.
 */
export class PeerChannel {
	readonly #options: ChannelOptions;
	readonly #turns = new SharedArrayBuffer(16);
	readonly #mailbox: Mailbox<Orders>;
	#worker: Worker | null = null;
	#ticking: NodeJS.Timeout | null = null;
	#ready = false;
	#rounds = 0n;
	/** Ticks of the main loop during which the thread did not turn. */
	#stillTicks = 0;
	#stopping = false;
	#counters = noCounts();
	#invalidDocuments = 0;
	#bootId: string | null = null;
	#hearing: (hearing: HearingReport) => void = () => {};
	#links: (links: readonly LinkObservation[]) => void = () => {};
	#document: (document: PeerDocument) => void = () => {};
	#votes: VoteCallbacks | null = null;
	#peerNotes: (notes: readonly PeerNote[]) => void = () => {};
	#notice: (notice: ChannelNotice) => void = () => {};
	#failed: (error: VmpairError) => void;

	/** Throws `heartbeat-invalid` when an address is not an IP address or the fingerprint is none. */
	constructor(options: ChannelOptions) {
		validate(options);
		this.#options = options;
		this.#mailbox = createMailbox((orders) => this.#post({ type: 'orders', orders }), 'busy');
		// Without a listener a dead heartbeat must not go unseen.
		this.#failed = (error) => {
			throw error;
		};
	}

	/** What the beats say changed; called once soon after the start, then on each change only. */
	onHearing(callback: (hearing: HearingReport) => void): void {
		this.#hearing = callback;
	}

	/** All links, when one changed; with fresh round trips every 10 s. */
	onLinks(callback: (links: readonly LinkObservation[]) => void): void {
		this.#links = callback;
	}

	/** A new document of the peer's present session, validated. */
	onDocument(callback: (document: PeerDocument) => void): void {
		this.#document = callback;
	}

	/** What the third voter, the votes and the watchdog come to. */
	onVotes(callbacks: VoteCallbacks): void {
		this.#votes = callbacks;
	}

	/** Sentences of the peer's log, oldest first. */
	onPeerNotes(callback: (notes: readonly PeerNote[]) => void): void {
		this.#peerNotes = callback;
	}

	/** Something an admin should read, each at most once a minute. */
	onNotice(callback: (notice: ChannelNotice) => void): void {
		this.#notice = callback;
	}

	/** The heartbeat thread died or hangs (`heartbeat-failed`): the agent cannot go on and has to exit. */
	onFailed(callback: (error: VmpairError) => void): void {
		this.#failed = callback;
	}

	/** Starts the thread; resolves when it listens and beats, rejects with `heartbeat-failed`. */
	start(): Promise<void> {
		this.#beatTick();
		this.#ticking = setInterval(() => {
			this.#beatTick();
			this.#watchThread();
		}, this.#options.timing.beatIntervalMs);
		const workerData: WorkerInput = { options: this.#options, turns: this.#turns };
		const worker = new Worker(new URL('worker.ts', import.meta.url), {
			name: 'heartbeat',
			workerData,
			resourceLimits: { maxOldGenerationSizeMb: 64 },
		});
		this.#worker = worker;
		return new Promise((resolve, reject) => {
			let cause: unknown;
			const limit = setTimeout(() => reject(failure(`not ready after ${startMs} ms`)), startMs);
			worker.on('message', (message: FromWorker) => {
				this.#take(message);
				if (message.type !== 'ready') return;
				this.#ready = true;
				clearTimeout(limit);
				resolve();
			});
			worker.on('error', (error) => {
				cause = error;
			});
			worker.once('exit', (code) => {
				clearTimeout(limit);
				this.#worker = null;
				const error = failure(cause === undefined ? `exit code ${code}` : messageOf(cause), cause);
				if (!this.#ready) reject(error);
				else if (!this.#stopping) this.#failed(error);
			});
		});
	}

	/** Sends the document to the peer now and after every reconnect, until a newer one replaces it. */
	publish(document: PeerDocument): void {
		const text = JSON.stringify(document);
		const bytes = Buffer.byteLength(text);
		if (bytes > documentMaxBytes)
			throw new VmpairError(
				'document-too-large',
				`The document for ${this.#options.peer} has ${bytes} bytes; at most ${documentMaxBytes} can be sent.`,
				{ next: 'Manage fewer VMs on this pair.' },
			);
		this.#mailbox.update((waiting) => ({ ...waiting, document: text }));
	}

	/** Has the peer keep a sentence of the own log; it may be late or lost. */
	record(note: PeerNote): void {
		this.#mailbox.update((waiting) => ({
			...waiting,
			notes: [...(waiting.notes ?? []), cutNote(note)].slice(-waitingMax),
		}));
	}

	/** What votes, claims and the watchdog rest on; obeyed in order, also while this loop hangs afterwards. */
	orderLease(orders: LeaseOrders): void {
		this.#post({ type: 'lease', orders });
	}

	/** Stretches the detection time D, and only that, while our own work loads the links. */
	stretch(factor: 1 | 3): void {
		this.#mailbox.update((waiting) => ({ ...waiting, factor }));
	}

	/** At most one beat interval old; the number of received beats is up to 50 intervals old. */
	counters(): ChannelCounters {
		const dropped = { ...this.#counters.dropped };
		const droppedOfPeer = { ...this.#counters.droppedOfPeer };
		dropped['invalid-document'] += this.#invalidDocuments;
		droppedOfPeer['invalid-document'] += this.#invalidDocuments;
		return { ...this.#counters, dropped, droppedOfPeer };
	}

	/** Closes every connection and ends the thread, by force when it takes longer than 2 s. */
	async stop(): Promise<void> {
		this.#stopping = true;
		if (this.#ticking !== null) clearInterval(this.#ticking);
		const worker = this.#worker;
		if (worker === null) return;
		this.#post({ type: 'stop' });
		await new Promise<void>((resolve) => {
			const limit = setTimeout(() => void worker.terminate(), stopMs);
			worker.once('exit', () => {
				clearTimeout(limit);
				resolve();
			});
		});
	}

	/** Shows the heartbeat thread that the main loop turns. */
	#beatTick(): void {
		Atomics.store(new BigInt64Array(this.#turns), 0, process.hrtime.bigint());
	}

	/**
	 * A thread that hangs sends nothing for ever and ends by nothing. After D the peer misses this host in any case, so
	 * a new start costs no more. Counted in ticks of this loop: what stops the whole process is no fault of the thread.
	 */
	#watchThread(): void {
		const { beatIntervalMs, detectionMs } = this.#options.timing;
		const rounds = Atomics.load(new BigInt64Array(this.#turns), 1);
		this.#stillTicks = this.#ready && rounds === this.#rounds ? this.#stillTicks + 1 : 0;
		this.#rounds = rounds;
		const stillMs = this.#stillTicks * beatIntervalMs;
		if (this.#stopping || stillMs < detectionMs) return;
		this.#stopping = true;
		void this.#worker?.terminate();
		this.#failed(failure(`it has not turned for ${stillMs} ms`));
	}

	#post(message: ToWorker): void {
		this.#worker?.postMessage(message);
	}

	#take(message: FromWorker): void {
		if (this.#stopping) return;
		// The thread takes its first orders when it is ready, and the next when it took the last.
		if (message.type !== 'report') {
			this.#mailbox.taken();
			return;
		}
		this.#post({ type: 'taken' });
		this.#deliver(message.report);
	}

	/** Hearing first: a document counts only for the boot that was announced before it. */
	#deliver(report: Partial<Report>): void {
		if (report.counters !== undefined) this.#counters = report.counters;
		for (const notice of report.notices ?? []) this.#notice(notice);
		if (report.peerNotes !== undefined) this.#peerNotes(report.peerNotes);
		if (report.hearing !== undefined) {
			this.#bootId = report.hearing.bootId;
			this.#hearing(report.hearing);
		}
		if (report.links !== undefined) this.#links(report.links);
		if (report.watchdog !== undefined) this.#votes?.watchdog(report.watchdog);
		if (report.witness !== undefined) this.#votes?.witness(report.witness);
		if (report.vote !== undefined) this.#votes?.vote(report.vote);
		if (report.echo !== undefined) this.#votes?.echo(report.echo);
		if (report.document !== undefined) this.#check(report.document);
	}

	#check(text: string): void {
		const parsed = peerDocumentSchema.safeParse(JSON.parse(text));
		if (parsed.success) {
			if (parsed.data.bootId === this.#bootId) this.#document(parsed.data);
			return;
		}
		this.#invalidDocuments += 1;
		const issue = parsed.error.issues[0];
		this.#notice({
			level: 'warn',
			message: 'a document of the peer is invalid; install the same version on both hosts',
			fields: { field: issue?.path.join('.') ?? '', detail: issue?.message ?? '' },
		});
	}
}

const failure = (detail: string, cause?: unknown): VmpairError =>
	new VmpairError('heartbeat-failed', `The heartbeat thread ended: ${detail}.`, {
		next: 'The agent exits and is started again; the VMs keep running.',
		cause,
	});

const validate = (options: ChannelOptions): void => {
	const invalid = (message: string, next: string) =>
		new VmpairError('heartbeat-invalid', message, { next });
	if (normalizeFingerprint(options.tls.peerFingerprint256) === null)
		throw invalid(
			`The fingerprint of ${options.peer} is not a SHA-256 fingerprint.`,
			`Run \`vmpair keygen\` on ${options.peer} and copy the fingerprint it prints.`,
		);
	if (options.self === options.peer)
		throw invalid('Both hosts have the same name.', 'Give each host its own name.');
	for (const link of options.links)
		for (const address of [link.listenAddress, link.peerAddress])
			if (isIP(address) === 0)
				throw invalid(
					`${address} of the link ${link.name} is not an IP address.`,
					'Write the IP address: beats must not wait for a name server.',
				);
};
