import test from 'ava';
import { fenceFaults, fenceLines } from '#src/cli/fence-text.ts';
import type { CheckedDevice, FenceCheck } from '#src/fence/check.ts';

const device = (name: string, change: Partial<CheckedDevice> = {}): CheckedDevice => ({
	device: name,
	kind: 'ipmi',
	power: 'on',
	detail: '',
	asked: true,
	tookMs: 240,
	identity: { macAddress: '52:54:00:77:0b:12', guid: null, ipAddress: null },
	mapping: null,
	...change,
});

const checkOf = (own: readonly CheckedDevice[], ...peer: CheckedDevice[][]): FenceCheck => ({
	self: 'north',
	hosts: [
		{ host: 'north', levels: [{ level: 1, devices: own }] },
		{ host: 'south', levels: peer.map((devices, index) => ({ level: index + 1, devices })) },
	],
});

const own = device('bmc-of-north', { mapping: { result: 'matched' } });

test('whole ladders are shown with what every device says and how long it took', (t) => {
	const check = checkOf([own], [device('bmc-of-south')], [device('outlet-a', { tookMs: 4100 })]);
	t.deepEqual(fenceFaults(check), []);
	t.deepEqual(fenceLines(check, { columns: 100, colour: false }), [
		'HOST               LEVEL  DEVICE        KIND  POWER  TOOK   WHOSE',
		"north (this host)  1      bmc-of-north  ipmi  on     0.2 s  this host's own BMC",
		'south              1      bmc-of-south  ipmi  on     0.2 s  52:54:00:77:0b:12',
		'south              2      outlet-a      ipmi  on     4.1 s  52:54:00:77:0b:12',
		'',
		'Every level can be used.',
	]);
});

test('a device that does not answer, a wrong BMC and one that reads off here are faults', (t) => {
	const silent = device('outlet-a', { power: 'unknown', detail: 'exit code 1: no such plug' });
	t.deepEqual(fenceFaults(checkOf([own], [device('bmc-of-south')], [silent])), [
		'outlet-a (level 2 of south) does not answer: exit code 1: no such plug',
	]);
	const wrong = device('bmc-of-north', { mapping: { result: 'mismatch', sentence: 'Not mine.' } });
	t.deepEqual(fenceFaults(checkOf([wrong], [device('bmc-of-south')])), ['Not mine.']);
	t.regex(fenceFaults(checkOf([{ ...own, power: 'off' }], [device('b')])).join(), /reads off/);
	t.regex(fenceFaults(checkOf([own])).join(), /^south has no fence device/);
});

test('an own device whose secret is on the other host alone is no fault, one of the peer is', (t) => {
	const closed = { power: 'unknown' as const, asked: false, detail: 'no file' };
	t.deepEqual(fenceFaults(checkOf([device('bmc-of-north', closed)], [device('b')])), []);
	t.is(fenceFaults(checkOf([own], [device('b', closed)])).length, 1);
});
