import type { EngineConfig } from '#src/engine/config.ts';
import {
	agentGoesOn,
	callHandler,
	dropCalls,
	readHypervisor,
	readReplication,
	reportSplit,
	startAgentSoon,
} from '#src/sim/agent.ts';
import type { Observer } from '#src/sim/checker.ts';
import { refreshHearing, tellBeats } from '#src/sim/hearing.ts';
import { createWire } from '#src/sim/model-wire.ts';
import type {
	Hooks,
	Network,
	Replica,
	SimHost,
	SimVm,
	Simulation,
	Timings,
} from '#src/sim/model.ts';
import { newUuid, replicaOf } from '#src/sim/model.ts';
import type { Device } from '#src/sim/model-device.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { fenceAgain, startAll } from '#src/sim/planted.ts';
import { panic } from '#src/sim/power.ts';
import { deviceName, devicesOf, engineConfig, engineVm } from '#src/sim/build-config.ts';
import { createHostLoad, createVmLoad } from '#src/sim/build-load.ts';
import { firstRecord, firstWitnessed } from '#src/sim/build-record.ts';
import type { Present } from '#src/sim/present.ts';
import { createQueue } from '#src/sim/queue.ts';
import { writeMetadata } from '#src/sim/replica.ts';
import type { ScenarioVm, ScenarioWorld } from '#src/sim/scenario.ts';
import { createWitness } from '#src/sim/third.ts';
import { hearBeat, refreshVotes } from '#src/sim/votes.ts';
import { createWatchdog } from '#src/sim/watchdog.ts';
import { noteRun } from '#src/sim/model-load.ts';
import { prng } from '#src/std/prng.ts';

/** Puts a world together from its description: hosts, networks, VMs, devices, and where they start. */

export interface BuildOptions {
	readonly world: ScenarioWorld;
	/** A pair in the middle of its life instead of one whose story begins. */
	readonly present?: Present;
	readonly seed: number;
	readonly mutation: Mutation;
	readonly trace: ((line: string) => void) | null;
	readonly observer: (simulation: Simulation) => Observer;
	/** How slow state file and observations are at most, ms; clock rates of the two hosts. */
	readonly persistMaxMs: number;
	readonly observeMaxMs: number;
	readonly clockRates: readonly [number, number];
	/** The rules look at every event, as in production. Without it they are spared what brings no news: far faster. */
	readonly rulesAlways?: boolean;
	/** Tests of the world alone: no agents start, and this answers the fence-peer calls. */
	readonly handler?: (replica: Replica, answer: (exitCode: number) => void) => void;
}

/** The hosts have run for an hour when the story begins. */
const uptimeMs = 3_600_000;

export const createSimulation = (options: BuildOptions): Simulation => {
	const { world } = options;
	const hosts = [createHost(options, 0), createHost(options, 1)] as const;
	const vms = world.vms.map((vm, index) => createVm(options, hosts, vm, index));
	let observer: Observer | null = null;
	const simulation: Simulation = {
		queue: createQueue(),
		random: prng(options.seed),
		hosts,
		networks: world.networks.map(createNetwork),
		vms,
		witness: createWitness(world),
		timings: timingsOf(options),
		hooks: createHooks(
			() => simulation,
			() => observer,
			options.handler,
		),
		mutation: options.mutation,
		rulesSpared: options.rulesAlways !== true,
		trace: options.trace,
		violations: [],
		counts: new Map(),
		nextUuid: 0,
		nextInstance: 0,
		changes: 0,
	};
	observer = options.observer(simulation);
	begin(simulation, options);
	return simulation;
};

const timingsOf = ({ world, persistMaxMs, observeMaxMs }: BuildOptions): Timings => ({
	bootMs: world.timing.boot,
	agentStartMs: world.timing.agentStart,
	resyncMs: world.timing.resync,
	createMs: world.timing.create,
	guestShutdownMs: world.timing.guestShutdown,
	persistMaxMs,
	observeMaxMs,
});

const createDevices = (world: ScenarioWorld, host: string): Device[] =>
	devicesOf(world, host).map((device, index) => ({
		name: deviceName(host, index),
		level: device.level - 1,
		behaviour: device.behaviour,
		latencyMs: device.latency,
		byMs: device.by,
		diesWithHost: device.diesWithHost,
		outlet: true,
		offAsked: false,
	}));

const configOf = ({ world, mutation, present }: BuildOptions, index: 0 | 1): EngineConfig => {
	if (present !== undefined) return present.configs[index];
	const config = engineConfig(world, world.hosts[index], world.hosts[index === 0 ? 1 : 0]);
	if (mutation !== 'taken-early' || config.witness === null) return config;
	return { ...config, witness: { ...config.witness, takeMs: config.witness.leaseMs } };
};

const createHost = (options: BuildOptions, index: 0 | 1): SimHost => {
	const { world, clockRates, present } = options;
	const name = world.hosts[index];
	return {
		name,
		index,
		config: configOf(options, index),
		devices: createDevices(world, name),
		memoryMib: present?.memoryMib[index] ?? world.memoryMib,
		mains: true,
		powered: true,
		kernelUp: true,
		hung: false,
		standsSinceMs: null,
		frozenWork: [],
		life: 0,
		boots: 1,
		bootId: `${name}-boot-1`,
		bootedMs: world.begin === 'settled' ? -uptimeMs : -5000,
		clockRate: clockRates[index],
		agent: null,
		agentRuns: 0,
		agentSinceMs: 0,
		store: { content: null, full: false, hungUntilMs: 0 },
		crashAtWrite: null,
		wallMs: 0,
		saved: new Map(),
		domains: new Map(),
		migrations: new Map(),
		watchdog: createWatchdog(world, name),
		votedMs: 0,
		resumedMs: Number.NEGATIVE_INFINITY,
		creating: new Map(),
		xlHungUntilMs: 0,
		drbdHungUntilMs: 0,
		gatewayAnswers: true,
		offBy: null,
		fencedAtMs: [],
		offAskedMs: null,
		shotLate: false,
		fileReplacedMs: Number.NEGATIVE_INFINITY,
		oldDocument: null,
		load: createHostLoad(world, name),
	};
};

const createNetwork = (network: ScenarioWorld['networks'][number]): Network => ({
	name: network.name,
	switched: network.switched,
	replication: network.replication,
	cutAll: [false, false],
	cutReplication: [false, false],
	cutHeartbeat: [false, false],
	carrierLost: [false, false],
	connected: false,
	connectTimer: null,
	breakTimer: null,
	wire: createWire(),
});

const createVm = (
	{ present }: BuildOptions,
	hosts: readonly [SimHost, SimHost],
	described: ScenarioVm,
	index: number,
): SimVm => {
	const vm = {
		name: described.name,
		index,
		engine: present?.configs[0].vms[index] ?? engineVm(described),
		metMs: Number.NEGATIVE_INFINITY,
		connectTimer: null,
		resyncTimer: null,
		acknowledged: 0,
		settledMs: 0,
		ignoresShutdown: false,
		createFails: new Map<string, number>(),
		slowUnpauseMs: new Map<string, number>(),
		staleAccepted: false,
		forcedOn: new Set<string>(),
		givenUp: new Set<string>(),
		buried: new Map<string, 'alive' | 'dead'>(),
		dataDestroyed: false,
		wentOnAloneMs: Number.NEGATIVE_INFINITY,
		writtenAlone: null,
		load: createVmLoad(described),
	} as unknown as SimVm & { replicas: [Replica, Replica] };
	vm.replicas = [createReplica(hosts[0], vm), createReplica(hosts[1], vm)];
	return vm;
};

const createReplica = (host: SimHost, vm: SimVm): Replica => ({
	host,
	vm,
	up: false,
	role: 'Secondary',
	disk: 'Diskless',
	peerDisk: 'DUnknown',
	peerRole: 'Unknown',
	connection: 'StandAlone',
	replication: 'Off',
	frozen: false,
	pending: false,
	newGenerationDue: false,
	current: '',
	bitmap: '',
	history: [],
	exposed: '',
	changed: false,
	flags: { consistent: true, upToDate: true, primary: false, peerOutdated: false },
	crashedPrimary: false,
	head: 0,
	broken: false,
	repairedMs: Number.NEGATIVE_INFINITY,
	connects: 0,
	lossTimer: null,
	discards: false,
	stuck: null,
	detachFails: 0,
	twoPrimaries: false,
	shownOutdated: false,
	frozenChangedMs: 0,
	outdatedMs: Number.NEGATIVE_INFINITY,
	latePromoteMs: null,
});

const begin = (simulation: Simulation, { world, present, handler }: BuildOptions): void => {
	if (present === undefined) beginStory(simulation, world);
	else present.begin(simulation);
	if (handler !== undefined) return;
	for (const host of simulation.hosts)
		startAgentSoon(simulation, host, world.begin === 'settled' ? 0 : world.timing.agentStart);
};

const beginStory = (simulation: Simulation, world: ScenarioWorld): void => {
	for (const [index, vm] of simulation.vms.entries()) {
		const uuid = newUuid(simulation);
		for (const replica of vm.replicas) replica.current = uuid;
		const described = world.vms[index];
		if (world.begin === 'settled' && described !== undefined) settled(simulation, vm, described);
	}
	if (simulation.witness !== null && world.begin !== 'fresh')
		simulation.witness.record = firstWitnessed(simulation, world);
	if (world.begin === 'fresh') return;
	for (const host of simulation.hosts) host.store.content = firstRecord(simulation, world, host);
};

/** Mirrored, Primary where it runs, running. */
const settled = (simulation: Simulation, vm: SimVm, described: ScenarioVm): void => {
	for (const host of simulation.hosts) {
		const replica = replicaOf(host, vm);
		const runs = described.runs && described.host === host.name;
		replica.up = true;
		replica.disk = 'UpToDate';
		replica.peerDisk = 'UpToDate';
		replica.connection = 'Connected';
		replica.replication = 'Established';
		replica.connects = 1;
		replica.role = runs ? 'Primary' : 'Secondary';
		replica.exposed = replica.current;
		replica.peerRole = described.runs && !runs ? 'Primary' : 'Secondary';
		if (runs) {
			simulation.nextInstance += 1;
			host.domains.set(vm.name, {
				presence: 'running',
				neverRan: false,
				reason: null,
				instance: `${vm.name}-${simulation.nextInstance}`,
				shutdownDue: false,
				shownPaused: false,
			});
		}
	}
	for (const replica of vm.replicas) writeMetadata(replica);
};

const createHooks = (
	simulation: () => Simulation,
	observer: () => Observer | null,
	handler: BuildOptions['handler'],
): Hooks => ({
	replicationChanged: (host) => readReplication(simulation(), host),
	hypervisorChanged: (host) => readHypervisor(simulation(), host),
	callHandler: (replica, answer) => {
		if (handler === undefined) callHandler(simulation(), replica, answer);
		else handler(replica, answer);
	},
	hearingMayChange: () => {
		refreshHearing(simulation());
		refreshVotes(simulation());
	},
	beatHeard: (agent, echo) => hearBeat(simulation(), agent, echo),
	beatsTold: (agent, news) => tellBeats(simulation(), agent, news),
	agentDied: (agent) => dropCalls(agent),
	agentGoesOn: (host) => agentGoesOn(simulation(), host),
	booted: (host) => {
		if (simulation().mutation === 'xendomains') startAll(simulation(), host);
		if (simulation().mutation === 'fence-again') fenceAgain(simulation(), host);
		if (handler !== undefined) return;
		const { agentStartMs } = simulation().timings;
		startAgentSoon(simulation(), host, agentStartMs);
	},
	vmRuns: (host, vm) => {
		noteRun(host, vm);
		observer()?.vmRuns(host, vm);
	},
	promoted: (replica) => observer()?.promoted(replica),
	persisted: (host, record, before) => observer()?.persisted(host, record, before),
	handlerAnswered: (replica, exitCode) => observer()?.handlerAnswered(replica, exitCode),
	splitFound: (replica) => {
		if (handler === undefined) reportSplit(simulation(), replica);
	},
	dataGivenUp: (replica) => observer()?.dataGivenUp(replica),
	resyncBegins: (source, target) => observer()?.resyncBegins(source, target),
	tookOver: (taker, bySilence) => observer()?.tookOver(taker, bySilence),
	watchdogFires: (host) => panic(simulation(), host),
	watchdogStops: (host) => observer()?.watchdogStops(host),
	fenceSent: (victim) => observer()?.fenceSent(victim),
	fenced: (victim) => observer()?.fenced(victim),
	loneWrite: (writer, copy) => observer()?.loneWrite(writer, copy),
	stepped: (agent, event) => observer()?.stepped(agent, event),
	noted: (host, note) => observer()?.noted(host, note),
	published: (agent, document) => observer()?.published(agent, document),
	replied: (host, request, reply) => observer()?.replied(host, request, reply),
	broke: (agent, error) => observer()?.broke(agent, error),
});
