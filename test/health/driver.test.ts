import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { HealthCheck, HealthProbe } from '#src/config/config.ts';
import { healthAdvice } from '#src/health/driver-preflight.ts';
import { HealthChecks, type HealthOptions } from '#src/health/driver.ts';
import { linksOf } from '#src/health/driver-carrier.ts';
import { physicalBelow } from '#src/load/driver-kernel.ts';
import type { HealthReading } from '#src/ports-load.ts';
import { tools } from '#src/std/driver-tool.ts';
import { bridge, plant, planted, port } from '#test/load/tree.ts';
import { fakeTools, hasEnded } from '#test/xen/fake.ts';

const plugin = new URL('../fixture/bin/check_plugin', import.meta.url).pathname;

const command = (...words: readonly string[]): HealthProbe => ({
	kind: 'command',
	command: words,
	limitMs: 10_000,
});

const check = (name: string, probe: HealthProbe, everyMs = 60_000): HealthCheck => ({
	check: name,
	probe,
	everyMs,
	holdMs: 0,
	action: 'alert',
	hosts: ['alpha'],
});

const scratch = async (t: ExecutionContext): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'health-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	return folder;
};

/** Runs checks, and gives their readings one after the other. */
const running = (t: ExecutionContext, change: Partial<HealthOptions> = {}) => {
	const readings: HealthReading[] = [];
	let wake = (): void => {};
	const checks = new HealthChecks({
		tools,
		linksOf: () => Promise.resolve(null),
		onReading: (reading) => {
			readings.push(reading);
			wake();
		},
		...change,
	});
	t.teardown(() => checks.stop());
	const until = async (done: () => boolean): Promise<readonly HealthReading[]> => {
		while (!done())
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		return readings;
	};
	const of = async (name: string): Promise<HealthReading | undefined> => {
		await until(() => readings.some((each) => each.check === name));
		return readings.find((each) => each.check === name);
	};
	return { checks, readings, until, of };
};

const appears = async (file: string): Promise<string> => {
	for (;;) {
		const text = await readFile(file, 'utf8').catch(() => '');
		if (text.endsWith('\n')) return text.trim();
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
};

test('a real plugin is run, and what it says is told', async (t) => {
	const { checks, of } = running(t);
	checks.manage([check('raid', command(plugin, '2', 'echo "RAID CRITICAL - md0 degraded|x=1"'))]);
	t.deepEqual(await of('raid'), {
		check: 'raid',
		health: 'critical',
		detail: 'RAID CRITICAL - md0 degraded',
	});
});

test('checks are run again and again, each for itself', async (t) => {
	const folder = await scratch(t);
	const { checks, until, readings } = running(t);
	const count = `echo run >>${folder}/runs; wc -l <${folder}/runs`;
	checks.manage([check('often', command(plugin, '0', count), 10)]);
	await until(() => readings.length === 2);
	t.deepEqual(
		readings.map(({ detail }) => detail),
		['1', '2'],
	);
});

test('a plugin that hangs is ended with all that it started, and is unknown', async (t) => {
	const folder = await scratch(t);
	const { checks, of } = running(t);
	const script = `sleep 60 & echo $! >${folder}/child; wait`;
	const probe = { ...command(plugin, '0', script), limitMs: 1000 } as HealthProbe;
	checks.manage([check('raid', probe)]);
	const said = await of('raid');
	t.is(said?.health, 'unknown');
	t.regex(said?.detail ?? '', /check_plugin did not answer within 1000 ms/);
	t.true(await hasEnded(join(folder, 'child')));
});

test('a plugin that floods is cut off', async (t) => {
	const { checks, of } = running(t);
	checks.manage([check('raid', command(plugin, '0', 'yes'))]);
	t.deepEqual(await of('raid'), {
		check: 'raid',
		health: 'unknown',
		detail: `${plugin} wrote more than can be read`,
	});
});

test('a plugin that is missing, or is no program, is unknown with the remedy', async (t) => {
	const folder = await scratch(t);
	await writeFile(join(folder, 'text'), 'no program\n');
	const { checks, of } = running(t);
	checks.manage([
		check('missing', command('/nowhere/check_raid'), 10_000),
		check('text', command(join(folder, 'text')), 10),
	]);
	t.regex(
		(await of('missing'))?.detail ?? '',
		/^\/nowhere\/check_raid is not installed: install .*health\.missing\.command/,
	);
	t.regex((await of('text'))?.detail ?? '', /cannot be run \(EACCES\)/);
});

test('a plugin sees nothing of the environment of the agent but the search path', async (t) => {
	process.env['VMPAIR_PLANTED'] = 'secret';
	t.teardown(() => delete process.env['VMPAIR_PLANTED']);
	const folder = await scratch(t);
	const { checks, of } = running(t);
	checks.manage([check('raid', command(plugin, '0', `env >${folder}/env; echo OK`))]);
	t.is((await of('raid'))?.detail, 'OK');
	const names = (await readFile(join(folder, 'env'), 'utf8'))
		.trim()
		.split('\n')
		.map((line) => line.split('=', 1)[0] ?? '')
		// The shell sets these itself.
		.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name));
	t.deepEqual(names.sort(), ['LC_ALL', 'PATH']);
});

test('four run at a time, the others wait for their turn', async (t) => {
	const folder = await scratch(t);
	const { checks, until, readings } = running(t);
	const script = `mkdir ${folder}/$$; ls -d ${folder}/* | wc -l; sleep 0.3; rmdir ${folder}/$$`;
	// So often that they all are due at once.
	const all = Array.from({ length: 9 }, (_, at) =>
		check(`c${at}`, command(plugin, '0', script), 10),
	);
	checks.manage(all);
	await until(() => new Set(readings.map((each) => each.check)).size === 9);
	const most = Math.max(...readings.map(({ detail }) => Number(detail)));
	t.true(most >= 2 && most <= 4, `${most} at a time`);
});

test('first runs are spread, and come soon all the same', async (t) => {
	const begun: { readonly name: string; readonly atMs: number }[] = [];
	const { checks, until, readings } = running(t, {
		tools: {
			...tools,
			run: async (call) => {
				begun.push({ name: call.args[0] ?? '', atMs: performance.now() });
				call.onGone?.();
				return { end: 'exited', exitCode: 0, stdout: 'OK', stderr: '' };
			},
		},
	});
	const beganMs = performance.now();
	checks.manage([0, 1, 2].map((at) => check(`c${at}`, command(plugin, String(at)), 900)));
	await until(() => new Set(readings.map((each) => each.check)).size === 3);
	for (const [index, dueMs] of [0, 300, 600].entries()) {
		const first = begun.find(({ name }) => name === String(index));
		t.true((first?.atMs ?? 0) - beganMs >= dueMs - 20, `${index}`);
	}
});

test('with a new configuration a check that is as it was goes on, the others end and begin', async (t) => {
	const folder = await scratch(t);
	const { checks, of, readings } = running(t);
	const hang = (name: string) => command(plugin, '0', `echo $$ >${folder}/${name}; exec sleep 60`);
	const kept = check('kept', hang('kept'));
	checks.manage([kept, check('gone', hang('gone'), 10)]);
	await appears(join(folder, 'kept'));
	await appears(join(folder, 'gone'));
	checks.manage([{ ...kept }, check('new', command(plugin, '1', 'echo WARNING'), 10)]);
	t.is((await of('new'))?.health, 'warning');
	t.true(await hasEnded(join(folder, 'gone')));
	process.kill(Number(await appears(join(folder, 'kept'))), 0);
	t.false(readings.some((each) => each.check === 'gone'));
	checks.stop();
	t.true(await hasEnded(join(folder, 'kept')));
});

test('a program that cannot be ended is not started beside itself', async (t) => {
	let runs = 0;
	const gone: (() => void)[] = [];
	const { checks, until, readings } = running(t, {
		tools: {
			...tools,
			run: async (call) => {
				runs += 1;
				if (call.onGone !== undefined) gone.push(call.onGone);
				if (runs === 1) return { end: 'unknown', detail: 'it cannot be ended' };
				call.onGone?.();
				return { end: 'exited', exitCode: 0, stdout: 'OK', stderr: '' };
			},
		},
	});
	checks.manage([check('disk', command(plugin), 10)]);
	await until(() => readings.length === 2);
	t.is(runs, 1);
	t.is(readings[1]?.health, 'unknown');
	t.regex(readings[1]?.detail ?? '', /an earlier run cannot be ended/);
	gone[0]?.();
	await until(() => readings.some(({ health }) => health === 'ok'));
});

test('a disk and the sensors are asked by their tools', async (t) => {
	const folder = await scratch(t);
	await writeFile(
		join(folder, 'smartctl'),
		`echo '{"smartctl":{"exit_status":8},"smart_status":{"passed":false}}'; exit 8\n`,
	);
	const disk = running(t, { tools: fakeTools('VMPAIR_FAKE_HEALTH', folder) });
	disk.checks.manage([check('disk', { kind: 'smart', disk: '/dev/sda' })]);
	t.is((await disk.of('disk'))?.health, 'critical');
	t.is(await readFile(join(folder, 'calls'), 'utf8'), 'smartctl --json --health /dev/sda\n');
	await writeFile(join(folder, 'in-band.-c-sdr'), 'echo "CPU Temp,91,degrees C,cr"; exit 0\n');
	const sensors = running(t, { tools: fakeTools('VMPAIR_FAKE_FENCE', folder) });
	sensors.checks.manage([check('board', { kind: 'ipmi' })]);
	t.deepEqual(await sensors.of('board'), {
		check: 'board',
		health: 'critical',
		detail: 'CPU Temp is at 91 degrees C: beyond the critical limit',
	});
});

test('the links of devices and bridges are read from the kernel', async (t) => {
	const folder = await planted(t, {
		...port('eth0', { speed: '1000', rx: 0, tx: 0 }),
		...port('eth1', { speed: '1000', rx: 0, tx: 0, carrier: '0' }),
		...bridge('br0', 'eth0', 'eth1', 'vif1.0'),
		...bridge('br1', 'eth1'),
		'sys/class/net/eth2/device/': '',
	});
	const sys = join(folder, 'sys');
	const { checks, of, until, readings } = running(t, {
		linksOf: (device) => linksOf(sys, device, (each) => physicalBelow(sys, each)),
	});
	const names = ['eth0', 'eth1', 'eth2', 'br0', 'br1', 'eth9'];
	checks.manage(names.map((device) => check(device, { kind: 'carrier', device }, 100)));
	const said: Record<string, string | undefined> = {};
	for (const name of names) said[name] = (await of(name))?.health;
	t.deepEqual(said, {
		eth0: 'ok',
		eth1: 'critical',
		eth2: 'critical',
		br0: 'ok',
		br1: 'critical',
		eth9: 'unknown',
	});
	await plant(folder, { 'sys/class/net/eth0/carrier': '0\n' });
	await until(() => readings.some((each) => each.check === 'br0' && each.health === 'critical'));
	t.pass();
});

test('a check whose program cannot be run is advised about, with the remedy', async (t) => {
	const folder = await scratch(t);
	await writeFile(join(folder, 'smartctl'), '');
	const checks = [
		check('good', command(plugin)),
		check('missing', command('/nowhere/check_raid')),
		check('folder', command(folder)),
		check('disk', { kind: 'smart', disk: '/dev/sda' }),
		check('board', { kind: 'ipmi' }),
		check('link', { kind: 'carrier', device: 'eth0' }),
	];
	const found = await healthAdvice(checks, folder);
	t.is(found.length, 4);
	t.is(
		found[0],
		'The health check missing cannot run /nowhere/check_raid, so it is unknown: install /nowhere/check_raid, make it executable, or correct health.missing.command in vmpair.yaml.',
	);
	t.regex(found[1] ?? '', /^The health check folder cannot run/);
	t.regex(found[2] ?? '', /cannot run smartctl.*install the package smartmontools\.$/);
	t.regex(found[3] ?? '', /cannot run ipmitool.*install the package ipmitool\.$/);
	await chmod(join(folder, 'smartctl'), 0o755);
	t.is((await healthAdvice(checks, folder)).length, 3);
});
