import fc from 'fast-check';
import test from 'ava';
import { loadSample, steadied, type KernelReading, type Reading } from '#src/load/sample.ts';
import type { LoadSample } from '#src/ports-load.ts';
import type { Domain } from '#src/xen/domain.ts';
import { parseDomainList } from '#src/xen/domain.ts';
import { captured } from '#test/xen/captured.ts';

const domain = (
	domid: number,
	name: string,
	cpuSeconds: number,
	of: Partial<Domain> = {},
): Domain => ({
	domid,
	name,
	uuid: `0000000${domid}-0000-4000-8000-000000000000`,
	memoryMib: 512,
	paused: false,
	shutdown: false,
	dying: false,
	cpuSeconds,
	reason: null,
	...of,
});

const kernel = (atMs: number, of: Partial<KernelReading> = {}): KernelReading => ({
	atMs,
	dom0: { busy: 1000, idle: 5000 },
	memory: 0.25,
	disksMs: new Map([['sda', 100]]),
	network: new Map([['eth0', { rxBytes: 0, txBytes: 0, bytesPerS: 125_000_000 }]]),
	inflowBytes: new Map(),
	...of,
});

const at = (
	atMs: number,
	domains: readonly Domain[] | null,
	of: Partial<KernelReading> | null = {},
): Reading => ({
	xen: domains === null ? null : { atMs, domains },
	kernel: of === null ? null : kernel(atMs, of),
});

const four = { vms: ['web', 'ldap'], cpus: 4 };

test('all domains together are set against all physical CPUs, and each VM is told in CPUs', (t) => {
	const sample = loadSample(
		at(0, [domain(0, 'Domain-0', 100), domain(1, 'web', 50), domain(2, 'other', 7)]),
		at(10_000, [domain(0, 'Domain-0', 102), domain(1, 'web', 65), domain(2, 'other', 10)]),
		four,
	);
	t.is(sample.host.cpu, 0.5);
	t.deepEqual(sample.vms, [{ vm: 'web', cpus: 1.5, inflowMibPerS: null }]);
	t.is(sample.cpus, 4);
});

test('the time of a domain that was created in between counts for the host, not for a VM yet', (t) => {
	const sample = loadSample(
		at(0, [domain(0, 'Domain-0', 100), domain(1, 'web', 5000)]),
		at(10_000, [domain(0, 'Domain-0', 100), domain(3, 'web', 8)]),
		four,
	);
	t.is(sample.host.cpu, 0.2);
	t.deepEqual(sample.vms, []);
});

test('a VM that was paused, shut down or half migrated at either look is not told', (t) => {
	for (const change of [
		{ paused: true },
		{ shutdown: true },
		{ dying: true },
		{ name: 'web--incoming' },
	]) {
		const usual = [domain(1, 'web', 10)];
		const other = [domain(1, 'web', 10, change)];
		t.deepEqual(loadSample(at(0, usual), at(10_000, other), four).vms, []);
		t.deepEqual(loadSample(at(0, other), at(10_000, usual), four).vms, []);
	}
});

test('two listings of a real host give what its domains used', (t) => {
	const list = (name: string, text: string) => {
		const read = parseDomainList(text);
		t.deepEqual(read?.unreadable, [], name);
		return read?.domains ?? [];
	};
	const { stdout } = captured('xen/xl-list-v-running');
	const later = stdout.replace('109.6', '112.6').replace('25.6', '27.6');
	const sample = loadSample(at(0, list('before', stdout)), at(10_000, list('after', later)), {
		vms: ['ledger1'],
		cpus: 1,
	});
	t.is(sample.host.cpu, 0.5);
	t.deepEqual(sample.vms, [{ vm: 'ledger1', cpus: 0.2, inflowMibPerS: null }]);
});

test("dom0's share is of its own time, and a little idle time taken back does no harm", (t) => {
	const use = (busy: number, idle: number) =>
		loadSample(at(0, []), at(10_000, [], { dom0: { busy, idle } }), four).host.dom0;
	t.is(use(1300, 5700), 0.3);
	t.is(use(2000, 4999), 1);
	t.is(use(999, 5700), null);
	t.is(use(1000, 5000), null);
});

test('the busiest disk counts, and no disk is not an idle one', (t) => {
	const use = (disksMs: KernelReading['disksMs'], then: KernelReading['disksMs']) =>
		loadSample(at(0, [], { disksMs: then }), at(10_000, [], { disksMs }), four).host.disk;
	const two = (sda: number, sdb: number) =>
		new Map([
			['sda', sda],
			['sdb', sdb],
		]);
	t.is(use(two(2000, 9600), two(1000, 100)), 0.95);
	t.is(use(new Map(), new Map()), null);
	t.is(use(null, two(0, 0)), null);
	t.is(use(two(0, 0), null), null);
	// One counter began anew: how busy that disk was is not known.
	t.is(use(two(2000, 5), two(1000, 100)), null);
	// A disk that came in between.
	t.is(use(two(2000, 9000), new Map([['sda', 1000]])), 0.1);
	t.is(use(two(13_000, 0), two(1000, 0)), 1);
});

test('of a network device the fuller direction counts, of all devices the busiest', (t) => {
	const devices = (rx: number, tx: number, slow: number): KernelReading['network'] =>
		new Map([
			['eth0', { rxBytes: rx, txBytes: tx, bytesPerS: 1_250_000_000 }],
			['eth1', { rxBytes: slow, txBytes: 0, bytesPerS: 125_000_000 }],
		]);
	const use = (then: KernelReading['network'], now: KernelReading['network']) =>
		loadSample(at(0, [], { network: then }), at(10_000, [], { network: now }), four).host.network;
	t.is(use(devices(0, 0, 0), devices(1e9, 5e9, 0)), 0.4);
	t.is(use(devices(0, 0, 0), devices(1e9, 5e9, 1e9)), 0.8);
	t.is(use(devices(5, 5, 5), devices(4, 9, 9)), null);
	t.is(use(null, devices(1, 1, 1)), null);
	t.is(use(new Map(), new Map()), null);
});

test('what could not be read is unknown, and hides nothing else', (t) => {
	const all = [domain(0, 'Domain-0', 100), domain(1, 'web', 50)];
	const silent = loadSample(
		at(0, all),
		at(10_000, null, { dom0: { busy: 2000, idle: 5000 } }),
		four,
	);
	t.deepEqual(silent, {
		cpus: 4,
		host: { cpu: null, dom0: 1, memory: 0.25, disk: 0, network: 0 },
		vms: [],
	});
	const blind = loadSample(at(0, all, null), at(10_000, all, null), four);
	t.deepEqual(blind.host, { cpu: 0, dom0: null, memory: null, disk: null, network: null });
	t.deepEqual(blind.vms, [{ vm: 'web', cpus: 0, inflowMibPerS: null }]);
	const half = loadSample(at(0, all), at(10_000, all, { memory: null }), four);
	t.is(half.host.memory, null);
});

test("a VM's inflow is what its back ends have put into its memory, or unknown", (t) => {
	const web = [domain(1, 'web', 10)];
	const inflow = (then: number | null | undefined, now: number | null | undefined) => {
		const bytes = (value: number | null | undefined) => ({
			inflowBytes: new Map(value === undefined ? [] : [[1, value]]),
		});
		const sample = loadSample(at(0, web, bytes(then)), at(10_000, web, bytes(now)), four);
		return sample.vms[0]?.inflowMibPerS;
	};
	t.is(inflow(0, 10 * 2 ** 20), 1);
	t.is(inflow(7, 7), 0);
	for (const [then, now] of [
		[null, 5],
		[5, null],
		[undefined, 5],
		[5, undefined],
		[6, 5],
	])
		t.is(inflow(then, now), null);
});

test('no reading whatever makes a share that is below 0 or above 1, or no number', (t) => {
	const count = fc.option(fc.nat(100_000), { nil: null });
	const reading = fc.record({
		cpu: fc.nat(1e6),
		busy: count,
		disk: count,
		rx: count,
		memory: count,
	});
	fc.assert(
		fc.property(reading, reading, fc.integer({ min: 0, max: 60_000 }), (one, other, elapsedMs) => {
			const made = (from: typeof one, atMs: number): Reading =>
				at(atMs, [domain(1, 'web', from.cpu / 10)], {
					dom0: from.busy === null ? null : { busy: from.busy, idle: from.busy },
					memory: from.memory === null ? null : from.memory / 100_000,
					disksMs: from.disk === null ? null : new Map([['sda', from.disk]]),
					network:
						from.rx === null
							? null
							: new Map([['eth0', { rxBytes: from.rx, txBytes: 0, bytesPerS: 1000 }]]),
				});
			const sample = loadSample(made(one, 0), made(other, elapsedMs), four);
			for (const value of Object.values(sample.host))
				t.true(value === null || (value >= 0 && value <= 1), JSON.stringify(sample));
			for (const { cpus } of sample.vms) t.true(Number.isFinite(cpus) && cpus >= 0);
		}),
	);
});

const told = (cpus: number, inflowMibPerS: number | null): LoadSample => ({
	cpus: 4,
	host: { cpu: 0.5, dom0: 0.1, memory: 0.2, disk: 0, network: null },
	vms: [{ vm: 'web', cpus, inflowMibPerS }],
});

test('a VM whose load hardly changed is told as before, and never drifts away', (t) => {
	const steady = (last: LoadSample | null, now: LoadSample) => steadied(last, now).vms[0];
	const first = told(1, 10);
	t.is(steady(null, first), first.vms[0]);
	t.is(steady(first, told(1.039, 10.9)), first.vms[0]);
	t.deepEqual(steady(first, told(1.04, 10)), { vm: 'web', cpus: 1.04, inflowMibPerS: 10 });
	t.deepEqual(steady(first, told(1, 11)), { vm: 'web', cpus: 1, inflowMibPerS: 11 });
	t.is(steady(first, told(1, null))?.inflowMibPerS, null);
	fc.assert(
		fc.property(fc.array(fc.integer({ min: 0, max: 4000 }), { minLength: 1 }), (loads) => {
			let last: LoadSample | null = null;
			for (const load of loads) {
				last = steadied(last, told(load / 1000, 0));
				t.true(Math.abs((last.vms[0]?.cpus ?? 0) - load / 1000) < 0.04);
			}
		}),
	);
});

test("a host's own values and VMs that came or went are told exactly", (t) => {
	const before = told(1, 10);
	const now = { ...told(1, 10), host: { ...before.host, cpu: 0.501 } };
	t.is(steadied(before, now).host.cpu, 0.501);
	t.deepEqual(steadied(before, { ...before, vms: [] }).vms, []);
});
