import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { abandon } from '#src/witness/driver.ts';

const closed = async (socket: Socket): Promise<void> =>
	await new Promise((resolve) => {
		socket.once('close', () => resolve());
	});

/** Both ends of a connection over loopback, and what went wrong with each. */
const pair = async (t: ExecutionContext) => {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const address = server.address();
	if (address === null || typeof address === 'string') throw new Error('no port');
	const accepted = once(server, 'connection') as Promise<[Socket]>;
	const ours = createConnection(address.port, '127.0.0.1');
	const [[theirs]] = await Promise.all([accepted, once(ours, 'connect')]);
	const errors: string[] = [];
	for (const [name, socket] of Object.entries({ ours, theirs })) {
		socket.on('error', (error) => errors.push(`${name}: ${error.message}`));
		socket.resume();
	}
	t.teardown(() => {
		theirs.destroy();
		server.close();
	});
	return { ours, theirs, errors };
};

test('a socket that is given up is reset', async (t) => {
	const { ours, theirs, errors } = await pair(t);
	const over = closed(theirs);
	abandon(ours);
	await over;
	t.deepEqual(errors, ['theirs: read ECONNRESET']);
});

test('a socket whose end is under way is closed and leaves no handle behind', async (t) => {
	const { ours, errors } = await pair(t);
	const over = closed(ours);
	ours.end();
	abandon(ours);
	await over;
	t.deepEqual(errors, []);
});

test('a socket that still connects is closed', async (t) => {
	const ours = createConnection(9, '127.0.0.1');
	const over = closed(ours);
	abandon(ours);
	await over;
	t.true(ours.destroyed);
});
