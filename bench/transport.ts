import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';
import { sshdMissing, startSshd, type Sshd } from '#test/migrate/sshd.ts';

/**
 * Measures how fast the transport of a live migration is: zeros through `vmpair migrate-send` and `migrate-receive` on
 * loopback, against ssh, as xl uses it by itself, to an sshd of its own with throwaway keys. The two take turns, so
 * that a busy machine slows both. Prints one JSON object: each run and the medians in MiB/s, and the median of the
 * ratios of neighbours. Usage: `node bench/transport.ts [--mib 512] [--runs 5]`.
 */
const { values } = parseArgs({
	options: { mib: { type: 'string', default: '512' }, runs: { type: 'string', default: '5' } },
});
const mib = Number(values.mib);
const runs = Number(values.runs);
const program = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const [address, peerAddress, port, sshPort] = ['127.79.1.1', '127.79.1.2', 17_402, 17_403];
/** For one run; a machine that is slower has another problem. */
const limitMs = 300_000;
const missing = sshdMissing();
if (missing !== null) {
	console.error(missing);
	process.exit(1);
}
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

/** Ends when a file holds what it shall. */
const until = async (file: string, holds: (text: string) => boolean): Promise<void> => {
	const endMs = performance.now() + limitMs;
	while (!holds(await readFile(file, 'utf8').catch(() => ''))) {
		if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${file}`);
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
};

/** MiB/s from the first byte, which waits for `ready`, until `counted` holds the number of all bytes. */
const rateOf = async (ready: string, command: string, counted: string): Promise<number> => {
	const began = join(folder, 'began');
	// The start of the processes is no part of the rate.
	const bytes = `until ${ready}; do sleep 0.02; done; date +%s%N >${began}; head -c ${mib}M /dev/zero`;
	shell(`{ ${bytes}; } | ${command}`);
	await until(counted, (text) => Number(text) === mib * 1_048_576);
	const tookMs = Date.now() - Number(await readFile(began, 'utf8')) / 1e6;
	await Promise.all([began, counted].map((file) => rm(file)));
	return mib / (tookMs / 1000);
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
	await writeFile(join(folder, 'xl'), `#!/bin/sh\nwc -c >${counted}\n`, { mode: 0o755 });
	const waiting = join(folder, 'beta/migrate-receive-vm.json');
	await until(waiting, (text) => text === '');
	shell(`exec ${process.execPath} ${program} migrate-receive ${receive}`);
	await until(waiting, (text) => text !== '');
	const connected = `grep -q connected ${join(folder, 'alpha/migrate-send-vm.json')} 2>/dev/null`;
	return rateOf(connected, `${process.execPath} ${program} migrate-send ${send}`, counted);
};

const overSsh = async ({ user, identityFile, knownHostsFile }: Sshd): Promise<number> => {
	const files = `-F none -i ${identityFile} -o UserKnownHostsFile=${knownHostsFile}`;
	const ssh = `ssh ${files} -o BatchMode=yes -b ${address} -p ${sshPort} ${user}@${peerAddress}`;
	const [counted, begun] = [join(folder, 'counted'), join(folder, 'begun')];
	await rm(begun, { force: true });
	return rateOf(`test -e ${begun}`, `${ssh} 'touch ${begun}; wc -c >${counted}'`, counted);
};

const median = (numbers: readonly number[]): number =>
	numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
const round = (number: number): number => Math.round(number);

const sshd = await startSshd(folder, peerAddress, sshPort);
try {
	const pairs: { readonly vmpair: number; readonly ssh: number }[] = [];
	for (let run = 0; run < runs; run += 1) {
		pairs.push({ vmpair: await ours(), ssh: await overSsh(sshd) });
	}
	const ratio = median(pairs.map((each) => each.vmpair / each.ssh));
	const report = {
		mib,
		vmpair: round(median(pairs.map((each) => each.vmpair))),
		ssh: round(median(pairs.map((each) => each.ssh))),
		ratio: Math.round(100 * ratio) / 100,
		runs: pairs.map((each) => [round(each.vmpair), round(each.ssh)]),
	};
	console.log(JSON.stringify(report));
} finally {
	sshd.stop();
	for (const { pid } of children) {
		try {
			if (pid !== undefined) process.kill(-pid);
		} catch {
			// It has ended.
		}
	}
	await rm(folder, { recursive: true, force: true });
}
