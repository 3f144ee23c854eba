import test from 'ava';
import { noAnswer, probeLimitMs } from '#src/health/answer.ts';
import { carrierAnswer, parseCarrier } from '#src/health/carrier.ts';
import { pluginAnswer } from '#src/health/plugin.ts';
import { sensorsAnswer } from '#src/health/sensors.ts';
import { smartAnswer } from '#src/health/smart.ts';
import { captured } from '#test/xen/captured.ts';

const exited = (exitCode: number, stdout: string, stderr = '') =>
	({ end: 'exited', exitCode, stdout, stderr }) as const;

const plugin = (exitCode: number, stdout: string, stderr = '') =>
	pluginAnswer(exited(exitCode, stdout, stderr));

test('a plugin says how it is by its exit code, and why in its first line up to the performance data', (t) => {
	// As check_disk and check_ping of the monitoring plugins 2.3 write.
	const disk = 'DISK WARNING - free space: / 512 MiB (9% inode=88%);| /=5MiB;6;7;0;8\nmore\n';
	t.deepEqual(plugin(1, disk), {
		health: 'warning',
		detail: 'DISK WARNING - free space: / 512 MiB (9% inode=88%);',
	});
	t.is(plugin(0, 'PING OK - RTA = 0.04 ms|rta=0.04ms\n').health, 'ok');
	t.is(plugin(2, 'CRITICAL').health, 'critical');
	t.is(plugin(3, 'UNKNOWN: no such host').health, 'unknown');
});

test('any other end of a plugin is no answer', (t) => {
	for (const code of [4, 126, 127, 255, -1]) {
		const said = plugin(code, '', 'sh: 1: check_raid: not found\n');
		t.is(said.health, 'unknown');
		t.is(said.detail, `the plugin ended with ${code}: sh: 1: check_raid: not found`);
	}
});

test('a plugin that writes nothing, too much or control characters gives one short printable line', (t) => {
	t.deepEqual(plugin(2, '\n'), { health: 'critical', detail: 'the plugin wrote nothing' });
	t.is(plugin(2, '|a=1', 'no permission\n').detail, 'no permission');
	t.is(plugin(0, '\n  OK - late\n').detail, 'OK - late');
	t.is(plugin(0, 'x'.repeat(5000)).detail.length, 200);
	t.is(plugin(0, '\u001b[31mred\u0007\u009b\tend').detail, '[31mred end');
});

test('a program that cannot be run, or does not answer in time, is unknown with the remedy', (t) => {
	const command = { kind: 'command', command: ['/opt/check_raid'], limitMs: 5000 } as const;
	const missing = { end: 'not-started', detail: '/opt/check_raid is not installed' } as const;
	t.deepEqual(noAnswer('raid', command, missing), {
		health: 'unknown',
		detail:
			'/opt/check_raid is not installed: install /opt/check_raid, make it executable, or correct health.raid.command in vmpair.yaml',
	});
	t.regex(
		noAnswer('disk', { kind: 'smart', disk: '/dev/sda' }, missing).detail,
		/install the package smartmontools$/,
	);
	t.deepEqual(noAnswer('raid', command, { end: 'unknown', detail: 'it did not answer' }), {
		health: 'unknown',
		detail: 'it did not answer',
	});
	t.is(probeLimitMs(command), 5000);
	t.is(probeLimitMs({ kind: 'ipmi' }), 15_000);
});

/** What smartctl 7.3 writes of a disk, without the many parts that are not looked at. */
const smartctl = (passed: boolean): string =>
	JSON.stringify({
		json_format_version: [1, 0],
		smartctl: { version: [7, 3], svn_revision: '5338', exit_status: passed ? 0 : 8 },
		device: { name: '/dev/sdb', info_name: '/dev/sdb [SAT]', type: 'sat', protocol: 'ATA' },
		smart_status: { passed },
	});

const smart = (exitCode: number, stdout: string) =>
	smartAnswer('/dev/sdb', exited(exitCode, stdout));

test("a disk's own judgement counts, with the bits of smartctl's exit code", (t) => {
	t.is(smart(0, smartctl(true)).health, 'ok');
	t.deepEqual(smart(8, smartctl(false)), {
		health: 'critical',
		detail: '/dev/sdb says that it is failing: replace it',
	});
	t.is(smart(0, smartctl(false)).health, 'critical');
	t.is(smart(8 | 64, smartctl(true)).health, 'critical');
	t.is(smart(4, smartctl(true)).health, 'ok');
	t.deepEqual(smart(64 | 128, smartctl(true)), {
		health: 'warning',
		detail: '/dev/sdb: its error log has entries, a self-test failed',
	});
	t.is(smart(16, smartctl(true)).health, 'warning');
	t.is(smart(32, smartctl(true)).health, 'warning');
});

test('a disk that cannot be asked is unknown, in words of smartctl', (t) => {
	const virtual = captured('health/smartctl-virtual-disk');
	t.deepEqual(smart(virtual.exitCode, virtual.stdout), {
		health: 'unknown',
		detail: 'smartctl: /dev/vda: Unable to detect device type',
	});
	t.is(smart(0, '{"smartctl":{}}').detail, '/dev/sdb says nothing of its health');
	for (const text of [
		'',
		'smartctl 6.6 2017-11-05\nUNRECOGNIZED OPTION: json',
		'[]',
		'{"smartctl":',
	])
		t.is(smart(1, text).health, 'unknown', text);
});

/** As ipmitool 1.8.19 writes on a board with two power supplies. */
const board = [
	'CPU Temp,29,degrees C,ok',
	'FAN1,4800,RPM,ok',
	'FAN4,,,ns',
	'12V,12.448,Volts,ok',
	'Chassis Intru,AAh,ok,23.1,',
	'PS2 Status,c9h,ok,10.2,Presence detected, Failure detected',
	'BMC FRU,00h,ns,7.1,Logical FRU @00h',
	'',
].join('\n');

const sensors = (exitCode: number, stdout: string, stderr = '') =>
	sensorsAnswer(exited(exitCode, stdout, stderr));

test('the worst of all sensors with thresholds counts', (t) => {
	t.deepEqual(sensors(0, board), { health: 'ok', detail: '3 sensors are within their limits' });
	for (const status of ['nc', 'lnc', 'unc'])
		t.is(sensors(0, board.replace('Volts,ok', `Volts,${status}`)).health, 'warning');
	for (const status of ['cr', 'nr', 'lcr', 'ucr', 'lnr', 'unr'])
		t.is(sensors(0, board.replace('29,degrees C,ok', `95,degrees C,${status}`)).health, 'critical');
	const bad = board.replace('29,degrees C,ok', '95,degrees C,cr').replace('Volts,ok', 'Volts,nc');
	t.deepEqual(sensors(0, bad), {
		health: 'critical',
		detail: 'CPU Temp is at 95 degrees C: beyond the critical limit',
	});
});

test('of many sensors a few are named', (t) => {
	const many = Array.from({ length: 8 }, (_, index) => `FAN${index},0,RPM,nr`).join('\n');
	t.is(
		sensors(0, many).detail,
		'FAN0 is at 0 RPM, FAN1 is at 0 RPM, FAN2 is at 0 RPM and 5 more: beyond the critical limit',
	);
});

test('a board that does not answer, or stops half-way, is unknown; what it said of a failure counts', (t) => {
	const none = captured('health/ipmitool-no-device');
	const said = sensors(none.exitCode, none.stdout, none.stderr);
	t.is(said.health, 'unknown');
	t.regex(said.detail, /^ipmitool ended with 1: Could not open device at \/dev\/ipmi0/);
	t.is(sensors(1, board).health, 'unknown');
	t.is(sensors(1, board.replace('RPM,ok', 'RPM,cr')).health, 'critical');
	t.is(sensors(0, 'PS1 Status,c8h,ok,10.1,Presence detected\n').health, 'unknown');
	t.is(sensors(0, '').health, 'unknown');
});

const port = (device: string, carrier: boolean | null) => ({ device, carrier });

test('a device without a link is critical, whether its cable is out or it is switched off', (t) => {
	const said = (carrier: boolean | null) =>
		carrierAnswer('uplink', 'eth0', { bridge: false, links: [port('eth0', carrier)] });
	t.deepEqual(said(true), { health: 'ok', detail: 'eth0 has a link' });
	t.deepEqual(said(false), {
		health: 'critical',
		detail: 'eth0 has no link (cable, switch port)',
	});
	t.deepEqual(said(null), {
		health: 'critical',
		detail: 'eth0 is switched off (ip link set eth0 up)',
	});
});

test('a bridge has a link as long as one of its physical devices has', (t) => {
	const said = (...links: readonly ReturnType<typeof port>[]) =>
		carrierAnswer('uplink', 'br0', { bridge: true, links });
	t.deepEqual(said(port('eth0', true), port('eth1', false)), {
		health: 'ok',
		detail: 'the bridge br0 has a link by eth0; eth1 has no link (cable, switch port)',
	});
	t.is(said(port('eth0', false), port('eth1', null)).health, 'critical');
	t.is(said().health, 'unknown');
});

test('a device that is not there is unknown, with the setting to correct', (t) => {
	t.deepEqual(carrierAnswer('uplink', 'eth9', null), {
		health: 'unknown',
		detail: 'there is no network device eth9: correct health.uplink.carrier in vmpair.yaml',
	});
	t.is(parseCarrier('1\n'), true);
	t.is(parseCarrier('0\n'), false);
	t.is(parseCarrier('\n'), null);
});
