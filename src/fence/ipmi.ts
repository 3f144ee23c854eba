import type { FenceCall, FenceVerb, ToolOutput } from '#src/fence/call.ts';
import type { IpmiDevice } from '#src/fence/device.ts';
import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome, PowerState } from '#src/ports.ts';
import type { Secret } from '#src/std/secret.ts';
import { lastWords } from '#src/std/tool.ts';

/**
 * How often ipmitool repeats a packet, so that it gives up by itself before `limitMs`: only then is it known
 * that a command was not sent. Measured against an address without a BMC: 8.2 s with 2, 21.3 s with 4.
 */
const retriesWithin = (limitMs: number): number =>
	limitMs >= 23_000 ? 4 : limitMs >= 15_000 ? 3 : limitMs >= 9000 ? 2 : 1;

const commands: Readonly<Record<FenceVerb, readonly string[]>> = {
	status: ['chassis', 'power', 'status'],
	off: ['chassis', 'power', 'off'],
	on: ['chassis', 'power', 'on'],
};

/**
 * A call of `ipmitool` to a BMC over the network. Cipher suite 3 is mandatory in IPMI 2.0. `-E` takes the
 * password from the environment, which, unlike arguments, only root can read.
 */
export const ipmiCall = (
	device: IpmiDevice,
	command: readonly string[],
	password: Secret,
): FenceCall => ({
	file: 'ipmitool',
	args: [
		'-I',
		'lanplus',
		'-C',
		'3',
		'-N',
		'1',
		'-R',
		String(retriesWithin(device.limitMs)),
		'-H',
		device.address,
		...(device.port === undefined ? [] : ['-p', String(device.port)]),
		'-U',
		device.username,
		'-E',
		...command,
	],
	environment: { IPMITOOL_PASSWORD: password.reveal() },
});

/** The call for a verb of a fence device. */
export const ipmiVerbCall = (device: IpmiDevice, verb: FenceVerb, password: Secret): FenceCall =>
	ipmiCall(device, commands[verb], password);

const wordsOf = (output: ToolOutput): string =>
	`exit code ${output.exitCode}: ${lastWords(output.stdout, output.stderr)}`;

/** `chassis power status`; anything but the two exact answers is unknown. */
export const ipmiPower = (output: ToolOutput): Outcome<PowerState> => {
	const answer = /^Chassis Power is (on|off)\s*$/.exec(output.stdout)?.[1];
	if (output.exitCode === 0 && (answer === 'on' || answer === 'off')) return succeeded(answer);
	return unknown(wordsOf(output));
};

/** Without a session no command was sent: the one failure after which nothing can happen later. */
const noSession = /Unable to establish (?:IPMI v2 \/ RMCP\+|LAN|IPMI) session/;

/** `chassis power off` and `on`. */
export const ipmiAct = (verb: 'off' | 'on', output: ToolOutput): Outcome => {
	const answer = verb === 'off' ? 'Down/Off' : 'Up/On';
	if (output.exitCode === 0 && output.stdout.trim() === `Chassis Power Control: ${answer}`) {
		return succeeded(null);
	}
	return noSession.test(output.stderr)
		? failed('fence-not-sent', wordsOf(output))
		: unknown(wordsOf(output));
};
