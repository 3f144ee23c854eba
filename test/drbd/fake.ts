import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrbdDriver } from '#src/drbd/driver.ts';
import type { DrbdTiming } from '#src/drbd/timing.ts';
import type { Outcome } from '#src/ports.ts';
import { tools } from '#src/std/driver-tool.ts';
import type { Tools } from '#src/std/tool.ts';
import { ofProcess, processes, until } from '#test/process/stage.ts';

const bin = new URL('../fixture/bin/', import.meta.url).pathname;

/** Prints the state, and for a running stream whatever is appended to `events` afterwards. */
const events2 = `
cat "$here/state"
echo 'exists -'
case " $* " in *' --now '*) exit 0 ;; esac
exec tail -s 0.02 -n +1 -f "$here/events"
`;

export interface Fake {
	readonly tools: Tools;
	readonly drbdadm: string;
	readonly drbdsetup: string;
	/** What a verb does: a shell fragment; `$here` is the fake's folder. */
	behave(name: string, script: string): Promise<void>;
	/** What DRBD looks like from now on: lines without `exists -`. */
	show(lines: readonly string[]): Promise<void>;
	/** Lines for the running streams. */
	tell(...lines: readonly string[]): Promise<void>;
	calls(): Promise<string[]>;
}

export interface Shown {
	readonly role?: string;
	readonly suspended?: string;
	/** Null: StandAlone, the connection is gone. */
	readonly connection?: string | null;
	readonly disks?: readonly string[];
}

/** The lines DRBD 8.4 shows for one resource. */
export const lines = (resource: string, shown: Shown = {}): string[] => {
	const { role = 'Secondary', suspended = 'no', connection = 'Connected' } = shown;
	const disks = shown.disks ?? ['UpToDate'];
	const connected = connection === 'Connected';
	const peer = `name:${resource} peer-node-id:0 conn-name:peer`;
	const pair = connected
		? 'replication:Established peer-disk:UpToDate'
		: 'replication:Off peer-disk:DUnknown';
	return [
		`exists resource name:${resource} role:${role} suspended:${suspended}`,
		...(connection === null
			? []
			: [
					`exists connection ${peer} connection:${connection} role:${connected ? 'Secondary' : 'Unknown'}`,
				]),
		...disks.map(
			(disk, volume) =>
				`exists device name:${resource} volume:${volume} minor:${volume} disk:${disk}`,
		),
		...(connection === null
			? []
			: disks.map(
					(_, volume) => `exists peer-device ${peer} volume:${volume} ${pair} resync-suspended:no`,
				)),
	];
};

/** A DRBD made of shell scripts, in a folder of its own. */
export const createFake = async (t: { teardown(fn: () => Promise<void>): void }): Promise<Fake> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-drbd-'));
	const calls = new Set<Promise<unknown>>();
	t.teardown(async () => {
		// A tool that still runs would write into the folder while it is removed.
		await Promise.all(calls);
		await until('no tool of the fake runs', () =>
			processes().every((pid) => !ofProcess(pid, 'environ').includes(folder)),
		);
		await rm(folder, { recursive: true, force: true });
	});
	const environment = { VMPAIR_FAKE_DRBD: folder };
	// A tool may read while this writes.
	const replace = async (name: string, text: string): Promise<void> => {
		await writeFile(join(folder, `${name}.new`), text);
		await rename(join(folder, `${name}.new`), join(folder, name));
	};
	await Promise.all([
		replace('state', ''),
		replace('calls', ''),
		replace('events', ''),
		replace('drbdsetup.events2', events2),
	]);
	return {
		tools: {
			run: async (call) => {
				const ended = tools.run({ ...call, environment });
				calls.add(ended);
				return await ended;
			},
			follow: (call, follower) => tools.follow({ ...call, environment }, follower),
		},
		drbdadm: `${bin}drbdadm`,
		drbdsetup: `${bin}drbdsetup`,
		behave: (name, script) => replace(name, script),
		show: (text) => replace('state', text.map((line) => `${line}\n`).join('')),
		tell: (...text) => appendFile(join(folder, 'events'), text.map((line) => `${line}\n`).join('')),
		calls: async () => (await readFile(join(folder, 'calls'), 'utf8')).trim().split('\n'),
	};
};

/** A driver for vm1 on a DRBD made of shell scripts. */
export const start = async (
	t: { teardown(fn: () => Promise<void>): void },
	timing: Partial<DrbdTiming> = {},
): Promise<{ fake: Fake; driver: DrbdDriver }> => {
	const fake = await createFake(t);
	const driver = new DrbdDriver({
		tools: fake.tools,
		drbdadm: fake.drbdadm,
		drbdsetup: fake.drbdsetup,
		resources: [{ resource: 'vm1', peer: 'host2' }],
		timing: { heldOpenRetryMs: 5, ...timing },
	});
	return { fake, driver };
};

/** Words of a tool that fails. */
export const says = (words: string, exitCode: number): string =>
	`echo '${words.replaceAll("'", String.raw`'\''`)}' >&2; exit ${exitCode}`;

/** The end of an action in few words. */
export const short = (outcome: Outcome): string =>
	outcome.result === 'failed' ? `failed ${outcome.code}` : outcome.result;
