import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import test from 'ava';
import { Cable } from '#src/demo/cable.ts';

test('a cut cable carries nothing and says nothing, not even that an end is gone', async (t) => {
	const accepted: Socket[] = [];
	const server = createServer((socket) => {
		accepted.push(socket);
		socket.pipe(socket);
		socket.on('error', () => {});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as { port: number };
	const end = { address: '127.0.0.1', port };
	const cable = await Cable.lay('management', { north: end, south: end });
	t.teardown(() => {
		cable.close();
		server.close();
	});

	const socket = connect(cable.portFrom['north'] ?? 0, '127.0.0.1');
	let received = '';
	let closed = false;
	socket.on('data', (chunk: Buffer) => {
		received += chunk.toString();
	});
	socket.on('error', () => {});
	socket.on('close', () => {
		closed = true;
	});
	socket.write('one');
	await once(socket, 'data');
	t.is(received, 'one');

	cable.cut();
	socket.write('two');
	for (const far of accepted) far.destroy();
	await new Promise((resolve) => setTimeout(resolve, 100));
	t.is(received, 'one');
	t.false(closed);

	// What was under way is lost: the old connection ends, a new one works.
	cable.mend();
	await once(socket, 'close');
	const again = connect(cable.portFrom['north'] ?? 0, '127.0.0.1');
	again.write('three');
	const [chunk] = (await once(again, 'data')) as [Buffer];
	t.is(chunk.toString(), 'three');
	again.destroy();
});
