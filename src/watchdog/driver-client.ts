import { connect, type Socket } from 'node:net';
import type { WatchdogObservation } from '#src/ports-witness.ts';
import type { HoldSettings } from '#src/watchdog/board.ts';
import { type FeederAnswer, lineBytesMax, readAnswer } from '#src/watchdog/line.ts';

/** A line that is not answered for so long means that no feeder is there: it may set a time-out first, for 5 s. */
const answerMs = 6000;

export interface FeederClientOptions {
	readonly socketPath: string;
	readonly settings: HoldSettings;
	/** Told at each change; null: no feeder answers. */
	readonly seen: (watchdog: WatchdogObservation | null) => void;
}

/** The agent's end of the line to its feeder. It connects, and connects again, with the next grant. */
export class FeederClient {
	readonly #options: FeederClientOptions;
	#socket: Socket | null = null;
	/** When the oldest line was sent that is not answered. */
	#askedMs: number | null = null;
	#told = 'null';

	constructor(options: FeederClientOptions) {
		this.#options = options;
	}

	/** Lets the feeder feed until then, on the monotonic clock that all processes share, ms; null: stop the board. */
	grant(untilMs: number | null): void {
		if (this.#askedMs !== null && performance.now() - this.#askedMs > answerMs)
			this.#socket?.destroy();
		this.#socket ??= this.#connect();
		this.#send(this.#socket, untilMs === null ? { disarm: true } : { grantUntilMs: untilMs });
	}

	#connect(): Socket {
		const socket = connect(this.#options.socketPath);
		let waiting = '';
		socket.setEncoding('utf8');
		socket.on('data', (text: string) => {
			const lines = `${waiting}${text}`.split('\n');
			waiting = lines.pop() ?? '';
			if (waiting.length > lineBytesMax) socket.destroy();
			for (const line of lines) this.#take(socket, readAnswer(line));
		});
		// What it was is in no one's way: without a feeder nothing is vouched for.
		socket.on('error', () => {});
		socket.on('close', () => {
			if (this.#socket === socket) this.#gone();
		});
		this.#askedMs = null;
		this.#send(socket, { hold: this.#options.settings });
		return socket;
	}

	#send(socket: Socket, order: object): void {
		// A feeder that does not read gets no more: what waits would be granted too late.
		if (socket.destroyed || socket.writableLength > lineBytesMax) return;
		this.#askedMs ??= performance.now();
		socket.write(`${JSON.stringify(order)}\n`);
	}

	#take(socket: Socket, answer: FeederAnswer | null): void {
		if (answer === null) {
			socket.destroy();
			return;
		}
		this.#askedMs = null;
		const { device, timeoutMs, armed, detail } = answer;
		const why = armed ? '' : detail;
		this.#tell(device === null ? null : { device, timeoutMs, armed, why });
	}

	#gone(): void {
		this.#socket = null;
		this.#askedMs = null;
		this.#tell(null);
	}

	#tell(watchdog: WatchdogObservation | null): void {
		const text = JSON.stringify(watchdog);
		if (text === this.#told) return;
		this.#told = text;
		this.#options.seen(watchdog);
	}
}
