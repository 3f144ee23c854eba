/**
 * The recorder: takes the ledgers' datagrams, notes each number once with its time of arrival, answers every one.
 * Runs as its own process inside the lab's namespace: `node recorder.ts ADDRESS PORT FILE`.
 */
import { createSocket } from 'node:dgram';
import { openSync, writeSync } from 'node:fs';

const [address = '127.0.0.1', port = '7000', file = 'recorder.jsonl'] = process.argv.slice(2);
const out = openSync(file, 'a');
const latest = new Map<string, string>();
const socket = createSocket('udp4');

socket.on('message', (message, from) => {
	const text = message.toString('latin1');
	const match = /^([AB]) (\S+) ([0-9a-f]+) (\d+)$/u.exec(text);
	if (match === null) return;
	const [, kind, vm = '', boot, number] = match;
	// A resent datagram is answered again but noted once. Only the very last one of a VM is ever resent.
	if (latest.get(vm) !== text) {
		const atMs = Math.round((performance.timeOrigin + performance.now()) * 10) / 10;
		const entry = { atMs, kind: kind === 'A' ? 'ack' : 'boot', vm, boot, number: Number(number) };
		writeSync(out, `${JSON.stringify(entry)}\n`);
		latest.set(vm, text);
	}
	socket.send(`K ${number}`, from.port, from.address);
});

process.on('SIGTERM', () => process.exit(0));
socket.bind(Number(port), address, () => process.stdout.write('ready\n'));
