import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { messageOf, VmpairError } from '#src/std/error.ts';
import { type Board, type Fitness, type HoldSettings, judge, settle } from '#src/watchdog/board.ts';
import {
	type Deadline,
	noDeadline,
	resetDelayMs,
	takeGrant,
	turn,
} from '#src/watchdog/deadline.ts';
import {
	type FeederAnswer,
	type FeederOrder,
	lineBytesMax,
	readOrder,
	sameSettings,
} from '#src/watchdog/line.ts';

/** Between two looks at the clock: small against the shortest time-out of a board. */
const turnMs = 250;

type Log = (level: 'error' | 'warn' | 'info', sentence: string) => void;

export interface FeederOptions {
	readonly socketPath: string;
	readonly board: Board;
	readonly log: Log;
	/** Called once when it may end: it was told to, and holds no board. */
	readonly ended: () => void;
}

/** Milliseconds of CLOCK_MONOTONIC, which all programs of this host share. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

const nothing: Fitness = {
	fit: false,
	counts: false,
	kind: 'untested',
	code: 'idle',
	detail: 'no agent has said which board to hold',
};

/**
 * Holds the watchdog of this host and feeds it as long as the agent grants, and no longer. It decides nothing else:
 * when it dies, its next run goes on within the time-out; when the agent dies, the grant runs out and the board
 * resets the host.
 */
export class Feeder {
	readonly #options: FeederOptions;
	readonly #server: Server;
	#settings: HoldSettings | null = null;
	#fitness: Fitness = nothing;
	#timeoutMs: number | null = null;
	#held = false;
	#deadline: Deadline = noDeadline;
	#client: Socket | null = null;
	#timer: NodeJS.Timeout | null = null;
	#ending = false;

	constructor(options: FeederOptions) {
		this.#options = options;
		this.#server = createServer((socket) => this.#meet(socket));
	}

	/** Listens; rejects with `feeder-already-runs` or `feeder-socket`. */
	async start(): Promise<void> {
		this.#settleTest();
		const { socketPath } = this.#options;
		if (await answers(socketPath)) {
			const next = 'systemctl status vmpair-feeder';
			const message = `another feeder answers on ${socketPath}`;
			throw new VmpairError('feeder-already-runs', message, { next });
		}
		rmSync(socketPath, { force: true });
		await new Promise<void>((resolve, reject) => {
			this.#server.once('error', (error) => {
				const message = `the feeder cannot listen on ${socketPath}: ${messageOf(error)}`;
				const next = 'check that its folder exists and that root may write there';
				reject(new VmpairError('feeder-socket', message, { next, cause: error }));
			});
			this.#server.listen(socketPath, resolve);
		});
		chmodSync(socketPath, 0o600);
	}

	/** Ends as soon as no board is held: to end earlier would reset the host. */
	end(): void {
		if (this.#ending) return;
		this.#ending = true;
		if (this.#held)
			this.#options.log(
				'warn',
				'The feeder was told to end and goes on: without it the watchdog resets this host. Run "vmpair disarm --reason TEXT" first.',
			);
		else this.#close();
	}

	/** Whether to end would leave a board that counts. */
	get holds(): boolean {
		return this.#held;
	}

	#close(): void {
		this.#client?.destroy();
		this.#server.close();
		this.#options.ended();
	}

	/** The boot after a reset test is where its result is known. */
	#settleTest(): void {
		const { board, log } = this.#options;
		const proof = board.proof();
		if (proof === null) return;
		const facts = board.facts({ device: proof.device, parameter: null });
		const settled = settle(proof, facts, monotonicMs());
		if (settled === proof) return;
		board.keepProof(settled);
		const proven = settled.state === 'proven';
		log(
			proven ? 'info' : 'error',
			`The reset test of ${proof.identity} ${proven ? 'has proven it' : 'failed'}: ${settled.detail}.`,
		);
	}

	/** The newest connection is the agent; one before belongs to a run that is gone. */
	#meet(socket: Socket): void {
		this.#client?.destroy();
		this.#client = socket;
		let waiting = '';
		let queue: Promise<void> = Promise.resolve();
		socket.setEncoding('utf8');
		socket.on('error', () => {});
		socket.on('close', () => {
			if (this.#client === socket) this.#client = null;
		});
		socket.on('data', (text: string) => {
			waiting += text;
			const lines = waiting.split('\n');
			waiting = lines.pop() ?? '';
			if (waiting.length > lineBytesMax) return this.#refuse(socket, 'a line without an end');
			for (const line of lines) queue = queue.then(async () => await this.#take(socket, line));
			return undefined;
		});
	}

	#refuse(socket: Socket, what: string): void {
		if (!socket.destroyed)
			this.#options.log('warn', `The feeder ends a connection: it sent ${what}.`);
		socket.destroy();
	}

	async #take(socket: Socket, line: string): Promise<void> {
		if (socket.destroyed) return;
		const order = readOrder(line);
		if (order === null) return this.#refuse(socket, 'something that is no order');
		await this.#obey(order);
		// An agent that does not read its answers gets no more of them.
		if (!socket.destroyed && socket.writableLength < 16 * lineBytesMax)
			socket.write(`${JSON.stringify(this.#answer())}\n`);
	}

	async #obey(order: FeederOrder): Promise<void> {
		if (order.order === 'hold') await this.#prepare(order.settings);
		else if (order.order === 'grant') this.#grant(order.untilMs);
		else this.#disarm();
	}

	async #prepare(settings: HoldSettings): Promise<void> {
		if (this.#held && this.#settings !== null && !sameSettings(this.#settings, settings)) {
			const detail = 'it is held with other settings: disarm first, then arm again';
			this.#fitness = { ...this.#fitness, counts: false, code: 'other-settings', detail };
			return;
		}
		const { board } = this.#options;
		const facts = this.#held ? board.facts(settings) : await board.prepare(settings);
		this.#settings = settings;
		this.#timeoutMs = facts.timeoutMs;
		const proof = board.proof();
		this.#fitness = judge(
			facts,
			settings,
			proof === null ? null : settle(proof, facts, monotonicMs()),
		);
	}

	#grant(untilMs: number): void {
		const settings = this.#settings;
		if (settings === null) return;
		const nowMs = monotonicMs();
		const grant = { untilMs, maxMs: settings.grantMaxMs };
		const granted = takeGrant(this.#deadline, grant, nowMs);
		if (granted === null) return;
		if (this.#deadline.missed)
			this.#options.log(
				'warn',
				'A grant came late, but before the reset: the watchdog is fed again.',
			);
		if (!this.#held && !this.#open(settings)) return;
		this.#deadline = granted;
		this.#turn();
	}

	/** A board that counts already was left by a feeder before this one, and is taken over fit or not. */
	#open(settings: HoldSettings): boolean {
		const { board, log } = this.#options;
		const active = board.facts(settings).active === true;
		if (this.#ending || (!this.#fitness.fit && !active)) return false;
		try {
			if (settings.sysrq) board.armReset();
			board.open(settings.device);
		} catch (error) {
			const detail = `${settings.device} cannot be opened: ${messageOf(error)}`;
			this.#fitness = { ...this.#fitness, counts: false, code: 'busy', detail };
			return false;
		}
		this.#held = true;
		this.#timer = setInterval(() => this.#turn(), turnMs);
		log('info', `The watchdog ${settings.device} is held${active ? ' again' : ''}.`);
		return true;
	}

	#turn(): void {
		if (!this.#held) return;
		const { board, log } = this.#options;
		const delayMs = this.#settings?.sysrq === true ? resetDelayMs(this.#timeoutMs) : null;
		const next = turn(this.#deadline, delayMs, monotonicMs());
		this.#deadline = next.deadline;
		if (next.feed) this.#feed();
		if (next.missedNow)
			log(
				'error',
				'The grant of the agent ran out: the watchdog is fed no more and resets this host.',
			);
		if (next.reset) {
			log('error', 'The kernel is told to reset this host now.');
			board.reset();
		}
	}

	#feed(): void {
		try {
			this.#options.board.feed();
		} catch (error) {
			const detail = `the watchdog does not take what it is fed: ${messageOf(error)}`;
			if (this.#fitness.code !== 'feed-failed') this.#options.log('error', detail);
			this.#fitness = { ...this.#fitness, counts: false, code: 'feed-failed', detail };
		}
	}

	/**
	 * After a missed deadline nothing stops the board any more but a new grant. A board that counts although nobody
	 * holds it was left by a feeder before this one: to stop it, it is taken over.
	 */
	#disarm(): void {
		const { board, log } = this.#options;
		const settings = this.#settings;
		if (!this.#held && settings !== null && board.facts(settings).active === true)
			this.#open(settings);
		if (!this.#held || this.#deadline.missed) return;
		this.#turn();
		if (this.#deadline.missed) return;
		if (this.#timer !== null) clearInterval(this.#timer);
		board.stop();
		this.#held = false;
		this.#deadline = noDeadline;
		log('info', 'The watchdog is stopped: the agent has disarmed it.');
		if (this.#settings !== null && board.facts(this.#settings).active === true)
			log('error', 'The watchdog counts on although it was stopped: it will reset this host.');
		if (this.#ending) this.#close();
	}

	#answer(): FeederAnswer {
		const { counts, kind, code, detail } = this.#fitness;
		const { untilMs, missed } = this.#deadline;
		const fed = this.#held && untilMs !== null && !missed && monotonicMs() < untilMs;
		const why = missed
			? { code: 'missed', detail: 'the grant ran out: the board resets this host' }
			: { code, detail };
		return {
			device: this.#settings?.device ?? null,
			timeoutMs: this.#timeoutMs,
			armed: counts && fed,
			board: kind,
			...why,
		};
	}
}

/** Whether somebody listens on a socket. */
const answers = async (socketPath: string): Promise<boolean> =>
	await new Promise((resolve) => {
		const socket = connect(socketPath);
		const done = (answered: boolean): void => {
			socket.destroy();
			resolve(answered);
		};
		socket.setTimeout(1000, () => done(true));
		socket.once('connect', () => done(true));
		socket.once('error', () => done(false));
	});
