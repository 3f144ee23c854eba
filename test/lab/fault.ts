/** Carries a scenario's steps out on the lab's real hosts. */
import type { ScenarioStep, StepVerb } from '#src/sim/step.ts';
import { formatDuration } from '#src/std/duration.ts';
import { killBmc, startBmc } from './bmc.ts';
import { impair, impairWitness, setCut, stickConnection } from './cable.ts';
import { cutPower, forgetSsh, qmpSocket, setCarrier, ssh, startHost, type Place } from './host.ts';
import { setLoad } from './load.ts';
import { inside } from './network.ts';
import { vmpair } from './product.ts';
import type { ProductVm } from './product.ts';
import { qmp } from './qmp.ts';
import {
	emptyWitness,
	restoreWitness,
	saveWitness,
	setWitnessPath,
	stallWitness,
	startWitness,
	stopWitness,
} from './witness.ts';
import { hostNamed, networks, type LabHost, type LabVm, type Network } from './world.ts';

export type Stage = {
	readonly place: Place;
	readonly vms: readonly ProductVm[];
	/** Hosts with a watchdog that counts. */
	readonly watchdogs: readonly string[];
	/** Hosts whose BMC is on the host's own supply. */
	readonly bmcDiesToo: ReadonlySet<string>;
	/** The answer to a step that asks the product for something. */
	readonly onReply: (step: string, status: string, text: string) => void;
};

type Do<Verb extends StepVerb> = Extract<ScenarioStep, { do: Verb }>;
type Actor<Verb extends StepVerb> = (stage: Stage, step: Do<Verb>) => Promise<unknown>;

const networkNamed = (name: string): Network => {
	const network = networks.find((each) => each === name);
	if (network === undefined) throw new Error(`the lab has no network '${name}'`);
	return network;
};

const slotOf = (stage: Stage, vm: string): LabVm => {
	const found = stage.vms.find((each) => each.name === vm);
	if (found === undefined) throw new Error(`the lab has no VM '${vm}'`);
	return found.slot;
};

async function losePower(stage: Stage, host: LabHost, bmcToo: boolean): Promise<void> {
	// A BMC on the same supply dies in the same instant: it must not answer "off" in between.
	if (bmcToo || stage.bmcDiesToo.has(host.name)) await killBmc(stage.place, host);
	await cutPower(stage.place, host);
	await forgetSsh(stage.place, host);
}

async function getPower(stage: Stage, host: LabHost): Promise<void> {
	await killBmc(stage.place, host);
	await startBmc(stage.place, host);
	await startHost(stage.place, host);
}

async function path(stage: Stage, step: Do<'cut' | 'mend'>): Promise<void> {
	const { from, traffic } = step;
	const cut = { network: networkNamed(step.network), from, traffic };
	await setCut(stage.place, cut, step.do === 'cut' ? 'cut' : 'whole');
}

async function agent(stage: Stage, name: string, command: string): Promise<void> {
	await ssh(stage.place, hostNamed(name), command, { timeoutMs: 60_000 });
}

const statusOf = (text: string, code: string): string => {
	if (/refused/iu.test(text)) return 'refused';
	return /accepted/iu.test(text) ? 'accepted' : code;
};

const askAgain = 5;

async function ask(
	stage: Stage,
	step: { host: string; id?: string | undefined },
	words: string,
	otherwise = 'done',
) {
	let told = await vmpair(stage.place, hostNamed(step.host), words);
	// The command gives up on an agent that is slow to show its status. Nothing was asked of it yet: a person repeats it.
	for (let again = 0; again < askAgain && told.includes('the agent did not answer'); again += 1)
		told = await vmpair(stage.place, hostNamed(step.host), words);
	stage.onReply(step.id ?? '', statusOf(told, otherwise), told);
}

const kill = (signal: string): string =>
	`systemctl kill --kill-whom=main -s ${signal} vmpair.service`;

async function device(stage: Stage, step: Do<'device'>): Promise<void> {
	const host = hostNamed(step.host);
	if (step.behaviour === 'dead') return killBmc(stage.place, host);
	if (step.behaviour === 'ok') return startBmc(stage.place, host);
	throw new Error(`the lab's BMCs cannot be '${step.behaviour}'`);
}

/** On the file system of the state directory. */
const ballast = '/var/lib/ballast-';

/** Root may use the blocks that are reserved for it, so these are gone, too. */
const fillDisk = `n=0; for size in 1G 64M 4M 256K 4K; do while fallocate -l $size ${ballast}$((n=n+1)); do :; done; done 2>/dev/null; true`;

/** Writes to it wait; it ends by itself, because nobody may get in meanwhile to end it. */
const freezeDisk = (ms: number): string =>
	`systemd-run --collect sh -c 'fsfreeze --freeze / && sleep ${ms / 1000}; fsfreeze --unfreeze /'`;

const actors: { readonly [Verb in StepVerb]?: Actor<Verb> } = {
	'power-cut': (stage, step) => losePower(stage, hostNamed(step.host), step.bmcToo),
	'power-on': (stage, step) => getPower(stage, hostNamed(step.host)),
	reboot: (stage, { host }) => agent(stage, host, 'systemctl --no-block reboot'),
	crash: (stage, { host }) => agent(stage, host, 'echo c > /proc/sysrq-trigger &'),
	hang: (stage, { host, whole }) => {
		if (stage.watchdogs.includes(host) && whole !== true)
			throw new Error(`the lab can only make ${host} hang together with its watchdog`);
		return qmp(qmpSocket(stage.place, hostNamed(host)), 'stop');
	},
	resume: (stage, { host }) => qmp(qmpSocket(stage.place, hostNamed(host)), 'cont'),
	'agent-crash': (stage, { host, restartAfter }) =>
		// systemd starts it again by itself, half a second later.
		agent(
			stage,
			host,
			restartAfter === null ? `${kill('KILL')}; systemctl stop vmpair` : kill('KILL'),
		),
	'agent-start': (stage, { host }) => agent(stage, host, 'systemctl start vmpair.service'),
	'agent-stop': (stage, { host }) => agent(stage, host, kill('STOP')),
	'agent-continue': (stage, { host }) => agent(stage, host, kill('CONT')),
	cut: path,
	mend: path,
	degrade: ({ place }, { network, from, loss, jitter }) =>
		impair(place, networkNamed(network), from, { loss, jitterMs: jitter }),
	clear: ({ place }, { network, from }) => impair(place, networkNamed(network), from, null),
	'witness-degrade': ({ place }, { from, loss, jitter }) =>
		impairWitness(place, from, { loss, jitterMs: jitter }),
	'witness-clear': ({ place }, { from }) => impairWitness(place, from, null),
	'clock-step': (stage, { host, by, back }) =>
		agent(stage, host, `date -s '${back ? '-' : ''}${by / 1000} seconds'`),
	'carrier-lost': (stage, { host, network }) =>
		setCarrier(stage.place, hostNamed(host), networkNamed(network), false),
	'carrier-back': (stage, { host, network }) =>
		setCarrier(stage.place, hostNamed(host), networkNamed(network), true),
	device,
	'store-full': (stage, { host }) => agent(stage, host, fillDisk),
	'store-free': (stage, { host }) => agent(stage, host, `rm -f ${ballast}*`),
	'store-hang': (stage, step) => agent(stage, step.host, freezeDisk(step.for)),
	'operator-create': (stage, { host, vm }) =>
		agent(stage, host, `xl create /etc/xen/${vm}.cfg || true`),
	'operator-drbd': (stage, { host, vm, command }) =>
		agent(stage, host, `drbdadm ${command} ${slotOf(stage, vm).name} || true`),
	'operator-promote': (stage, { host, vm, force }) =>
		agent(stage, host, `drbdadm primary ${force ? '--force ' : ''}${slotOf(stage, vm).name}`),
	'disk-fail': (stage, { host, vm }) =>
		agent(stage, host, `drbdadm detach ${slotOf(stage, vm).name}`),
	'drbd-stuck': (stage, step) =>
		stickConnection(stage.place, hostNamed(step.host), slotOf(stage, step.vm), step.in),
	start: (stage, step) =>
		ask(
			stage,
			step,
			`start ${step.vm}${step.acceptStale ? ` --accept-stale --confirm ${step.vm}` : ''}`,
		),
	stop: (stage, step) => ask(stage, step, `stop ${step.vm}`),
	move: (stage, step) => ask(stage, step, `move ${step.vm}`),
	// The steps that follow happen meanwhile.
	migrate: (stage, step) => ask(stage, step, `migrate ${step.vm} --no-wait`, 'accepted'),
	'cancel-migration': (stage, step) => ask(stage, step, `migrate ${step.vm} --cancel`),
	takeover: (stage, step) => ask(stage, step, `takeover --confirm-dead ${step.confirmDead} --yes`),
	arm: (stage, step) => ask(stage, step, 'arm'),
	disarm: (stage, step) => ask(stage, step, `disarm --reason '${step.reason}'`),
	pause: (stage, step) =>
		ask(stage, step, `pause --for ${formatDuration(step.for)} --reason '${step.reason}'`),
	'pause-end': (stage, step) => ask(stage, step, 'resume'),
	leave: (stage, step) =>
		ask(stage, step, `leave${step.how === 'hand-over' ? '' : ` --${step.how}`}`),
	evacuate: (stage, step) =>
		ask(
			stage,
			step,
			`evacuate ${step.target ?? step.host}${step.cold ? ' --cold' : ''} --no-wait`,
			'accepted',
		),
	standby: (stage, step) =>
		ask(
			stage,
			step,
			`standby ${step.on ? 'on --reason maintenance --no-wait' : 'off'}`,
			step.on ? 'accepted' : 'done',
		),
	resolve: (stage, step) => {
		if (step.discard === null) throw new Error('the lab must be told which copy goes');
		return ask(
			stage,
			step,
			`split-brain resolve ${step.vm} --discard ${step.discard} --confirm ${step.discard}`,
		);
	},
	'witness-stop': ({ place }) => stopWitness(place),
	'witness-start': ({ place }) => startWitness(place),
	'witness-cut': ({ place }, { from }) => setWitnessPath(place, from, 'cut'),
	'witness-mend': ({ place }, { from }) => setWitnessPath(place, from, 'whole'),
	'witness-slow': ({ place }, step) => stallWitness(place, step.for),
	'witness-save': ({ place }, { as }) => saveWitness(place, as),
	'witness-restore': ({ place }, { from }) => restoreWitness(place, from),
	'witness-empty': ({ place }) => emptyWitness(place),
	// A guest of the lab has one virtual CPU.
	load: (stage, { vm, cpus }) =>
		setLoad(
			(...words) => inside(stage.place.namespace, ...words),
			slotOf(stage, vm).address,
			Math.min(100, Math.round(cpus * 100)),
		),
	nothing: async () => {},
};

/** Says why the lab cannot run these steps; empty when it can. */
export const unsupported = (steps: readonly ScenarioStep[]): string[] =>
	steps.filter((step) => actors[step.do] === undefined).map((step) => step.do);

/** Carries one step out; a request's answer is awaited in the background. */
export async function act(stage: Stage, step: ScenarioStep): Promise<void> {
	const actor: Actor<StepVerb> | undefined = actors[step.do] as Actor<StepVerb> | undefined;
	if (actor === undefined) throw new Error(`the lab cannot do '${step.do}'`);
	await actor(stage, step);
}
