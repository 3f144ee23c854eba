import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { FenceDevice } from '#src/fence/device.ts';
import { FenceDriver } from '#src/fence/driver.ts';
import { powerOfLevel } from '#src/fence/level.ts';
import type { DeviceReading, PowerState } from '#src/ports.ts';
import { captured } from '#test/xen/captured.ts';
import { fakeTools, hasEnded } from '#test/xen/fake.ts';

const secret = 'ganz-geheim';

interface Bench {
	readonly folder: string;
	readonly driver: FenceDriver;
	/** What a tool does from now on: `agent.off`, `bmc.ADDRESS.power-off`, `in-band.lan-print`. */
	readonly behave: (name: string, script: string) => Promise<void>;
	/** What was asked for, in order. */
	readonly verbs: () => Promise<readonly string[]>;
	/** Ends when a tool has been called `count` times. */
	readonly called: (count: number) => Promise<void>;
	readonly text: (name: string) => Promise<string>;
}

type Devices = (folder: string) => readonly FenceDevice[];

const agent: Devices = (folder) => [
	{
		kind: 'agent',
		name: 'pdu',
		limitMs: 10_000,
		lateMs: 0,
		agent: 'fence_fake',
		parameters: { ip: '10.0.0.9', plug: '3' },
		secretParameters: { password: join(folder, 'password') },
	},
];

const bmc =
	(...addresses: readonly string[]): Devices =>
	(folder) =>
		addresses.map((address) => ({
			kind: 'ipmi',
			name: `bmc-${address}`,
			limitMs: 10_000,
			lateMs: 0,
			address,
			username: 'vmpair',
			passwordFile: join(folder, 'password'),
		}));

const bench = async (t: ExecutionContext, devices: Devices): Promise<Bench> => {
	const folder = await mkdtemp(join(tmpdir(), 'fence-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	await writeFile(join(folder, 'password'), `${secret}\n`, { mode: 0o600 });
	const text = (name: string): Promise<string> =>
		readFile(join(folder, name), 'utf8').catch(() => '');
	const verbs = async (): Promise<readonly string[]> => (await text('verbs')).trim().split('\n');
	return {
		folder,
		text,
		verbs,
		driver: new FenceDriver({
			tools: fakeTools('VMPAIR_FAKE_FENCE', folder),
			devices: { beta: [devices(folder)] },
		}),
		behave: (name, script) => writeFile(join(folder, name), script),
		called: async (count) => {
			while ((await verbs()).filter((verb) => verb !== '').length < count)
				await new Promise((resolve) => setTimeout(resolve, 10));
		},
	};
};

const on = 'echo "Status: ON"; exit 0';
const off = 'echo "Status: OFF"; exit 2';
const hang = 'sleep 600 & echo $! >"$here/child"; wait';
const bmcSays = (power: string): string => `echo "Chassis Power is ${power}"; exit 0`;

const readings = async (driver: FenceDriver, level = 0): Promise<readonly DeviceReading[]> => {
	const outcome = await driver.query('beta', level);
	if (outcome.result !== 'succeeded') throw new Error(outcome.detail);
	return outcome.value;
};

const powerOf = async (driver: FenceDriver, level = 0): Promise<PowerState | null> =>
	powerOfLevel(await readings(driver, level));

test('an agent is asked through its input and its exit code decides', async (t) => {
	const { driver, behave, text } = await bench(t, agent);
	await behave('agent.status', on);
	t.is(await powerOf(driver), 'on');
	await behave('agent.status', off);
	t.is(await powerOf(driver), 'off');
	await behave('agent.status', 'echo "2026 ERROR: Connection timed out" >&2; exit 1');
	t.deepEqual(await readings(driver), [
		{ device: 'pdu', power: null, detail: 'exit code 1: Connection timed out' },
	]);
	t.is((await text('input')).split('\n')[2], `password=${secret}`);
});

test('a secret is in no argument, and in no environment where the input carries it', async (t) => {
	const { driver, behave, text } = await bench(t, agent);
	await behave('agent.off', 'exit 0');
	t.is((await driver.off('beta', 0)).result, 'succeeded');
	t.false((await text('calls')).includes(secret));
	t.false((await text('environment')).includes(secret));
});

test('a BMC gets its password by the environment alone', async (t) => {
	const { driver, behave, text } = await bench(t, bmc('10.0.0.2'));
	await behave('bmc.10.0.0.2.power-status', bmcSays('off'));
	t.is(await powerOf(driver), 'off');
	t.false((await text('calls')).includes(secret));
	t.regex(await text('environment'), /^IPMITOOL_PASSWORD=ganz-geheim$/m);
});

test('a secret that a tool repeats is not in the outcome, however long the output', async (t) => {
	const { driver, behave } = await bench(t, agent);
	const noise = 'x'.repeat(295 - secret.length / 2);
	await behave('agent.status', `echo "${secret}${noise}" >&2; exit 1`);
	const outcome = await driver.query('beta', 0);
	t.regex(JSON.stringify(outcome), /"power":null/);
	t.notRegex(JSON.stringify(outcome), /geheim/);
});

test('a device that hangs is unknown within its limit, and nothing of its tool is left', async (t) => {
	for (const [devices, name] of [
		[agent, 'agent.off'],
		[bmc('10.0.0.2'), 'bmc.10.0.0.2.power-off'],
	] as const) {
		const { driver, behave, folder } = await bench(t, (each) =>
			devices(each).map((device) => ({ ...device, limitMs: 400 })),
		);
		await behave(name, hang);
		const startedMs = performance.now();
		const outcome = await driver.off('beta', 0);
		t.true(performance.now() - startedMs < 5000);
		t.is(outcome.result, 'unknown');
		t.regex('detail' in outcome ? outcome.detail : '', /did not answer within 400 ms/);
		if (await readFile(join(folder, 'child')).catch(() => null)) {
			t.true(await hasEnded(join(folder, 'child')));
		}
	}
});

test('an off does not wait for a status query that is under way', async (t) => {
	const { driver, behave, called, verbs, folder } = await bench(t, agent);
	await behave('agent.status', hang);
	await behave('agent.off', 'exit 0');
	const query = driver.query('beta', 0);
	await called(1);
	t.is((await driver.off('beta', 0)).result, 'succeeded');
	t.like(await query, { value: [{ device: 'pdu', power: null }] });
	t.true(await hasEnded(join(folder, 'child')));
	await behave('agent.status', off);
	t.is(await powerOf(driver), 'off');
	t.deepEqual(await verbs(), ['agent status', 'agent off', 'agent status']);
});

test('a device is asked one thing at a time, and a question under way is not asked twice', async (t) => {
	const { driver, behave, verbs, text } = await bench(t, agent);
	const alone =
		'mkdir "$here/busy" 2>/dev/null || echo overlap >>"$here/overlaps"; sleep 0.05; rmdir "$here/busy" 2>/dev/null;';
	await behave('agent.off', `${alone} exit 0`);
	await behave('agent.status', `${alone} ${off}`);
	const outcomes = await Promise.all([
		driver.off('beta', 0),
		driver.query('beta', 0),
		driver.query('beta', 0),
		driver.off('beta', 0),
	]);
	t.true(outcomes.every(({ result }) => result === 'succeeded'));
	t.is(await text('overlaps'), '');
	t.deepEqual(await verbs(), ['agent off', 'agent off', 'agent status']);
});

test('too many calls for one device are refused', async (t) => {
	const { driver, behave } = await bench(t, agent);
	await behave('agent.on', 'exit 0');
	const outcomes = await Promise.all(Array.from({ length: 12 }, () => driver.on('beta', 0)));
	t.true(outcomes.some((outcome) => outcome.result === 'failed' && outcome.code === 'fence-busy'));
	t.is((await driver.on('beta', 0)).result, 'succeeded');
});

test('a host with two supplies is off only when both are', async (t) => {
	const { driver, behave } = await bench(t, bmc('10.0.0.2', '10.0.0.3'));
	await behave('bmc.10.0.0.2.power-status', bmcSays('off'));
	await behave('bmc.10.0.0.3.power-status', bmcSays('on'));
	t.is(await powerOf(driver), 'on');
	await behave('bmc.10.0.0.3.power-status', 'exit 1');
	t.is(await powerOf(driver), null);
	await behave('bmc.10.0.0.3.power-status', bmcSays('off'));
	t.is(await powerOf(driver), 'off');
});

test('every level is asked and switched on its own', async (t) => {
	const { driver, behave, folder, verbs } = await bench(t, bmc('10.0.0.2'));
	driver.configure({ beta: [bmc('10.0.0.2')(folder), agent(folder)] });
	await behave('bmc.10.0.0.2.power-status', 'exit 1');
	await behave('agent.status', off);
	await behave('agent.off', 'exit 0');
	t.is(await powerOf(driver, 0), null);
	t.is(await powerOf(driver, 1), 'off');
	t.is((await driver.off('beta', 1)).result, 'succeeded');
	t.deepEqual(await verbs(), ['bmc.10.0.0.2 power-status', 'agent status', 'agent off']);
	t.like(await driver.off('beta', 2), { result: 'failed', code: 'fence-no-device' });
});

test('an off that one device of a level took and another did not is unknown: some of it was sent', async (t) => {
	const { driver, behave } = await bench(t, bmc('10.0.0.2', '10.0.0.3'));
	await behave('bmc.10.0.0.2.power-off', 'echo "Chassis Power Control: Down/Off"; exit 0');
	t.like(await driver.off('beta', 0), { result: 'unknown' });
});

test('a person who checks is told what every device of every level says, and whose it is', async (t) => {
	const { driver, behave, folder } = await bench(t, bmc('10.77.0.102'));
	driver.configure({ beta: [bmc('10.77.0.102')(folder), agent(folder)] });
	await behave('bmc.10.77.0.102.power-status', bmcSays('on'));
	await behave('agent.status', 'echo "ERROR: no such plug" >&2; exit 1');
	await prints(folder, 'bmc.10.77.0.102.lan-print', 'ipmitool-lan-print-1');
	await prints(folder, 'in-band.lan-print-1', 'ipmitool-in-band-lan-print-1-beta');
	const own = await driver.check('beta', true);
	t.like(own[0]?.devices[0], { power: 'on', kind: 'ipmi', mapping: { result: 'matched' } });
	t.like(own[1], { level: 2 });
	t.like(own[1]?.devices[0], {
		device: 'pdu',
		kind: 'fence_fake',
		power: 'unknown',
		detail: 'exit code 1: no such plug',
		mapping: { result: 'cannot-tell' },
	});
	const peer = await driver.check('beta', false);
	t.is(peer[0]?.devices[0]?.mapping, null);
	t.is(peer[0]?.devices[0]?.identity.macAddress, '52:54:00:77:0b:12');
	t.deepEqual(await driver.check('alpha', false), []);
});

test('a BMC that cannot be reached did not get the off', async (t) => {
	const { driver } = await bench(t, bmc('10.0.0.2'));
	t.deepEqual(await driver.off('beta', 0), {
		result: 'failed',
		code: 'fence-not-sent',
		detail: 'bmc-10.0.0.2: exit code 1: Error: Unable to establish IPMI v2 / RMCP+ session',
	});
});

test('a tool that is not installed is failed: nothing was sent', async (t) => {
	const { driver } = await bench(t, (folder) =>
		agent(folder).map((device) => ({ ...device, agent: 'fence_nowhere' }) as FenceDevice),
	);
	t.like(await driver.off('beta', 0), {
		result: 'failed',
		code: 'fence-tool-missing',
		detail: 'pdu: fence_nowhere is not installed',
	});
});

test('a secret that others may read, that is empty or missing is not used', async (t) => {
	const { driver, folder, verbs } = await bench(t, bmc('10.0.0.2'));
	const file = join(folder, 'password');
	await chmod(file, 0o640);
	t.like(await driver.off('beta', 0), {
		result: 'failed',
		code: 'fence-secret',
		detail: `bmc-10.0.0.2: others may read ${file}; run "chmod 600 ${file}"`,
	});
	await chmod(file, 0o600);
	await writeFile(file, '\nsecond line\n');
	t.like(await driver.off('beta', 0), { result: 'failed', code: 'fence-secret' });
	await rm(file);
	t.like(await driver.off('beta', 0), { result: 'failed', code: 'fence-secret' });
	t.deepEqual(await verbs(), ['']);
});

test('a host without fence devices is said to have none', async (t) => {
	const { driver } = await bench(t, agent);
	t.like(await driver.query('alpha', 0), { result: 'failed', code: 'fence-no-device' });
	t.like(await driver.off('alpha', 0), { result: 'failed', code: 'fence-no-device' });
	driver.configure({});
	t.like(await driver.off('beta', 0), { result: 'failed', code: 'fence-no-device' });
});

/** A stand-in that prints what a real tool printed. */
const prints = async (folder: string, name: string, file: string): Promise<void> => {
	const { stdout, exitCode } = captured(`fence/${file}`);
	await writeFile(join(folder, `${name}.text`), stdout);
	await appendFile(join(folder, name), `cat "$here/${name}.text"; exit ${exitCode}\n`);
};

test('the BMC of this host is recognised as the configured one, or not', async (t) => {
	const { driver, folder } = await bench(t, bmc('10.77.0.102'));
	const unclear = await driver.verifyMapping('beta');
	t.is(unclear.result, 'cannot-tell');
	t.regex('sentence' in unclear ? unclear.sentence : '', /Load ipmi_si and ipmi_devintf/);
	await prints(folder, 'bmc.10.77.0.102.lan-print', 'ipmitool-lan-print-1');
	await prints(folder, 'bmc.10.77.0.102.mc-guid', 'ipmitool-mc-guid');
	await prints(folder, 'in-band.lan-print-1', 'ipmitool-in-band-lan-print-1-beta');
	t.deepEqual(await driver.verifyMapping('beta'), { result: 'matched' });
	await rm(join(folder, 'in-band.lan-print-1'));
	await prints(folder, 'in-band.lan-print-1', 'ipmitool-in-band-lan-print-1');
	t.is((await driver.verifyMapping('beta')).result, 'mismatch');
	t.is((await driver.verifyMapping('alpha')).result, 'cannot-tell');
});

test('another address alone is no mistake: a switched outlet has its own', async (t) => {
	const { driver, folder } = await bench(t, agent);
	await prints(folder, 'in-band.lan-print', 'ipmitool-in-band-lan-print-1-beta');
	const verdict = await driver.verifyMapping('beta');
	t.is(verdict.result, 'cannot-tell');
});
