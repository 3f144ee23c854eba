import { readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { physicalBelow, readKernel, watchedNetwork } from '#src/load/driver-kernel.ts';
import { watchLoad, type LoadOptions } from '#src/load/driver.ts';
import type { LoadSample } from '#src/ports-load.ts';
import { backends, bridge, disks, plant, planted, port } from '#test/load/tree.ts';
import { fakeXen, hasEnded, type FakeXen } from '#test/xen/fake.ts';

const uplinks = {
	...port('eth0', { speed: '10000', rx: 1000, tx: 2000 }),
	...port('eth1', { speed: '1000', rx: 3000, tx: 4000 }),
	...port('eth2', { speed: '-1', rx: 5000, tx: 6000 }),
	...port('eth3', { speed: '1000', rx: 9, tx: 9 }),
};

const network = {
	...uplinks,
	// A bridge on a bond of two, with a VM on it; a bridge without an uplink; Open vSwitch.
	...bridge('br0', 'bond0', 'vif1.0'),
	'sys/class/net/bond0/lower_eth0': { to: '../eth0' },
	'sys/class/net/bond0/lower_eth1': { to: '../eth1' },
	...bridge('br1', 'vif1.1'),
	'sys/class/net/ovs-system/lower_eth2': { to: '../eth2' },
	// A VLAN for a link of the pair.
	'sys/class/net/eth3.7/lower_eth3': { to: '../eth3' },
	'sys/class/net/lo/speed': '',
};

const host = {
	'proc/stat': 'cpu  100 0 50 800 20 0 5 25 0 0\n',
	'proc/meminfo': 'MemTotal: 1000 kB\nMemAvailable: 400 kB\n',
	...disks({ sda: 700, sdb: 300 }),
	...network,
	...backends(1, 40, 1024),
};

const placesIn = (folder: string) => ({
	proc: join(folder, 'proc'),
	sys: join(folder, 'sys'),
	xenBackends: join(folder, 'backends'),
});

const link = (device: string) => ({ device, address: '10.0.0.1' });

test('the physical devices below bridges, bonds and VLANs are found, VMs are none', async (t) => {
	const sys = join(await planted(t, host), 'sys');
	t.deepEqual(await physicalBelow(sys, 'br0'), ['eth0', 'eth1']);
	t.deepEqual(await physicalBelow(sys, 'eth3.7'), ['eth3']);
	t.deepEqual(await physicalBelow(sys, 'eth2'), ['eth2']);
	for (const none of ['br1', 'lo', 'vif1.0', 'absent'])
		t.deepEqual(await physicalBelow(sys, none), [], none);
	const all = await watchedNetwork(sys, [link('eth3.7')]);
	t.deepEqual([...all].sort(), ['eth0', 'eth1', 'eth2', 'eth3']);
	t.deepEqual([...(await watchedNetwork(sys, []))].sort(), ['eth0', 'eth1', 'eth2']);
});

test("a link of the pair without a configured device is found by this machine's address", async (t) => {
	const sys = join(await planted(t, port('lo', { speed: '1000', rx: 1, tx: 1 })), 'sys');
	const asked = (address: string) => watchedNetwork(sys, [{ device: null, address }]);
	t.deepEqual(await asked('127.0.0.1'), ['lo']);
	t.deepEqual(await asked('192.0.2.1'), []);
});

test('devices that are stacked in a circle end the search', async (t) => {
	const sys = join(
		await planted(t, {
			'sys/class/net/a/lower_b': '',
			'sys/class/net/b/lower_a': '',
			'sys/class/block/drbd0/slaves/dm-0/': '',
			'sys/class/block/dm-0/slaves/dm-0/': '',
		}),
		'sys',
	);
	t.deepEqual(await physicalBelow(sys, 'a'), []);
});

test("one reading shows dom0, the disks below DRBD, the uplinks and a VM's inflow", async (t) => {
	const folder = await planted(t, host);
	const reading = await readKernel(placesIn(folder), [link('eth3.7')], new Set([1, 2]));
	t.deepEqual(reading.dom0, { busy: 180, idle: 820 });
	t.is(reading.memory, 0.6);
	t.deepEqual(Object.fromEntries(reading.disksMs ?? []), { sda: 700, sdb: 300 });
	t.deepEqual(Object.fromEntries(reading.network ?? []), {
		// The speed of eth2 is not known.
		eth0: { rxBytes: 1000, txBytes: 2000, bytesPerS: 1_250_000_000 },
		eth1: { rxBytes: 3000, txBytes: 4000, bytesPerS: 125_000_000 },
		eth3: { rxBytes: 9, txBytes: 9, bytesPerS: 125_000_000 },
	});
	t.deepEqual([...reading.inflowBytes], [[1, 40 * 512 + 1024]]);
});

test('a file that is missing or garbled makes only its own part unknown', async (t) => {
	const folder = await planted(t, {
		...host,
		'proc/stat': 'intr 1 2 3\n',
		'sys/devices/pci/sdb/stat': 'none\n',
		'sys/class/net/eth0/statistics/rx_bytes': '\n',
		'backends/vbd-1-51728/mode': 'w\n',
		'backends/vif-3-0/state': '4\n',
	});
	const reading = await readKernel(placesIn(folder), [], new Set([1, 3]));
	t.is(reading.dom0, null);
	t.is(reading.memory, 0.6);
	t.is(reading.disksMs, null);
	t.is(reading.network, null);
	// The second disk of one is not connected; the disks of the other are not dom0's.
	t.deepEqual([...reading.inflowBytes], [[1, null]]);
});

test('on a machine without DRBD, Xen and bridges there is nothing, and nothing fails', async (t) => {
	const folder = await planted(t, {});
	const reading = await readKernel(placesIn(folder), [], new Set([1]));
	t.like(reading, { dom0: null, memory: null });
	t.is(reading.disksMs?.size, 0);
	t.is(reading.network?.size, 0);
	t.is(reading.inflowBytes.size, 0);
});

test("this machine's own /proc and /sys are understood", async (t) => {
	const places = { proc: '/proc', sys: '/sys', xenBackends: '/sys/bus/xen-backend/devices' };
	const reading = await readKernel(places, [], new Set());
	t.true((reading.dom0?.busy ?? 0) > 0);
	t.true(reading.memory !== null && reading.memory > 0 && reading.memory < 1);
});

const web = (cpuSeconds: string): string =>
	`name='web' pauses=0 shutdown=0 letter=- code=- dying=0 cpu=${cpuSeconds}\n`;

/** The program hangs, and its id stands in a file. */
const hangs = 'echo $$ >"$here/pid"; exec sleep 60';

const pidOf = async ({ folder }: FakeXen): Promise<string> => {
	for (;;) {
		const text = await readFile(join(folder, 'pid'), 'utf8').catch(() => '');
		if (text.endsWith('\n')) return text;
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
};

/** Samples of a host with one VM, one after the other. */
const watching = (
	t: ExecutionContext,
	xen: FakeXen,
	folder: string,
	change: Partial<LoadOptions> = {},
) => {
	const waiting: ((sample: LoadSample | null) => void)[] = [];
	const stop = watchLoad({
		tools: xen.tools,
		kernel: (domids) => readKernel(placesIn(folder), [], domids),
		vms: () => ['web', 'ldap'],
		onSample: (sample) => waiting.shift()?.(sample),
		timing: { everyMs: 200, restMs: 20 },
		...change,
	});
	t.teardown(stop);
	const next = () => new Promise<LoadSample | null>((resolve) => void waiting.push(resolve));
	const until = async (fits: (sample: LoadSample | null) => boolean) => {
		for (;;) {
			const sample = await next();
			if (fits(sample)) return sample;
		}
	};
	return { next, until, stop };
};

test('samples follow each other, each from what the host did since the one before', async (t) => {
	const xen = await fakeXen(t);
	const folder = await planted(t, host);
	await xen.write('domains/1', web('10.0'));
	const { until } = watching(t, xen, folder);
	const idle = await until((sample) => sample?.vms.length === 1 && sample.host.memory !== null);
	t.is(idle?.cpus, 4);
	t.deepEqual(idle?.host, { cpu: 0, dom0: null, memory: 0.6, disk: 0, network: 0 });
	t.deepEqual(idle?.vms, [{ vm: 'web', cpus: 0, inflowMibPerS: 0 }]);
	await plant(folder, { 'proc/stat': 'cpu  160 0 50 840 20 0 5 25 0 0\n' });
	t.is((await until((sample) => sample !== null && sample.host.dom0 !== null))?.host.dom0, 0.6);
	await xen.write('domains/1', web('100000.0'));
	t.is((await until((sample) => (sample?.vms[0]?.cpus ?? 0) > 1))?.host.cpu, 1);
});

test('each look starts one program, and how many CPUs there are is asked once', async (t) => {
	const xen = await fakeXen(t);
	const { next } = watching(t, xen, await planted(t, host));
	for (let looks = 0; looks < 4; looks += 1) await next();
	const calls = (await xen.calls()).filter((line) => line !== '');
	t.is(calls.filter((line) => line === 'xl info nr_cpus').length, 1);
	const lists = calls.filter((line) => line === 'xl list -v').length;
	t.true(lists >= 5 && lists <= 6, `${lists} listings in 4 samples`);
});

test('a look steps back behind others', async (t) => {
	const xen = await fakeXen(t);
	await xen.behave('xl.list', hangs);
	watching(t, xen, await planted(t, host));
	t.is(getPriority(Number(await pidOf(xen))), 5);
});

test('while Xen does not answer, CPU and VMs are unknown and the rest is told', async (t) => {
	const xen = await fakeXen(t);
	await xen.write('domains/1', web('10.0'));
	const { next, until } = watching(t, xen, await planted(t, host));
	await next();
	await xen.behave('xl.list', 'echo "libxl: error" >&2; exit 1');
	const blind = await until((sample) => sample?.host.cpu === null && sample.host.memory !== null);
	t.deepEqual(blind?.vms, []);
	t.is(blind?.host.memory, 0.6);
	await xen.behave('xl.list', 'echo garbage; exit 0');
	t.is((await next())?.host.cpu, null);
	await xen.behave('xl.list', '');
	t.truthy(await until((sample) => sample?.vms.length === 1));
});

test('without the number of CPUs there is no sample', async (t) => {
	const xen = await fakeXen(t);
	await xen.behave('xl.info', 'exit 1');
	const { next, until } = watching(t, xen, await planted(t, host));
	t.is(await next(), null);
	await xen.behave('xl.info', '');
	t.is((await until((sample) => sample !== null))?.cpus, 4);
});

test('the end of the watch ends the program that it waits for', async (t) => {
	const xen = await fakeXen(t);
	await xen.behave('xl.list', hangs);
	const { stop } = watching(t, xen, await planted(t, host));
	await pidOf(xen);
	stop();
	t.true(await hasEnded(join(xen.folder, 'pid')));
});

test('a program that cannot be ended is not started beside itself', async (t) => {
	let lists = 0;
	const gone: (() => void)[] = [];
	const xen = await fakeXen(t);
	const { next, until } = watching(t, xen, await planted(t, host), {
		tools: {
			...xen.tools,
			run: async (call) => {
				if (call.args[0] !== 'list') return await xen.tools.run(call);
				lists += 1;
				if (lists !== 2) return await xen.tools.run(call);
				gone.push(() => call.onGone?.());
				return { end: 'unknown', detail: 'xl did not answer and cannot be ended' };
			},
		},
	});
	for (let looks = 0; looks < 3; looks += 1) t.is((await next())?.host.cpu ?? null, null);
	t.is(lists, 2);
	gone[0]?.();
	await until((sample) => sample !== null && sample.host.cpu !== null);
	t.true(lists >= 4);
});
