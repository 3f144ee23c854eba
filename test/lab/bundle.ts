/** What a run leaves behind for people: logs and event files. */
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decodeEntry } from '#src/store/journal.ts';
import { ssh, type Place } from './host.ts';
import { cacheFolder } from './image.ts';
import { replay } from './replay.ts';
import { progress } from './tool.ts';
import type { HostWatch } from './watch.ts';
import { hosts, type LabHost } from './world.ts';

/** Copies what explains a failure out of the hosts and the run's folder. */
export async function keepBundle(
	place: Place,
	watches: readonly HostWatch[],
	id: string,
): Promise<string> {
	const folder = join(cacheFolder(), 'bundle', id);
	await mkdir(folder, { recursive: true });
	for (const name of ['recorder.jsonl', 'alerts.jsonl', 'vmpair.yaml']) {
		await cp(join(place.folder, name), join(folder, name)).catch(() => {});
	}
	const collect = `journalctl -b --no-pager -n 20000 > /tmp/journal.txt; dmesg > /tmp/dmesg.txt; cp /proc/drbd /tmp/drbd.txt; vmpair status > /tmp/status.txt 2>&1; xl list -v > /tmp/xl.txt; tar -C / -czf - tmp/journal.txt tmp/dmesg.txt tmp/drbd.txt tmp/status.txt tmp/xl.txt var/lib/vmpair var/log/xen etc/vmpair/vmpair.yaml | base64 -w0`;
	for (const host of hosts) {
		for (const log of ['serial.log', 'serial.log.old', 'bmc/chassis.log', 'bmc/log']) {
			const target = join(folder, `${host.name}-${log.replace('/', '-')}`);
			await cp(join(place.folder, host.name, log), target).catch(() => {});
		}
		const view = watches.find((watch) => watch.host === host)?.view;
		if (view?.powered === false || view?.hung === true) continue;
		const told = await ssh(place, host, collect, { anyCode: true, timeoutMs: 120_000 }).catch(
			() => undefined,
		);
		if (told === undefined || told.stdout === '') continue;
		await writeFile(join(folder, `${host.name}.tar.gz`), Buffer.from(told.stdout, 'base64'));
	}
	return folder;
}

const keptRuns = 30;
const isReachable = ({ view }: HostWatch): boolean => view.powered && !view.hung;

/** Fetches a host's whole event journal, oldest file first. */
async function fetchJournal(place: Place, host: LabHost): Promise<string> {
	const command =
		'cd /var/lib/vmpair && ls events-*.jsonl events.jsonl 2>/dev/null | xargs cat | gzip -1 | base64 -w0';
	const { stdout } = await ssh(place, host, command, { timeoutMs: 120_000 });
	return gunzipSync(Buffer.from(stdout, 'base64')).toString('utf8');
}

/**
 * Keeps the event journals of a run and has the engine decide everything again: it must say what it said. Returns a
 * sentence for each host where it does not.
 */
export async function keepEvents(
	place: Place,
	watches: readonly HostWatch[],
	id: string,
): Promise<string[]> {
	const all = join(cacheFolder(), 'events');
	const folder = join(all, `${new Date().toISOString().slice(0, 19)}-${id}`);
	await mkdir(folder, { recursive: true });
	for (const name of (await readdir(all)).sort().slice(0, -keptRuns)) {
		await rm(join(all, name), { recursive: true });
	}
	const failures: string[] = [];
	for (const { host } of watches.filter(isReachable)) {
		const text = await fetchJournal(place, host);
		await writeFile(join(folder, `${host.name}.jsonl`), text);
		const entries = text.split('\n').map(decodeEntry);
		const { runs, steps, differences } = replay(entries.filter((entry) => entry !== null));
		progress(
			`${host.name}: ${steps} decisions of ${runs} runs of the agent replayed, see ${folder}`,
		);
		const [first] = differences;
		if (first === undefined) continue;
		failures.push(
			`${host.name}: ${differences.length} decisions differ when the journal is replayed: ${first}`,
		);
	}
	return failures;
}
