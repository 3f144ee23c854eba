import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** One network between the two hosts, as a relay on loopback that can be cut like a cable. */
export interface Cable {
	readonly name: string;
	/** Port on which this host's agent reaches the other one. */
	readonly portFrom: Readonly<Record<string, number>>;
	/** From now on nothing passes and nothing is refused: what a cut cable, or a dead host, looks like. */
	cut(): void;
	/** Packets pass again; what was under way when it was cut is lost, so open connections end. */
	mend(): void;
	close(): void;
}

interface Pair {
	readonly near: Socket;
	far: Socket | null;
}

/**
 * Relays connections between hosts. A real cut sends nothing: no reset, no end. So while it is cut, and
 * when one end dies with its host, the other end is left open and silent.
 */
export const layCable = async (
	name: string,
	/** Where each host's agent listens, by host; the other host dials it through the cable. */
	listeners: Readonly<Record<string, { readonly address: string; readonly port: number }>>,
): Promise<Cable> => {
	const pairs = new Set<Pair>();
	let open = true;

	const relay = (near: Socket, target: { address: string; port: number }): void => {
		const pair: Pair = { near, far: null };
		pairs.add(pair);
		near.setNoDelay(true);
		near.on('error', () => {});
		near.on('close', () => {
			// The far end must not learn of it through a cut cable.
			if (open) pair.far?.destroy();
			pairs.delete(pair);
		});
		if (!open) return;
		const far = createConnection({ host: target.address, port: target.port });
		pair.far = far;
		far.setNoDelay(true);
		far.on('error', () => {
			// The agent is not there: the host's kernel refuses, and that passes through the cable.
			if (open) near.resetAndDestroy();
		});
		far.on('close', () => {
			if (open) near.destroy();
		});
		near.on('data', (chunk) => {
			if (open) far.write(chunk);
		});
		far.on('data', (chunk) => {
			if (open) near.write(chunk);
		});
	};

	const servers: Server[] = [];
	const portFrom: Record<string, number> = {};
	const hosts = Object.keys(listeners);
	for (const [host, target] of Object.entries(listeners)) {
		const other = hosts.find((each) => each !== host) ?? host;
		const server = createServer((socket) => relay(socket, target));
		await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
		const address = server.address();
		portFrom[other] = typeof address === 'object' && address !== null ? address.port : 0;
		servers.push(server);
	}

	const drop = (): void => {
		for (const { near, far } of pairs) {
			near.destroy();
			far?.destroy();
		}
		pairs.clear();
	};

	return {
		name,
		portFrom,
		cut: () => {
			open = false;
		},
		mend: () => {
			if (open) return;
			drop();
			open = true;
		},
		close: () => {
			open = false;
			drop();
			for (const server of servers) server.close();
		},
	};
};
