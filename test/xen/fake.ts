import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { execa } from 'execa';
import type { HypervisorObservation } from '#src/ports.ts';
import { tools } from '#src/std/driver-tool.ts';
import type { Tools } from '#src/std/tool.ts';
import { MigrationUnits } from '#src/xen/driver-migration.ts';
import { unitsBy } from '#src/xen/driver-units.ts';
import { backendsIn } from '#src/xen/driver-backends.ts';
import { XenDriver } from '#src/xen/driver.ts';
import type { XenTiming } from '#src/xen/timing.ts';

const bin = new URL('../fixture/bin/', import.meta.url).pathname;

/** Fast enough for tests, long enough for a busy machine. */
const timing: Partial<XenTiming> = {
	listMs: 10_000,
	pollMs: 30,
	debounceMs: 5,
	retryMs: 5,
	watcherMs: 20,
};

/** The real runner, with the stand-ins first in the search path and their state in `folder`. */
export const fakeTools = (variable: string, folder: string): Tools => {
	const environment = { [variable]: folder, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
	return {
		run: (call) => tools.run({ ...call, environment: { ...call.environment, ...environment } }),
		follow: (call, follower) =>
			tools.follow({ ...call, environment: { ...call.environment, ...environment } }, follower),
	};
};

export interface FakeXen {
	readonly folder: string;
	readonly tools: Tools;
	/** Another driver on the same host: an agent that was started anew. */
	driver(changed?: Partial<XenTiming>): XenDriver;
	/** What happens first when `xl VERB` is called; `$here` is the folder. */
	behave(name: string, script: string): Promise<void>;
	write(path: string, text: string): Promise<void>;
	calls(): Promise<readonly string[]>;
	/** Runs `xl` as a person on this host would. */
	xl(...args: readonly string[]): Promise<void>;
}

/** A host with the VMs ldap and web configured and nothing running. */
export const fakeXen = async (t: ExecutionContext): Promise<FakeXen> => {
	const folder = await mkdtemp(join(tmpdir(), 'xen-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	await mkdir(join(folder, 'domains'));
	await mkdir(join(folder, 'backends'));
	const ours = fakeTools('VMPAIR_FAKE_XEN', folder);
	const vms = ['ldap', 'web'].map((vm) => ({
		vm,
		resource: vm,
		configurationFile: join(folder, `${vm}.cfg`),
	}));
	const write = (path: string, text: string): Promise<void> => writeFile(join(folder, path), text);
	for (const { vm } of vms) await write(`${vm}.cfg`, `name = "${vm}"\n`);
	return {
		folder,
		tools: ours,
		write,
		driver: (changed = {}) =>
			new XenDriver({
				tools: ours,
				vms,
				preflight: () => Promise.resolve([]),
				units: unitsBy(ours),
				migrations: new MigrationUnits(ours, {
					peer: 'beta',
					program: [join(folder, 'vmpair')],
					configurationFile: join(folder, 'vmpair.yaml'),
					runtimeDirectory: folder,
				}),
				backends: backendsIn(join(folder, 'backends')),
				timing: { ...timing, ...changed },
			}),
		behave: (name, script) => write(name, script),
		calls: async () => (await readFile(join(folder, 'calls'), 'utf8').catch(() => '')).split('\n'),
		xl: async (...args) => {
			await execa(join(bin, 'xl'), args, { env: { VMPAIR_FAKE_XEN: folder } });
		},
	};
};

/** Ends with the first observation that fits; the test's own time limit bounds it. */
export const observed = (
	t: ExecutionContext,
	driver: XenDriver,
	fits: (observation: HypervisorObservation | null) => boolean,
): Promise<HypervisorObservation | null> =>
	new Promise((resolve) => {
		const stop = driver.watch((observation) => {
			if (fits(observation)) {
				stop();
				resolve(observation);
			}
		});
		t.teardown(stop);
	});

/** Whether the process whose id a stand-in wrote to `file` is gone; one that nobody waits for yet counts. */
export const hasEnded = async (file: string): Promise<boolean> => {
	const pid = (await readFile(file, 'utf8')).trim();
	for (let attempt = 0; attempt < 500; attempt += 1) {
		const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
		if (stat === null || /\) [ZX] /.test(stat)) return true;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	return false;
};
