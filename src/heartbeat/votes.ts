import type { Mailbox } from '#src/heartbeat/mailbox.ts';
import type { Report, VoterOptions } from '#src/heartbeat/message.ts';
import type { MonotonicMs } from '#src/ports.ts';
import type { Voter, WitnessAnswer } from '#src/ports-witness.ts';
import {
	answered,
	createLease,
	echoed,
	grantUntilMs,
	initialOrders,
	isOutrun,
	type LeaseOrders,
	type LeaseState,
	nextCommand,
	ordered,
	renewMs,
	voteAt,
	votedMs,
} from '#src/witness/lease.ts';

/**
 * The heartbeat thread's votes: it counts echoes and renewals, tells the main loop what they are worth,
 * and grants the watchdog's feeder what follows. It needs no main loop for any of that.
 */
export class Votes {
	readonly #options: VoterOptions;
	readonly #voter: Voter;
	readonly #mailbox: Mailbox<Report>;
	readonly #nowMs: () => MonotonicMs;
	#lease: LeaseState;
	#heardMs: MonotonicMs | null = null;
	#timer: NodeJS.Timeout | null = null;
	#renewing = false;
	#told = '';

	/** `nowMs` is the monotonic clock that all threads of this host share. */
	constructor(
		options: VoterOptions,
		voter: Voter,
		mailbox: Mailbox<Report>,
		nowMs: () => MonotonicMs,
	) {
		this.#options = options;
		this.#voter = voter;
		this.#mailbox = mailbox;
		this.#nowMs = nowMs;
		this.#lease = createLease(options.timing, initialOrders(options.echoing, options.released));
		voter.watch((watchdog) => mailbox.update((waiting) => ({ ...waiting, watchdog })));
		setInterval(() => {
			void this.#renew();
			this.#judge(true);
		}, renewMs);
	}

	/** Whether the echoes in our beats are promises not to act (V2). */
	get promises(): boolean {
		return this.#lease.orders.echoing;
	}

	/** A beat of the peer came in; `sentMs`: when we sent the beat that it echoes with a promise, or null. */
	heard(sentMs: MonotonicMs | null): void {
		this.#heardMs = this.#nowMs();
		if (sentMs === null) return;
		this.#lease = echoed(this.#lease, sentMs);
		this.#judge(false);
	}

	/** From the next beat on; the answer says when the peer was last heard before. */
	obey(orders: LeaseOrders): void {
		const nowMs = this.#nowMs();
		const before = grantUntilMs(this.#lease, nowMs);
		this.#lease = ordered(this.#lease, orders);
		// At once: what a look at paused VMs grants counts from its beginning, and is half over by the next second.
		if (grantUntilMs(this.#lease, nowMs) !== before) this.#grant(nowMs);
		const echo = { echoing: orders.echoing, heardMs: this.#heardMs };
		this.#mailbox.update((waiting) => ({ ...waiting, echo }));
		this.#judge(false);
	}

	/** One at a time: an answer that does not come is the driver's to give up. */
	async #renew(): Promise<void> {
		if (this.#renewing) return;
		this.#renewing = true;
		const first = await this.#ask();
		// Decided anew at once, on the number that was just read: this second's vote shall not be missed for it.
		const witness = first !== null && isOutrun(first) ? await this.#ask() : first;
		this.#renewing = false;
		this.#mailbox.update((waiting) => ({ ...waiting, witness }));
		// What the main loop was told a moment ago is a renewal older than this one.
		this.#judge(true);
	}

	async #ask(): Promise<WitnessAnswer | null> {
		const command = nextCommand(this.#lease, this.#options);
		const answer = await this.#voter.ask(command);
		if (answer !== null) this.#lease = answered(this.#lease, command, answer);
		return answer;
	}

	/** Tells the feeder how far it may feed, or that it stops the board. */
	#grant(nowMs: MonotonicMs): void {
		const untilMs = grantUntilMs(this.#lease, nowMs);
		if (this.#lease.orders.released) this.#voter.grant(null);
		else if (untilMs !== null && untilMs > nowMs) this.#voter.grant(untilMs);
	}

	/** Grants, and tells the main loop: at each change, and every second because an untold vote ends. */
	#judge(again: boolean): void {
		const nowMs = this.#nowMs();
		const { vote, nextMs } = voteAt(this.#lease, nowMs);
		if (again || vote !== this.#told) {
			this.#grant(nowMs);
			this.#told = vote;
			const told = { vote, votedMs: votedMs(this.#lease) };
			this.#mailbox.update((waiting) => ({ ...waiting, vote: told }));
		}
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		if (nextMs === null) return;
		this.#timer = setTimeout(() => this.#judge(false), Math.ceil(nextMs - nowMs));
	}
}

/** What the composition gives this thread for its connections. */
interface VoterModule {
	openVoter(settings: unknown): Voter;
}

/** Begins to vote; null in a pair without a witness. */
export const openVotes = async (
	options: VoterOptions | null,
	mailbox: Mailbox<Report>,
	nowMs: () => MonotonicMs,
): Promise<Votes | null> => {
	if (options === null) return null;
	const module = (await import(options.module)) as VoterModule;
	return new Votes(options, module.openVoter(options.settings), mailbox, nowMs);
};
