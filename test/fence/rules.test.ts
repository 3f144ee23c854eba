import { inspect } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { agentAct, agentCall, agentPower } from '#src/fence/agent-protocol.ts';
import { fenceDevice } from '#src/fence/device.ts';
import type { AgentDevice, IpmiDevice } from '#src/fence/device.ts';
import { ipmiAct, ipmiPower, ipmiVerbCall } from '#src/fence/ipmi.ts';
import { actOnLevel, powerOfLevel } from '#src/fence/level.ts';
import type { DeviceOutcome } from '#src/fence/level.ts';
import { combineVerdicts, compareIdentity, readIdentity } from '#src/fence/mapping.ts';
import type { PowerState } from '#src/ports.ts';
import { Secret } from '#src/std/secret.ts';
import { captured } from '#test/xen/captured.ts';

const ipmi: IpmiDevice = {
	kind: 'ipmi',
	name: 'bmc',
	limitMs: 10_000,
	lateMs: 0,
	address: '10.77.0.102',
	username: 'vmpair',
	passwordFile: '/etc/vmpair/bmc',
};

const agent: AgentDevice = {
	kind: 'agent',
	name: 'bmc',
	limitMs: 40_000,
	lateMs: 0,
	agent: 'fence_ipmilan',
	parameters: { ip: '10.77.0.102', lanplus: '1' },
	secretParameters: { password: '/etc/vmpair/bmc' },
};

const output = (exitCode: number, stdout = '', stderr = '') => ({ exitCode, stdout, stderr });

for (const [file, power] of [
	['fence-ipmilan-status-on', 'on'],
	['fence-ipmilan-status-off', 'off'],
	['fence-ipmilan-unknown-option', 'on'],
	['fence-ipmilan-wrong-password', null],
	['fence-ipmilan-unreachable', null],
	['fence-ipmilan-missing-ip', null],
] as const)
	test(`the answer of a real agent to status is read: ${file}`, (t) => {
		const outcome = agentPower(captured(`fence/${file}`));
		t.is(outcome.result === 'succeeded' ? outcome.value : null, power);
	});

for (const [file, power] of [
	['ipmitool-chassis-power-status', 'on'],
	['ipmitool-chassis-power-status-off', 'off'],
	['ipmitool-chassis-power-status-after-off', 'off'],
	['ipmitool-chassis-power-status-after-on', 'on'],
	['ipmitool-password-file', 'on'],
	['ipmitool-wrong-password', null],
	['ipmitool-wrong-user', null],
	['ipmitool-unreachable', null],
	['ipmitool-unreachable-default-retries', null],
	['ipmitool-chassis-status', null],
] as const)
	test(`the answer of a real BMC to power status is read: ${file}`, (t) => {
		const outcome = ipmiPower(captured(`fence/${file}`));
		t.is(outcome.result === 'succeeded' ? outcome.value : null, power);
	});

test('what an agent says of a failure is its own error, without the warnings around it', (t) => {
	t.deepEqual(agentPower(captured('fence/fence-ipmilan-wrong-password')), {
		result: 'unknown',
		detail: 'exit code 1: Failed: Unable to obtain correct plug status or plug is not available',
	});
});

test('exit code 2 without the word off is no proof that the power is off', (t) => {
	// So ends a shell with a syntax error, and an interpreter that cannot open the agent.
	t.is(agentPower(output(2, '', "python3: can't open file '/usr/sbin/fence_x'")).result, 'unknown');
	t.is(agentPower(output(2, 'Status: ON')).result, 'unknown');
	t.is(agentPower(output(0, 'Status: OFF')).result, 'unknown');
});

test('an off that an agent failed may still land, so it is unknown', (t) => {
	t.is(agentAct(captured('fence/fence-ipmilan-unreachable-off')).result, 'unknown');
	for (const file of ['off', 'off-already-off', 'on'])
		t.is(agentAct(captured(`fence/fence-ipmilan-${file}`)).result, 'succeeded');
});

test('what a real BMC answers to off and on is success', (t) => {
	for (const [verb, file] of [
		['off', 'off'],
		['off', 'off-already-off'],
		['on', 'on'],
		['on', 'on-again'],
	] as const)
		t.is(ipmiAct(verb, captured(`fence/ipmitool-chassis-power-${file}`)).result, 'succeeded');
});

test('an off that never reached a BMC is failed, any other failure of it unknown', (t) => {
	t.is(
		ipmiAct('off', captured('fence/ipmitool-chassis-power-off-already-off')).result,
		'succeeded',
	);
	t.like(ipmiAct('off', captured('fence/ipmitool-unreachable')), {
		result: 'failed',
		code: 'fence-not-sent',
	});
	t.is(
		ipmiAct('off', output(1, '', 'Set Chassis Power Control to Down/Off failed')).result,
		'unknown',
	);
	t.is(ipmiAct('off', output(0, 'Chassis Power Control: Up/On')).result, 'unknown');
	t.is(ipmiAct('on', output(0, 'Chassis Power Control: Up/On\n')).result, 'succeeded');
});

test('an option that the agent does not know is named where its call did not work', (t) => {
	const { stderr } = captured('fence/fence-ipmilan-unknown-option');
	const outcome = agentAct(
		output(1, '', `${stderr}\n2026-11-22 12:23:41,697 ERROR: Failed: no plug`),
	);
	t.deepEqual(outcome, {
		result: 'unknown',
		detail: 'exit code 1: the agent does not know the option "nosuch"; Failed: no plug',
	});
});

test('an agent gets its options as lines, and what it is asked for last', (t) => {
	const device = { ...agent, parameters: { 'power-wait': '2', plug: ' 3 ', label: '"x"' } };
	const call = agentCall(device, 'off', { password: new Secret('geheim') });
	t.deepEqual(call, {
		file: 'fence_ipmilan',
		args: [],
		input: 'power_wait=2\nplug=" 3 "\nlabel=""x""\npassword=geheim\naction=off\n',
	});
});

test('a call of ipmitool has the password in its environment only', (t) => {
	const call = ipmiVerbCall({ ...ipmi, port: 9623 }, 'off', new Secret('geheim'));
	t.is(
		call.args.join(' '),
		'-I lanplus -C 3 -N 1 -R 2 -H 10.77.0.102 -p 9623 -U vmpair -E chassis power off',
	);
	t.deepEqual(call.environment, { IPMITOOL_PASSWORD: 'geheim' });
});

const says = fc.constantFrom<PowerState | null>('on', 'off', null);
const answer = fc.constantFrom<DeviceOutcome['outcome']>(
	{ result: 'succeeded', value: null },
	{ result: 'unknown', detail: 'silence' },
	{ result: 'failed', code: 'fence-not-sent', detail: 'no session' },
);

test('a level is off only when every device of it says off, whatever their order', (t) => {
	fc.assert(
		fc.property(fc.array(says, { maxLength: 4 }), (powers) => {
			const readings = powers.map((power, index) => ({ device: `d${index}`, power, detail: '' }));
			const level = powerOfLevel(readings);
			t.is(level === 'off', powers.length > 0 && powers.every((power) => power === 'off'));
			t.is(level === 'on', powers.includes('on'));
			t.is(powerOfLevel(readings.toReversed()), level);
		}),
	);
});

test('an act on a level is done when every device did it, and failed only when none took it', (t) => {
	fc.assert(
		fc.property(fc.array(answer, { maxLength: 4 }), (outcomes) => {
			const act = actOnLevel(outcomes.map((outcome, index) => ({ device: `d${index}`, outcome })));
			const all = (result: string): boolean =>
				outcomes.length > 0 && outcomes.every((outcome) => outcome.result === result);
			t.is(act.result === 'succeeded', all('succeeded'));
			t.is(act.result === 'failed', all('failed'));
		}),
	);
});

test('random output of a tool never throws and never says off', (t) => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 255 }), fc.string(), fc.string(), (code, out, error) => {
			for (const outcome of [
				agentPower(output(code, out, error)),
				ipmiPower(output(code, out, error)),
			])
				t.false(outcome.result === 'succeeded' && outcome.value === 'off');
			agentAct(output(code, out, error));
			readIdentity(out, error);
		}),
	);
});

const lan = (name: string) => captured(`fence/${name}`).stdout;

test('a BMC is recognised by what it says in-band and over the network', (t) => {
	const remote = readIdentity(lan('ipmitool-lan-print-1'), lan('ipmitool-mc-guid'));
	t.deepEqual(remote, {
		macAddress: '52:54:00:77:0b:12',
		guid: '766d7061697200000000000000000202',
		ipAddress: '10.77.0.102',
	});
	const beta = readIdentity(
		lan('ipmitool-in-band-lan-print-1-beta'),
		lan('ipmitool-in-band-mc-guid-beta'),
	);
	const alpha = readIdentity(lan('ipmitool-in-band-lan-print-1'), lan('ipmitool-in-band-mc-guid'));
	t.deepEqual(compareIdentity('beta', 'bmc', beta, remote), { result: 'matched' });
	const verdict = compareIdentity('alpha', 'bmc', alpha, remote);
	t.is(verdict.result, 'mismatch');
	t.regex('sentence' in verdict ? verdict.sentence : '', /52:54:00:77:0b:11.*52:54:00:77:0b:12/);
});

test('placeholders identify no BMC', (t) => {
	const nobody = readIdentity(
		'IP Address : 0.0.0.0\nMAC Address : 00:00:00:00:00:00\n',
		'System GUID : ffffffff-ffff-ffff-ffff-ffffffffffff\n',
	);
	t.deepEqual(nobody, { macAddress: null, guid: null, ipAddress: null });
	t.is(compareIdentity('alpha', 'bmc', nobody, nobody).result, 'cannot-tell');
});

test('a mismatch of one device outweighs what the others say', (t) => {
	const matched = { result: 'matched' } as const;
	const unclear = { result: 'cannot-tell', sentence: 'Unclear.' } as const;
	const wrong = { result: 'mismatch', sentence: 'Wrong.' } as const;
	t.deepEqual(combineVerdicts([matched, unclear, wrong]), wrong);
	t.deepEqual(combineVerdicts([unclear, matched]), unclear);
	t.deepEqual(combineVerdicts([matched]), matched);
});

for (const [name, change, path] of [
	['a secret among the plain parameters', { parameters: { passwd: 'x' } }, 'parameters.passwd'],
	['a method that does not wait for off', { parameters: { method: 'cycle' } }, 'parameters.method'],
	['an action', { parameters: { action: 'off' } }, 'parameters.action'],
	['a value of two lines', { parameters: { plug: '1\naction=on' } }, 'parameters.plug'],
	['a program that is no fence agent', { agent: '/bin/sh' }, 'agent'],
	['a missing bound for a late off', { lateMs: undefined }, 'lateMs'],
	[
		'a relative path of a secret',
		{ secretParameters: { password: 'pw' } },
		'secretParameters.password',
	],
	['an unknown key', { password: 'x' }, ''],
] as const)
	test(`a fence agent with ${name} is refused at its place`, (t) => {
		const parsed = fenceDevice.safeParse({ ...agent, ...change });
		t.is(parsed.error?.issues[0]?.path.join('.'), path);
	});

test('a BMC whose address could be taken for an option is refused', (t) => {
	t.true(fenceDevice.safeParse(ipmi).success);
	t.is(fenceDevice.safeParse({ ...ipmi, address: '-E' }).error?.issues[0]?.path[0], 'address');
});

test('a secret shows itself nowhere but to reveal', (t) => {
	const secret = new Secret('geheim');
	for (const shown of [
		String(secret),
		JSON.stringify({ secret }),
		inspect({ secret }, { depth: 9, showHidden: true }),
		secret.redactIn('wrong password geheim'),
	]) {
		t.false(shown.includes('geheim'));
		t.true(shown.includes('[redacted]'));
	}
	t.is(secret.reveal(), 'geheim');
});
