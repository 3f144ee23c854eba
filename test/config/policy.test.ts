import test from 'ava';
import fc from 'fast-check';
import { configChange } from '#src/config/change.ts';
import { guestMemoryMib, isParavirtual, liveBlocker } from '#src/config/guest.ts';
import { digestText, engineConfig } from '#src/config/policy.ts';
import { timingTable } from '#src/config/timing.ts';
import { timingText } from '#src/config/timing-text.ts';
import type { VmConfig } from '#src/config/config.ts';
import type { EngineConfig } from '#src/engine/config.ts';
import { configOf, exampleText, smallText, twoLevelText } from '#test/config/example.ts';

test('the timing table of three seconds is the one of the protocol', (t) => {
	t.deepEqual(timingTable(3000), {
		detectionMs: 3000,
		beatIntervalMs: 200,
		suspectMs: 600,
		powerQueryMs: 2000,
		agentDownLostMs: 30_000,
		handlerMs: 110_000,
		leaseMs: 5000,
		watchdogMs: 5000,
		takeMs: 12_200,
	});
});

test('nobody takes over before a host with lease and watchdog has reset itself, for any D', (t) => {
	fc.assert(
		fc.property(fc.integer({ min: 1000, max: 60_000 }), (detectionMs) => {
			const { leaseMs, watchdogMs, takeMs, suspectMs } = timingTable(detectionMs);
			// The taker's clock may be fast by 0.5 %, the other one's slow by as much.
			t.true(takeMs * 0.995 >= (leaseMs + watchdogMs + 2000) * 1.005 - 1e-6);
			t.is(takeMs % 100, 0);
			t.true(takeMs < (leaseMs + watchdogMs + 2000) * 1.011 + 100);
			t.true(leaseMs > detectionMs && suspectMs < detectionMs);
		}),
	);
});

test('the engine gets both ladders, with the slowest device of every level', (t) => {
	const text = exampleText
		.replace('limitMs: 5000', 'limitMs: 9000')
		.replace('lateMs: 10000', 'lateMs: 500');
	const config: EngineConfig = engineConfig(configOf(text, 'beta'), { version: '1', digest: 'd' });
	t.like(config, { self: 'beta', peer: 'alpha', arbiter: 'fencing', digest: 'd', version: '1' });
	const level = { attempts: 3, callMs: 5500, lateMs: 10_000 };
	t.deepEqual(config.fencing, {
		levels: [{ ...level, devices: ['alpha-bmc'], callMs: 9500, lateMs: 500 }],
		ownLevels: [{ ...level, devices: ['beta-bmc'] }],
		perHourMax: 3,
		afterFence: 'on',
	});
	const two = engineConfig(configOf(twoLevelText, 'beta'), { version: '1', digest: 'd' });
	t.deepEqual(two.fencing?.levels, [
		{ ...level, devices: ['alpha-bmc'] },
		{ attempts: 2, devices: ['outlet-a', 'outlet-b'], callMs: 20_500, lateMs: 7000 },
	]);
});

test('both hosts make the same turns of the two ladders', (t) => {
	const [alpha, beta] = ['alpha', 'beta'].map((host) =>
		timingText(configOf(twoLevelText, host))
			.split('\n')
			.filter((line) => /fence|late/.test(line)),
	);
	t.deepEqual(alpha, beta);
	t.deepEqual(
		alpha?.map((line) => line.split(/ {2,}/).slice(0, 2)),
		[
			['fence-peer handler', '1m50s'],
			['fence call, level 1', '5s500ms'],
			['late off, level 1', '10s'],
			['fence call, level 2', '20s500ms'],
			['late off, level 2', '7s'],
			// 3 x 12 s + 2 x 42 s, 10 s late, 6 x 3 s.
			['fence turn', '2m28s'],
		],
	);
});

test('without fence devices the engine gets none', (t) => {
	t.is(engineConfig(configOf(smallText()), { version: '1', digest: 'd' }).fencing, null);
});

test('a VM whose memory is unknown never reaches the engine', (t) => {
	const config = configOf(smallText('vms: {ldap: {resource: r0, config: /etc/xen/ldap.cfg}}\n'));
	t.throws(() => engineConfig(config, { version: '1', digest: 'd' }), {
		message: /memory of every VM/,
	});
});

test('the digest is the same on both hosts and leaves out what belongs to one of them', (t) => {
	const alpha = digestText(configOf(exampleText, 'alpha'));
	t.is(digestText(configOf(exampleText, 'beta')), alpha);
	for (const own of ['socketGroup: root', 'stateDirectory: /srv/vmpair'])
		t.is(digestText(configOf(`${exampleText.replace('socketGroup: adm', '')}${own}\n`)), alpha);
	t.is(digestText(configOf(exampleText.replace('minimum: warning', 'minimum: info'))), alpha);
});

test('the digest changes with everything that must be equal', (t) => {
	const digests = [
		exampleText,
		exampleText.replace('detection: 3s', 'detection: 4s'),
		exampleText.replace('priority: 300', 'priority: 301'),
		exampleText.replace('memory: 512M', 'memory: 513M'),
		exampleText.replace('afterFence: on', 'afterFence: off'),
		exampleText.replace('lateMs: 10000', 'lateMs: 10001'),
		exampleText.replace('gateway: 192.0.2.1', 'gateway: 192.0.2.2'),
	].map((text) => digestText(configOf(text)));
	t.is(new Set(digests).size, digests.length);
});

test('a reload says what is taken over at once and what needs a restart', (t) => {
	const change = (before: string, after: string) =>
		configChange(configOf(exampleText), configOf(exampleText.replace(before, after)));
	t.deepEqual(change('x', 'x'), { live: [], restart: [] });
	t.deepEqual(change('priority: 300', 'priority: 1'), { live: ['vms'], restart: [] });
	t.deepEqual(change('passwordFile: /etc', 'passwordFile: /srv'), { live: ['fence'], restart: [] });
	t.deepEqual(change('192.0.2.11, port: 7400', '192.0.2.11, port: 7401'), {
		live: [],
		restart: ['hosts'],
	});
});

test('every number of the timing table is shown with its reason', (t) => {
	const lines = timingText(configOf(exampleText)).split('\n');
	t.is(lines.length, 12);
	for (const line of lines) t.regex(line, /^\S.* {2,}\S+(s|ms) {2}\S.{10,}$/);
});

const memories: ReadonlyArray<readonly [string, number | null]> = [
	['memory = 512\n', 512],
	['name="x"\nmemory="1024"\n', 1024],
	["  memory = '64' # small", 64],
	['memory=512\nmaxmem=2048', 2048],
	['memory = 512\nmemory = 256', 256],
	['# memory = 512', null],
	['memory = "512', null],
	['xmemory = 5', null],
	['memory = 0', null],
	['', null],
];

for (const [text, memoryMib] of memories)
	test(`a VM with ${JSON.stringify(text)} has ${memoryMib ?? 'unknown'} MiB`, (t) => {
		t.is(guestMemoryMib(text), memoryMib);
	});

test('a guest with a device of its host, or one that says so, never goes live', (t) => {
	t.is(liveBlocker("name = 'x'\nmemory = 512\n"), null);
	t.is(liveBlocker('pci = []\nnomigrate = 0\n'), null);
	t.is(liveBlocker("# pci = ['07:00.0']\n"), null);
	t.regex(liveBlocker("pci = [ '07:00.0,permissive=1' ]") ?? '', /device of the host \(pci\)/);
	t.regex(liveBlocker("usbdev = [\n  'type=hostdev'\n]") ?? '', /\(usbdev\)/);
	t.regex(liveBlocker('nomigrate="1"') ?? '', /says nomigrate/);
});

const guests: readonly (readonly [string, boolean])[] = [
	['memory = 512\n', true],
	["type = 'pv'\n", true],
	['type="pvh" # small\n', false],
	['type = "hvm"\n', false],
	['builder = "hvm"\n', false],
	['builder = "generic"\n', true],
	['type = "pvh"\nbuilder = "generic"\n', false],
	['# type = "pvh"\n', true],
	['type = "pv"\ntype = "pvh"\n', false],
];

for (const [text, paravirtual] of guests)
	test(`a guest with ${JSON.stringify(text)} is ${paravirtual ? '' : 'not '}of type PV`, (t) => {
		t.is(isParavirtual(text), paravirtual);
	});

test('a PV guest goes live only where Xen has shadow paging, or does not say', (t) => {
	const config = configOf(exampleText);
	const blockers = (shadowPaging: boolean | null, change: Partial<VmConfig> = {}) =>
		engineConfig(
			{
				...config,
				vms: config.vms.map((vm) => ({ ...vm, memoryMib: 512, paravirtual: true, ...change })),
			},
			{ version: '1', digest: 'd', shadowPaging },
		).vms.map(({ liveBlocker: blocker }) => blocker);
	t.regex(
		blockers(false)[0] ?? '',
		/no shadow paging, .* type="pvh" in its configuration, or a Xen/,
	);
	t.is(blockers(true)[0], null);
	t.is(blockers(null)[0], null);
	t.is(blockers(false, { paravirtual: false })[0], null);
	t.is(
		blockers(false, { liveBlocker: 'its configuration says nomigrate' })[0],
		'its configuration says nomigrate',
	);
});
