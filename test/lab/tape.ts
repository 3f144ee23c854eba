/** The recorder's and the alert sink's processes, and reading what they wrote. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Place } from './host.ts';
import { parseEntries, type Entry } from './ledger.ts';
import { inside } from './network.ts';
import { run } from './tool.ts';
import { alertPort, hosts, outerAddress, recorderPort, type LabHost } from './world.ts';

export type Tape = {
	readonly entries: () => Promise<Entry[]>;
	readonly alerts: () => Promise<Alert[]>;
	readonly stop: () => void;
};

export type Alert = {
	readonly atMs: number;
	/** As the product sends it: Standard Webhooks. */
	readonly body: {
		readonly type: string;
		readonly data: {
			readonly host: string;
			readonly summary: string;
			readonly condition?: string;
			readonly subject?: string;
			readonly status?: string;
		};
	};
};

async function startProcess(place: Place, file: URL, args: string[]): Promise<ChildProcess> {
	const script = fileURLToPath(file);
	const [command, words] = inside(place.namespace, process.execPath, script, ...args);
	const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const ready = await lines.next();
	if (ready.value !== 'ready') throw new Error(`${script} did not start`);
	return child;
}

/** Starts both, outside of the hosts and inside of the lab's network. */
export async function startTape(place: Place): Promise<Tape> {
	const recorderFile = join(place.folder, 'recorder.jsonl');
	const alertFile = join(place.folder, 'alerts.jsonl');
	const children = [
		await startProcess(place, new URL('./recorder.ts', import.meta.url), [
			outerAddress.guest,
			String(recorderPort),
			recorderFile,
		]),
		await startProcess(place, new URL('./alert-sink.ts', import.meta.url), [
			outerAddress.management,
			String(alertPort),
			alertFile,
		]),
	];
	const text = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
	return {
		entries: async () => parseEntries(await text(recorderFile)),
		alerts: async () =>
			(await text(alertFile))
				.split('\n')
				.filter((line) => line !== '')
				.map((line) => JSON.parse(line) as Alert),
		stop: () => {
			for (const child of children) child.kill();
		},
	};
}

/** Behind which host's tap each guest's network card is seen now, by MAC address: who runs where, from outside. */
export async function guestPlaces(place: Place): Promise<Map<string, LabHost>> {
	const { stdout } = await run('bridge', ['-n', place.namespace, 'fdb', 'show', 'br', 'br-guest'], {
		anyCode: true,
		timeoutMs: 5000,
	});
	const found = new Map<string, LabHost>();
	for (const [, mac = '', index] of stdout.matchAll(/^(\S+) dev guest(\d)/gmu)) {
		const host = hosts.find((each) => String(each.index) === index);
		if (host !== undefined) found.set(mac, host);
	}
	return found;
}
