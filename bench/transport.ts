import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';

/**
 * Measures how fast the transport of a live migration is: zeros through `vmpair migrate-send` and `migrate-receive` on
 * loopback, against `openssl s_client` and `s_server` with the same kind of certificate. Prints one JSON object, rates
 * in MiB/s. Usage: `node bench/transport.ts [--mib 512]`.
 */
const { values } = parseArgs({ options: { mib: { type: 'string', default: '512' } } });
const mib = Number(values.mib);
const program = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const [address, peerAddress, port, referencePort] = ['127.79.1.1', '127.79.1.2', 17_402, 17_403];
const folder = await mkdtemp(join(tmpdir(), 'vmpair-bench-'));
const children: ReturnType<typeof spawn>[] = [];

const shell = (command: string): ReturnType<typeof spawn> => {
	const child = spawn('sh', ['-c', command], {
		env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` },
		stdio: ['ignore', 'ignore', 'inherit'],
		// Ended with all that it started.
		detached: true,
	});
	children.push(child);
	return child;
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Ends when a file holds what it shall. */
const until = async (file: string, holds: (text: string) => boolean): Promise<void> => {
	while (!holds(await readFile(file, 'utf8').catch(() => ''))) await wait(10);
};

/** MiB/s from the first byte until `counted` holds the number of all bytes. */
const rateOf = async (before: string, command: string, counted: string): Promise<number> => {
	const began = join(folder, 'began');
	await rm(began, { force: true });
	shell(`{ ${before} date +%s%N >${began}; head -c ${mib}M /dev/zero; } | ${command}`);
	await until(counted, (text) => Number(text) === mib * 1_048_576);
	return mib / ((Date.now() * 1e6 - Number(await readFile(began, 'utf8'))) / 1e9);
};

const alpha = await createIdentity(join(folder, 'alpha'), 'alpha');
const beta = await createIdentity(join(folder, 'beta'), 'beta');

const configure = async (host: 'alpha' | 'beta', own: typeof alpha): Promise<string> => {
	const file = join(folder, host, 'vmpair.yaml');
	const text = `pair: p
host: ${host}
arbiter: person
links: {lan: {switched: true}}
hosts:
  alpha: {certificate: '${alpha.fingerprint256}', links: {lan: {address: ${address}}}}
  beta: {certificate: '${beta.fingerprint256}', links: {lan: {address: ${peerAddress}}}}
migration: {port: ${port}}
tls: {certificate: ${own.certificatePath}, key: ${own.keyPath}}
runtimeDirectory: ${join(folder, host)}
vms: {vm: {resource: vm, config: /etc/xen/vm.cfg}}
`;
	await writeFile(file, text);
	return `--config ${file} --vm vm`;
};

const ours = async (): Promise<number> => {
	const [send, receive] = [await configure('alpha', alpha), await configure('beta', beta)];
	const counted = join(folder, 'ours');
	const xl = `#!/bin/sh\nwc -c >${counted}\n`;
	await writeFile(join(folder, 'xl'), xl, { mode: 0o755 });
	shell(`exec ${process.execPath} ${program} migrate-receive ${receive}`);
	await until(join(folder, 'beta/migrate-receive-vm.json'), (text) => text !== '');
	// The start of Node is no part of the rate: the bytes begin when the peer has answered.
	const state = join(folder, 'alpha/migrate-send-vm.json');
	const connected = `until grep -q connected ${state} 2>/dev/null; do sleep 0.02; done;`;
	return await rateOf(connected, `${process.execPath} ${program} migrate-send ${send}`, counted);
};

const reference = async (): Promise<number> => {
	const to = `${peerAddress}:${referencePort}`;
	const counted = join(folder, 'reference');
	const files = `-cert ${beta.certificatePath} -key ${beta.keyPath}`;
	shell(
		// The server ends with its own input.
		`sleep 600 | openssl s_server -quiet -accept ${to} -naccept 1 ${files} 2>/dev/null | wc -c >${counted}`,
	);
	const listening = `:${referencePort.toString(16).toUpperCase()} 00000000:0000 0A`;
	await until('/proc/net/tcp', (text) => text.includes(listening));
	const client = `openssl s_client -quiet -no_ign_eof -connect ${to} >/dev/null 2>&1`;
	return await rateOf('', client, counted);
};

try {
	const [vmpair, openssl] = [await ours(), await reference()];
	const round = (rate: number): number => Math.round(rate);
	const ratio = Math.round((100 * vmpair) / openssl) / 100;
	console.log(JSON.stringify({ mib, vmpair: round(vmpair), openssl: round(openssl), ratio }));
} finally {
	for (const { pid } of children) {
		try {
			if (pid !== undefined) process.kill(-pid);
		} catch {
			// It has ended.
		}
	}
	await rm(folder, { recursive: true, force: true });
}
