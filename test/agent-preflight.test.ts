import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import test from 'ava';
import { usualPlaces, type Drivers, type Places } from '#src/agent-drivers.ts';
import { Preflight } from '#src/agent-preflight.ts';
import type { Config } from '#src/config/config.ts';
import { configOf, smallText } from '#test/config/example.ts';
import { exchange, pairOf, type Host } from '#test/engine/_pair.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmpair-preflight-'));
test.after.always(() => rmSync(folder, { recursive: true }));
process.env['VMPAIR_FAKE_DRBD'] = folder;
process.env['PATH'] = [
	new URL('fixture/bin', import.meta.url).pathname,
	process.env['PATH'] ?? '',
].join(delimiter);

const example = readFileSync(
	new URL('../deploy/drbd/vmpair.res.example', import.meta.url),
	'utf8',
).replaceAll('NAME', 'vm1');
writeFileSync(
	join(folder, 'drbdadm.dump'),
	`cat <<'END'\n${example.replace(/ping-timeout .*;/, 'ping-timeout 5;')}\nEND\n`,
);

const config = configOf(smallText('vms: {vm1: {resource: vm1, config: /etc/xen/vm1.cfg}}\n'));

/** Xen without a finding, and a fence device that may be the right one. */
const drivers = {
	drbd: { migrating: new Set() },
	xen: { preflight: async () => [] },
	fence: { verifyMapping: async () => ({ result: 'cannot-tell', sentence: '' }) },
} as unknown as Drivers;

const prepare = (changes: Partial<Config> = {}, places: Partial<Places> = {}) => {
	const found: (readonly string[])[] = [];
	const advised: string[] = [];
	const preflight = new Preflight({
		drivers,
		places: { ...usualPlaces, ...places },
		config: () => ({ ...config, ...changes }),
		onFound: ({ blockers }) => found.push(blockers),
		onAdvice: (advice) => advised.push(advice),
	});
	return { preflight, found, advised };
};

const isAboutFolders = (sentence: string): boolean =>
	sentence.startsWith('The DRBD handler finds the agent only in /run/vmpair');

const blockersWith = async (changes: Partial<Config>, places: Partial<Places> = {}) => {
	const { preflight, found } = prepare(changes, places);
	await preflight.look();
	return found[0]?.filter(isAboutFolders) ?? [];
};

const askToArm = (host: Host, id: string): Host =>
	host.take({
		type: 'requested',
		id,
		request: { verb: 'arm', by: 'test', reason: '' },
		at: '2026-01-01T00:00:00Z',
	});

test("folders that DRBD's handler does not know are a finding, with its remedy", async (t) => {
	for (const changes of [
		{ runtimeDirectory: '/run/other' },
		{ stateDirectory: '/srv/vmpair' },
		{ runtimeDirectory: '/run/other', stateDirectory: '/srv/vmpair' },
	]) {
		const [sentence, ...more] = await blockersWith(changes);
		t.regex(sentence ?? '', /Take runtimeDirectory and stateDirectory out of vmpair\.yaml/);
		t.deepEqual(more, []);
	}
});

test('the usual folders are no finding, nor are those of a handler of its own', async (t) => {
	t.deepEqual([config.runtimeDirectory, config.stateDirectory], ['/run/vmpair', '/var/lib/vmpair']);
	t.deepEqual(await blockersWith({}), []);
	const own = { drbdHandler: '/tmp/demo/drbd-handler' };
	t.deepEqual(await blockersWith({ runtimeDirectory: '/tmp/demo/run' }, own), []);
});

test('a pair with such folders on one host is armed from neither host', async (t) => {
	const blockers = await blockersWith({ stateDirectory: '/srv/vmpair' });
	const [left, right] = pairOf();
	left.take({
		type: 'requested',
		id: 'disarm',
		request: { verb: 'disarm', by: 'test', reason: 'new folders' },
		at: '2026-01-01T00:00:00Z',
	});
	exchange(left, right);
	left.take({ type: 'preflight-observed', blockers, ownDeviceWrong: false });
	exchange(left, right);
	for (const host of [left, right]) {
		askToArm(host, 'arm-again');
		const reply = host.sent('reply').find(({ request }) => request === 'arm-again')?.reply;
		t.like(reply, { status: 'refused', code: 'not-ready' });
		t.regex(reply?.message ?? '', /The DRBD handler finds the agent only in \/run\/vmpair/);
		t.false(host.state.persisted.pair.armed);
	}
});

test('advice is told once, and what only the kernel shows counts at once', async (t) => {
	const { preflight, found, advised } = prepare();
	await preflight.look();
	await preflight.look();
	t.is(advised.length, 1);
	t.regex(advised[0] ?? '', /"ping-timeout 5".*lost packets/);
	t.deepEqual(preflight.advice, advised);
	const third = 'Resource vm1 has 2 peers.';
	preflight.kernelFound([third]);
	await preflight.look();
	t.is(found.at(-1)?.[0], third);
});

test('a health check whose program is missing is advised about, and forbids nothing', async (t) => {
	const { healthChecks } = configOf(
		smallText('vms: {}\nhealth: {raid: {command: [/nowhere/check_raid]}}\n'),
	);
	const { preflight, found, advised } = prepare();
	await preflight.look();
	const checked = prepare({ healthChecks });
	await checked.preflight.look();
	t.deepEqual(checked.found, found);
	const more = checked.advised.filter((each) => !advised.includes(each));
	t.is(more.length, 1);
	t.regex(more[0] ?? '', /^The health check raid cannot run \/nowhere\/check_raid/);
});
