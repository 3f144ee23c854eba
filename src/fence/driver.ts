import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { agentAct, agentCall, agentPower } from '#src/fence/agent-protocol.ts';
import type { FenceCall, FenceVerb, ToolOutput } from '#src/fence/call.ts';
import type { FenceDevice, IpmiDevice } from '#src/fence/device.ts';
import { ipmiAct, ipmiCall, ipmiPower, ipmiVerbCall } from '#src/fence/ipmi.ts';
import type { CheckedDevice, CheckedLevel } from '#src/fence/check.ts';
import { actOnLevel } from '#src/fence/level.ts';
import type { DeviceOutcome } from '#src/fence/level.ts';
import {
	combineVerdicts,
	compareIdentity,
	isAddress,
	mappingOf,
	readIdentity,
	unreadableBmc,
} from '#src/fence/mapping.ts';
import type { BmcIdentity, MappingVerdict } from '#src/fence/mapping.ts';
import { failed, succeeded, unknown, type Failed } from '#src/ports-outcome.ts';
import type { DeviceReading, HostName, Outcome } from '#src/ports.ts';
import { messageOf } from '#src/std/error.ts';
import { Secret } from '#src/std/secret.ts';
import type { ToolCall, ToolEnd, Tools } from '#src/std/tool.ts';

/** The fence devices of each host by level, in the order in which the levels are tried. */
export type FenceDevices = Readonly<Record<HostName, readonly (readonly FenceDevice[])[]>>;

export interface FenceOptions {
	readonly tools: Tools;
	readonly devices: FenceDevices;
	/** Limit of one read of the own BMC in-band, ms. */
	readonly inBandMs?: number;
}

/** A call that waits for its device, or is under way. */
interface Job {
	readonly verb: FenceVerb;
	readonly outcome: Promise<Outcome>;
	readonly abort: AbortController;
	readonly start: () => Promise<void>;
}

/** One device: at most one call at a time, because BMCs and outlets answer several with nonsense. */
interface Lane {
	running: Job | null;
	readonly waiting: Job[];
}

/** More than this waiting for one device is a mistake of the caller. */
const waitingMax = 8;

const secretBytesMax = 4096;

/** Fences hosts through the devices configured for them. */
export class FenceDriver {
	readonly #tools: Tools;
	readonly #inBandMs: number;
	readonly #lanes = new Map<string, Lane>();
	#devices: FenceDevices;

	constructor(options: FenceOptions) {
		this.#tools = options.tools;
		this.#devices = options.devices;
		this.#inBandMs = options.inBandMs ?? 10_000;
	}

	/** Replaces the devices after the configuration changed; calls under way end as they began. */
	configure(devices: FenceDevices): void {
		this.#devices = devices;
	}

	/** What every device of a level (the first is 0) says of a host's power. Ends within their `limitMs`. */
	async query(host: HostName, level: number): Promise<Outcome<readonly DeviceReading[]>> {
		const answers = await this.#ask(host, level, 'status');
		return answers === null ? noDevice(host, level) : succeeded(answers.map(readingOf));
	}

	/**
	 * Switches a host off at every device of a level. Success is what the devices claim; a `query` afterwards is
	 * the proof. A status query that is under way is called off first, so that it cannot hold the fence back.
	 */
	off(host: HostName, level: number): Promise<Outcome> {
		return this.#act(host, level, 'off');
	}

	on(host: HostName, level: number): Promise<Outcome> {
		return this.#act(host, level, 'on');
	}

	async #act(host: HostName, level: number, verb: FenceVerb): Promise<Outcome> {
		const answers = await this.#ask(host, level, verb);
		return answers === null ? noDevice(host, level) : actOnLevel(answers);
	}

	/** Asks all devices of a level at once; null when it has none. */
	async #ask(
		host: HostName,
		level: number,
		verb: FenceVerb,
	): Promise<readonly DeviceOutcome[] | null> {
		const devices = this.#devices[host]?.[level] ?? [];
		if (devices.length === 0) return null;
		return Promise.all(
			devices.map(async (device) => ({
				device: device.name,
				outcome: await this.#askDevice(host, device, verb),
			})),
		);
	}

	#askDevice(host: HostName, device: FenceDevice, verb: FenceVerb): Promise<Outcome> {
		return this.#inTurn(`${host}/${device.name}`, verb, (signal) =>
			this.#call(device, verb, signal),
		);
	}

	/**
	 * Asks every device of every level of a host now, for a person: its power, how long that took, and what tells
	 * whose device it is. `own`: the devices are this host's, so they are held against its own BMC.
	 */
	async check(host: HostName, own: boolean): Promise<readonly CheckedLevel[]> {
		const inBand = own ? await this.#ownIdentity() : null;
		return Promise.all(
			(this.#devices[host] ?? []).map(async (devices, level) => ({
				level: level + 1,
				devices: await Promise.all(
					devices.map((device) => this.#checkDevice(host, device, own, inBand)),
				),
			})),
		);
	}

	async #checkDevice(
		host: HostName,
		device: FenceDevice,
		own: boolean,
		inBand: BmcIdentity | null,
	): Promise<CheckedDevice> {
		const begunMs = performance.now();
		const outcome = await this.#askDevice(host, device, 'status');
		const tookMs = Math.round(performance.now() - begunMs);
		const { power, detail } = readingOf({ device: device.name, outcome });
		const identity = await this.#configuredIdentity(device);
		return {
			device: device.name,
			kind: device.kind === 'agent' ? device.agent : device.kind,
			power: power ?? 'unknown',
			asked: !(outcome.result === 'failed' && outcome.code === 'fence-secret'),
			detail,
			tookMs,
			identity,
			mapping: own ? mappingOf(host, device.name, inBand, identity) : null,
		};
	}

	#inTurn(
		key: string,
		verb: FenceVerb,
		call: (signal: AbortSignal) => Promise<Outcome>,
	): Promise<Outcome> {
		const lane = this.#lanes.get(key) ?? { running: null, waiting: [] };
		this.#lanes.set(key, lane);
		// A question that is being asked already needs no second one. An `off` never shares its end.
		const same = [lane.running, ...lane.waiting].find((job) => job?.verb === verb);
		if (isQuestion(verb) && same !== null && same !== undefined) return same.outcome;
		if (lane.waiting.length >= waitingMax) {
			return Promise.resolve(
				failed('fence-busy', `${waitingMax} calls wait for this device already`),
			);
		}
		const { promise, resolve } = Promise.withResolvers<Outcome>();
		const abort = new AbortController();
		const start = async (): Promise<void> => resolve(await call(abort.signal));
		lane.waiting.push({ verb, outcome: promise, abort, start });
		if (!isQuestion(verb) && lane.running !== null && isQuestion(lane.running.verb)) {
			lane.running.abort.abort();
		}
		this.#advance(lane);
		return promise;
	}

	#advance(lane: Lane): void {
		if (lane.running !== null) return;
		const urgent = lane.waiting.findIndex(({ verb }) => !isQuestion(verb));
		const [next] = lane.waiting.splice(Math.max(0, urgent), 1);
		if (next === undefined) return;
		lane.running = next;
		void next.start().finally(() => {
			lane.running = null;
			this.#advance(lane);
		});
	}

	/** One call of one device. Never rejects; nothing it says contains a secret. */
	async #call(device: FenceDevice, verb: FenceVerb, signal: AbortSignal): Promise<Outcome> {
		const prepared = await prepare(device, verb);
		if ('result' in prepared) return prepared;
		const ended = await this.#tools.run(toolCall(prepared.call, device.limitMs, signal));
		return withoutSecrets(prepared.secrets, ended, (end) => outcomeOf(device, verb, end));
	}

	/**
	 * Whether the devices configured for this host are its own: what it reads of its BMC in-band is held
	 * against what they answer over the network. With a wrong mapping the other host would be switched off.
	 */
	async verifyMapping(host: HostName): Promise<MappingVerdict> {
		const devices = (this.#devices[host] ?? []).flat();
		const nothing = `There is no fence device for ${host}.`;
		if (devices.length === 0) return { result: 'cannot-tell', sentence: nothing };
		const own = await this.#ownIdentity();
		if (own === null) return unreadableBmc(host);
		return combineVerdicts(
			await Promise.all(
				devices.map(async (device) =>
					compareIdentity(host, device.name, own, await this.#configuredIdentity(device)),
				),
			),
		);
	}

	async #ownIdentity(): Promise<BmcIdentity | null> {
		const read = async (...args: string[]): Promise<string> =>
			textOf(await this.#tools.run({ file: 'ipmitool', args, limitMs: this.#inBandMs }));
		// In-band calls share one driver in the kernel: one after the other.
		const lan = (await read('lan', 'print')) || (await read('lan', 'print', '1'));
		const identity = readIdentity(lan, await read('mc', 'guid'));
		return Object.values(identity).every((value) => value === null) ? null : identity;
	}

	/** An agent has no common way to ask a device who it is: only a numeric address can be compared. */
	async #configuredIdentity(device: FenceDevice): Promise<BmcIdentity> {
		if (device.kind === 'ipmi') return this.#bmcIdentity(device);
		const { ip, ipaddr } = device.parameters;
		const address = ip ?? ipaddr ?? '';
		return { macAddress: null, guid: null, ipAddress: isAddress(address) ? address : null };
	}

	async #bmcIdentity(device: IpmiDevice): Promise<BmcIdentity> {
		const password = await readSecret(device.passwordFile);
		if (!(password instanceof Secret)) return readIdentity('', '');
		const read = async (...command: string[]): Promise<string> => {
			const call = ipmiCall(device, command, password);
			return textOf(await this.#tools.run(toolCall(call, device.limitMs)));
		};
		const lan = await read('lan', 'print');
		return readIdentity(lan, await read('mc', 'guid'));
	}
}

const isQuestion = (verb: FenceVerb): boolean => verb === 'status';

const noDevice = (host: HostName, level: number) =>
	failed('fence-no-device', `no fence device is configured for level ${level + 1} of ${host}`);

/** Enough of a tool's words for a person; the engine keeps them with every reading. */
const detailMax = 300;

const readingOf = ({ device, outcome }: DeviceOutcome): DeviceReading => {
	if (outcome.result !== 'succeeded')
		return { device, power: null, detail: outcome.detail.slice(0, detailMax) };
	const { value } = outcome;
	return value === 'on' || value === 'off'
		? { device, power: value, detail: '' }
		: { device, power: null, detail: 'no power state was given' };
};

const toolCall = (call: FenceCall, limitMs: number, signal?: AbortSignal): ToolCall => ({
	...call,
	limitMs,
	...(signal === undefined ? {} : { signal }),
});

const textOf = (ended: ToolEnd): string =>
	ended.end === 'exited' && ended.exitCode === 0 ? ended.stdout : '';

interface Prepared {
	readonly call: FenceCall;
	readonly secrets: readonly Secret[];
}

/** Secrets are read for every call: a changed password needs no restart, and none is kept. */
const prepare = async (device: FenceDevice, verb: FenceVerb): Promise<Prepared | Failed> => {
	const files =
		device.kind === 'ipmi' ? { password: device.passwordFile } : device.secretParameters;
	const secrets: Record<string, Secret> = {};
	for (const [name, file] of Object.entries(files)) {
		const secret = await readSecret(file);
		if (!(secret instanceof Secret)) return failed('fence-secret', secret.problem);
		secrets[name] = secret;
	}
	const { password } = secrets;
	if (device.kind === 'agent') {
		return { call: agentCall(device, verb, secrets), secrets: Object.values(secrets) };
	}
	if (password === undefined) return failed('fence-secret', `${device.name} has no password`);
	return { call: ipmiVerbCall(device, verb, password), secrets: [password] };
};

/** The first line of a file that only its owner may read. */
const readSecret = async (file: string): Promise<Secret | { readonly problem: string }> => {
	let handle;
	try {
		handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
		const stat = await handle.stat();
		if (!stat.isFile()) return { problem: `${file} is not a file` };
		if ((stat.mode & 0o077) !== 0) {
			return { problem: `others may read ${file}; run "chmod 600 ${file}"` };
		}
		if (stat.size > secretBytesMax) return { problem: `${file} is too long for a secret` };
		const [line = ''] = (await handle.readFile('utf8')).split(/\r?\n/);
		return line === '' ? { problem: `the first line of ${file} is empty` } : new Secret(line);
	} catch (thrown) {
		return { problem: messageOf(thrown) };
	} finally {
		await handle?.close();
	}
};

/** What an ended call means. A tool that was never started did nothing; one out of time may have. */
const outcomeOf = (device: FenceDevice, verb: FenceVerb, ended: ToolEnd): Outcome => {
	if (ended.end === 'not-started') return failed('fence-tool-missing', ended.detail);
	if (ended.end === 'unknown') return unknown(ended.detail);
	return device.kind === 'agent' ? agentOutcome(verb, ended) : ipmiOutcome(verb, ended);
};

const agentOutcome = (verb: FenceVerb, output: ToolOutput): Outcome =>
	verb === 'status' ? agentPower(output) : agentAct(output);

const ipmiOutcome = (verb: FenceVerb, output: ToolOutput): Outcome =>
	verb === 'status' ? ipmiPower(output) : ipmiAct(verb, output);

/**
 * A tool may repeat what it was given, for instance an option it does not know. Secrets are taken out
 * before anything is shortened, so that no part of one is left.
 */
const withoutSecrets = (
	secrets: readonly Secret[],
	ended: ToolEnd,
	read: (ended: ToolEnd) => Outcome,
): Outcome => {
	const outcome = read(ended);
	if (outcome.result === 'succeeded' || ended.end !== 'exited') return outcome;
	const clean = (text: string): string =>
		secrets.reduce((rest, secret) => secret.redactIn(rest), text);
	const shown = read({ ...ended, stdout: clean(ended.stdout), stderr: clean(ended.stderr) });
	return { ...outcome, detail: 'detail' in shown ? shown.detail : outcome.result };
};
