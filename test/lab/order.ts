/**
 * Gives a guest an order by one datagram, again and again until it answers by the same words; exit code 1 when it does
 * not within ten seconds. Runs as its own process inside the lab's namespace: `node order.ts ADDRESS PORT TEXT`.
 */
import { createSocket } from 'node:dgram';

const [address = '127.0.0.1', port = '7002', text = ''] = process.argv.slice(2);
const againMs = 200;
const limitMs = 10_000;

const socket = createSocket('udp4');
const send = (): void => socket.send(text, Number(port), address);

socket.on('message', (message) => {
	if (message.toString('latin1') === text) process.exit(0);
});
// Nobody listens there yet, or the network is away for a moment: it is sent again.
socket.on('error', () => {});
setTimeout(() => {
	process.stderr.write(`${address} port ${port} did not answer "${text}" within ${limitMs} ms\n`);
	process.exit(1);
}, limitMs);
setInterval(send, againMs);
send();
