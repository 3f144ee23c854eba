import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { assert } from '#src/std/assert.ts';

interface End {
	readonly address: string;
	readonly port: number;
}

/**
 * One network between the two hosts, as a relay on loopback that can be cut like a cable. A real cut
 * sends nothing: no reset, no end. So while it is cut, and when one end dies with its host, the other end
 * is left open and silent.
 */
export class Cable {
	readonly name: string;
	/** The port on which a host's agent reaches the other one, by the dialling host. */
	readonly portFrom: Readonly<Record<string, number>>;
	readonly #servers: readonly Server[];
	readonly #sockets = new Set<Socket>();
	readonly #delayMs: () => number;
	#open = true;

	private constructor(
		name: string,
		servers: readonly (readonly [string, Server])[],
		targets: Readonly<Record<string, End>>,
		delayMs: () => number,
	) {
		this.name = name;
		this.#delayMs = delayMs;
		this.#servers = servers.map(([, server]) => server);
		this.portFrom = Object.fromEntries(
			servers.map(([from, server]) => {
				const address = server.address();
				assert(typeof address === 'object' && address !== null, 'the relay listens');
				return [from, address.port];
			}),
		);
		for (const [from, server] of servers) {
			const target = targets[from];
			assert(target !== undefined, 'each host dials the other');
			server.on('connection', (near) => this.#relay(near, target));
		}
	}

	/**
	 * `listeners`: where each host's agent listens; the other host dials it through the cable. `delayMs` is asked how
	 * long each piece of a stream is under way.
	 */
	static async lay(
		name: string,
		listeners: Readonly<Record<string, End>>,
		delayMs: () => number = () => 0,
	): Promise<Cable> {
		const hosts = Object.keys(listeners);
		const servers: [string, Server][] = [];
		const targets: Record<string, End> = {};
		for (const [host, end] of Object.entries(listeners)) {
			const from = hosts.find((each) => each !== host) ?? host;
			const server = createServer();
			await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
			servers.push([from, server]);
			targets[from] = end;
		}
		return new Cable(name, servers, targets, delayMs);
	}

	/** From now on nothing passes and nothing is refused: what a cut cable, or a dead host, looks like. */
	cut(): void {
		this.#open = false;
	}

	/** Packets pass again. What was under way when it was cut is lost, so those connections end. */
	mend(): void {
		if (this.#open) return;
		this.#drop();
		this.#open = true;
	}

	close(): void {
		this.#open = false;
		this.#drop();
		for (const server of this.#servers) server.close();
	}

	#drop(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	#track(socket: Socket): void {
		this.#sockets.add(socket);
		socket.setNoDelay(true);
		socket.on('error', () => {});
		socket.on('close', () => this.#sockets.delete(socket));
	}

	#relay(near: Socket, target: End): void {
		this.#track(near);
		if (!this.#open) return;
		const far = createConnection({ host: target.address, port: target.port });
		this.#track(far);
		// No agent there: the other host's kernel says so at once, through the cable.
		far.on('error', () => {
			if (this.#open) near.destroy();
		});
		const pass = (from: Socket, to: Socket): void => {
			const underWay: Buffer[] = [];
			let dueMs = 0;
			const arrive = (): void => {
				const piece = underWay.shift();
				if (this.#open && piece !== undefined) to.write(piece);
			};
			from.on('data', (chunk: Buffer) => {
				underWay.push(chunk);
				const nowMs = performance.now();
				// A stream keeps its order: what follows a late piece is late as well.
				dueMs = Math.max(dueMs, nowMs + this.#delayMs());
				if (dueMs <= nowMs) arrive();
				else setTimeout(arrive, dueMs - nowMs);
			});
			// The far end must not learn of an end through a cut cable.
			from.on('close', () => {
				if (this.#open) to.destroy();
			});
		};
		pass(near, far);
		pass(far, near);
	}
}
