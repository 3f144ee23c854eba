import type { Request } from '#src/api/request.ts';
import { endAgent, startAgent, startAgentSoon } from '#src/sim/agent.ts';
import { settleAll } from '#src/sim/data.ts';
import { loadStep } from '#src/sim/fault-load.ts';
import { operatorStep } from '#src/sim/fault-operator.ts';
import { stallStep, witnessStep } from '#src/sim/fault-witness.ts';
import { strainReplication } from '#src/sim/beats.ts';
import { impairmentOf } from '#src/sim/model-wire.ts';
import { refreshAllReplication } from '#src/sim/handshake.ts';
import { guestEnds } from '#src/sim/hypervisor.ts';
import type { Network, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import {
	count,
	hostNamed,
	inAgent,
	otherReplica,
	peerOf,
	replicaOf,
	tell,
	vmNamed,
} from '#src/sim/model.ts';
import { hangStreams } from '#src/sim/migration-path.ts';
import { reboot } from '#src/sim/reboot.ts';
import { hangHost, panic, refreshPower, resumeHost } from '#src/sim/power.ts';
import { changed, failDisk } from '#src/sim/replica.ts';
import { tellDisk } from '#src/sim/state-disk.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { failWatchdog } from '#src/sim/votes.ts';
import { assert } from '#src/std/assert.ts';

/** Carries out one step of a scenario on the world. */
export const applyStep = (simulation: Simulation, step: ScenarioStep, label: string): void => {
	if (simulation.trace !== null) tell(simulation, 'world', `step ${describe(step)}`);
	count(simulation, `step ${step.do}`);
	simulation.changes += 1;
	settleAll(simulation);
	if (step.do === 'cut' || step.do === 'mend') cutOrMend(simulation, step);
	else if (step.do === 'degrade' || step.do === 'clear') degradeOrClear(simulation, step);
	else if (witnessStep(simulation, step) || loadStep(simulation, step)) return;
	else if ('host' in step) applyHostStep(simulation, hostNamed(simulation, step.host), step, label);
	else if (step.do === 'guest') applyGuest(simulation, vmNamed(simulation, step.vm), step.does);
	else if (step.do === 'stream-hangs') hangStreams(simulation, step.for, step.in);
	else if (step.do === 'guest-ignores-shutdown') {
		vmNamed(simulation, step.vm).ignoresShutdown = true;
	}
};

const describe = (step: ScenarioStep): string => {
	const hidden = new Set(['do', 'id', 'at', 'when', 'within', 'after']);
	const fields = Object.entries(step)
		.filter(([key, value]) => !hidden.has(key) && value !== undefined && value !== null)
		.map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
	return step.do + fields.join('');
};

type HostStep = Extract<ScenarioStep, { host: string }>;

const applyHostStep = (
	simulation: Simulation,
	host: SimHost,
	step: HostStep,
	label: string,
): void => {
	if (powerStep(simulation, host, step)) return;
	if (agentStep(simulation, host, step)) return;
	if (stallStep(simulation, host, step)) return;
	if (storeStep(simulation, host, step)) return;
	if (resourceStep(simulation, host, step)) return;
	if (operatorStep(simulation, host, step)) return;
	if (deviceStep(simulation, host, step)) return;
	if (step.do === 'takeover' && step.checked && hostNamed(simulation, step.confirmDead).powered) {
		tell(
			simulation,
			'world',
			`the person sees that ${step.confirmDead} has power and says nothing`,
		);
		return;
	}
	if (step.do === 'resolve') {
		giveUp(simulation, step, label);
		return;
	}
	if (step.do === 'balance')
		for (const each of simulation.hosts) each.load.orderedMs = simulation.queue.nowMs;
	const request = requestOf(step, (afterMs) => wallClock(simulation, host, afterMs));
	if (request !== null) ask(simulation, host, request, label);
};

const powerStep = (simulation: Simulation, host: SimHost, step: HostStep): boolean => {
	if (step.do === 'power-cut') {
		host.mains = false;
		if (step.bmcToo) for (const device of host.devices) device.behaviour = 'dead';
		refreshPower(simulation, host, 'fault');
	} else if (step.do === 'power-on') {
		host.mains = true;
		for (const device of host.devices) {
			device.outlet = true;
			device.offAsked = false;
			if (device.behaviour === 'dead') device.behaviour = 'ok';
		}
		refreshPower(simulation, host, 'fault');
	} else if (step.do === 'reboot') reboot(simulation, host, leaveOf(simulation, host));
	else if (step.do === 'crash') panic(simulation, host);
	else if (step.do === 'hang') hangHost(simulation, host, step.whole === true);
	else if (step.do === 'resume') resumeHost(simulation, host);
	else if (step.do === 'watchdog-fails') failWatchdog(host);
	else if (step.do === 'gateway') {
		host.gatewayAnswers = step.answers;
		simulation.hooks.hearingMayChange();
	} else if (step.do === 'carrier-lost' || step.do === 'carrier-back') {
		networkNamed(simulation, step.network).carrierLost[host.index] = step.do === 'carrier-lost';
		pathsChanged(simulation);
	} else return false;
	return true;
};

/** What the shutdown unit asks of the agent. */
const leaveOf = (simulation: Simulation, host: SimHost) => (how: 'migrate' | 'stop') =>
	ask(simulation, host, { verb: 'leave', by: 'the shutdown', how }, `reboot-${host.name}-${how}`);

const agentStep = (simulation: Simulation, host: SimHost, step: HostStep): boolean => {
	const { agent } = host;
	if (step.do === 'agent-crash') {
		if (agent !== null) endAgent(simulation, agent);
		if (step.restartAfter !== null) startAgentSoon(simulation, host, step.restartAfter);
	} else if (step.do === 'agent-start') startAgent(simulation, host);
	else if (step.do === 'agent-stop') {
		if (agent !== null) agent.stopped = true;
		simulation.hooks.hearingMayChange();
	} else if (step.do === 'agent-continue') {
		if (agent !== null) agent.stopped = false;
		simulation.hooks.agentGoesOn(host);
		simulation.hooks.hearingMayChange();
	} else if (step.do === 'stale-document') staleDocument(simulation, host);
	else return false;
	return true;
};

/** A frame of the peer's earlier boot that lay in a buffer (V13). */
const staleDocument = (simulation: Simulation, host: SimHost): void => {
	const { agent } = host;
	const document = peerOf(simulation, host).oldDocument;
	if (agent?.alive !== true || document === null) return;
	inAgent(agent, () => agent.loop.post({ type: 'document-received', document }));
};

const storeStep = (simulation: Simulation, host: SimHost, step: HostStep): boolean => {
	const { agent, store } = host;
	if (step.do === 'store-full' || step.do === 'store-free') {
		store.full = step.do === 'store-full';
		if (agent !== null) tellDisk(agent);
	} else if (step.do === 'store-hang') store.hungUntilMs = simulation.queue.nowMs + step.for;
	else if (step.do === 'crash-at-write') host.crashAtWrite = { side: step.side, who: step.who };
	else if (step.do === 'clock-step') host.wallMs += step.back ? -step.by : step.by;
	else if (step.do === 'state-save') host.saved.set(step.as, store.content);
	else if (step.do === 'state-restore') {
		const copy = host.saved.get(step.from);
		assert(copy !== undefined, `a copy ${step.from} of the state file was saved on ${host.name}`);
		replaceState(simulation, host, copy);
	} else if (step.do === 'state-lose') replaceState(simulation, host, null);
	else if (step.do === 'state-corrupt') replaceState(simulation, host, 'corrupt');
	else return false;
	return true;
};

/** The file is replaced under a dead agent; a running one would only overwrite it. */
const replaceState = (
	simulation: Simulation,
	host: SimHost,
	content: SimHost['store']['content'],
): void => {
	if (host.agent?.alive === true) {
		tell(simulation, 'world', 'ignored: the agent runs');
		count(simulation, 'steps ignored');
		return;
	}
	host.store.content = content;
	// The file is what counts the fences of the last hour.
	const peer = peerOf(simulation, host);
	peer.fencedAtMs.length = 0;
	peer.offAskedMs = null;
	host.fileReplacedMs = simulation.queue.nowMs;
};

const resourceStep = (simulation: Simulation, host: SimHost, step: HostStep): boolean => {
	const { nowMs } = simulation.queue;
	if (step.do === 'disk-fail') failDisk(simulation, replicaOf(host, vmNamed(simulation, step.vm)));
	else if (step.do === 'disk-replace') replaceDisk(simulation, host, vmNamed(simulation, step.vm));
	else if (step.do === 'disk-repair') {
		const replica = replicaOf(host, vmNamed(simulation, step.vm));
		replica.broken = false;
		replica.repairedMs = nowMs;
	} else if (step.do === 'create-fails') {
		vmNamed(simulation, step.vm).createFails.set(host.name, step.times);
	} else if (step.do === 'slow-unpause') {
		vmNamed(simulation, step.vm).slowUnpauseMs.set(host.name, step.by);
	} else if (step.do === 'late-promote') {
		replicaOf(host, vmNamed(simulation, step.vm)).latePromoteMs = step.by;
	} else if (step.do === 'xl-hang') host.xlHungUntilMs = nowMs + step.for;
	else if (step.do === 'disk-held-open')
		replicaOf(host, vmNamed(simulation, step.vm)).heldOpenUntilMs = nowMs + step.for;
	else if (step.do === 'detach-fails')
		replicaOf(host, vmNamed(simulation, step.vm)).detachFails = step.times;
	else if (step.do === 'drbd-stuck') replicaOf(host, vmNamed(simulation, step.vm)).stuck = step.in;
	else if (step.do === 'drbd-hang') host.drbdHungUntilMs = nowMs + step.for;
	else return false;
	return true;
};

/** A new, empty disk: its metadata is created anew, everything must be resynced. */
const replaceDisk = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	const replica = replicaOf(host, vm);
	if (replica.up && replica.disk !== 'Diskless') {
		tell(simulation, 'world', 'ignored: the disk is in use');
		count(simulation, 'steps ignored');
		return;
	}
	replica.broken = false;
	const others = vm.replicas.filter((each) => each !== replica);
	if (others.every((each) => each.head !== vm.acknowledged)) vm.dataDestroyed = true;
	replica.current = '';
	replica.bitmap = '';
	replica.history = [];
	replica.head = -1;
	replica.crashedPrimary = false;
	replica.flags = { consistent: false, upToDate: false, primary: false, peerOutdated: false };
	changed(simulation, replica);
};

const deviceStep = (simulation: Simulation, host: SimHost, step: HostStep): boolean => {
	if (step.do === 'device') {
		host.devices.forEach((device, index) => {
			if (step.device !== undefined && step.device !== index) return;
			device.behaviour = step.behaviour;
			if (step.by !== undefined) device.byMs = step.by;
		});
	} else if (step.do === 'outlet-off') {
		const device = host.devices[step.device];
		assert(device !== undefined, `${host.name} has a device ${step.device}`);
		device.outlet = false;
		refreshPower(simulation, host, 'fault');
	} else return false;
	return true;
};

const requestOf = (step: HostStep, clock: (afterMs: number) => string): Request | null => {
	const by = 'person';
	switch (step.do) {
		case 'start':
			return { verb: 'start', vm: step.vm, by, acceptStale: step.acceptStale };
		case 'stop':
			return { verb: 'stop', vm: step.vm, by };
		case 'move':
			return { verb: 'move', vm: step.vm, to: step.to, by };
		case 'drill':
			return { verb: 'drill', vm: step.vm, to: step.to, hard: step.hard, by };
		case 'migrate':
			return { verb: 'migrate', vm: step.vm, to: step.to, by };
		case 'cancel-migration':
			return { verb: 'cancel-migration', vm: step.vm, by };
		case 'takeover':
			return { verb: 'takeover', confirmDead: step.confirmDead, by };
		case 'arm':
			return { verb: 'arm', by, reason: 'work is done' };
		case 'disarm':
			return { verb: 'disarm', by, reason: step.reason };
		case 'pause':
			return { verb: 'pause', by, reason: step.reason, forMs: step.for, until: clock(step.for) };
		case 'pause-end':
			return { verb: 'resume', by };
		case 'leave':
			return { verb: 'leave', by, how: step.how };
		case 'evacuate':
			return { verb: 'evacuate', host: step.target ?? step.host, cold: step.cold, by };
		case 'balance':
			return { verb: 'balance', by };
		case 'standby':
			return { verb: 'standby', on: step.on, by, reason: 'maintenance' };
		default:
			return null;
	}
};

/** A person who is not told looks at both copies and gives up the one that misses writes. */
const lesserCopy = (simulation: Simulation, vm: SimVm): SimHost => {
	const [one, other] = vm.replicas;
	const current = [one, other].filter((replica) => replica.head === vm.acknowledged);
	const [only] = current;
	if (only !== undefined && current.length === 1) return otherReplica(only).host;
	const running = simulation.hosts.find((host) => host.domains.has(vm.name));
	const usable = vm.replicas.find(({ disk }) => disk === 'UpToDate' || disk === 'Consistent');
	return peerOf(simulation, running ?? usable?.host ?? one.host);
};

const giveUp = (
	simulation: Simulation,
	step: Extract<HostStep, { do: 'resolve' }>,
	id: string,
): void => {
	const vm = vmNamed(simulation, step.vm);
	const victim =
		step.discard === null ? lesserCopy(simulation, vm) : hostNamed(simulation, step.discard);
	const keeper = peerOf(simulation, victim);
	vm.givenUp.add(victim.name);
	const request = { verb: 'resolve', vm: vm.name, discard: victim.name, by: 'person' } as const;
	ask(simulation, step.discard === null ? keeper : hostNamed(simulation, step.host), request, id);
};

/** What the host's wall clock shows, for people: `T` and seconds since the story began. */
const wallClock = (simulation: Simulation, host: SimHost, afterMs = 0): string =>
	`T${Math.floor((simulation.queue.nowMs + host.wallMs + afterMs) / 1000)}`;

const ask = (simulation: Simulation, host: SimHost, request: Request, id: string): void => {
	const { agent } = host;
	if (agent?.alive !== true) {
		tell(simulation, host.name, 'request refused: the agent does not run');
		return;
	}
	if (request.verb === 'start' && request.acceptStale) {
		vmNamed(simulation, request.vm).staleAccepted = true;
	}
	inAgent(agent, () =>
		agent.loop.post({ type: 'requested', id, request, at: wallClock(simulation, host) }),
	);
};

const applyGuest = (
	simulation: Simulation,
	vm: SimVm,
	does: 'poweroff' | 'reboot' | 'crash',
): void => {
	for (const host of simulation.hosts) {
		if (!host.hung && host.kernelUp) guestEnds(simulation, host, vm, does);
	}
};

const networkNamed = (simulation: Simulation, name: string): Network => {
	const network = simulation.networks.find((each) => each.name === name);
	assert(network !== undefined, `there is a network ${name}`);
	return network;
};

const cutOrMend = (
	simulation: Simulation,
	step: Extract<ScenarioStep, { do: 'cut' | 'mend' }>,
): void => {
	const network = networkNamed(simulation, step.network);
	const flags =
		step.traffic === 'all'
			? network.cutAll
			: step.traffic === 'replication'
				? network.cutReplication
				: network.cutHeartbeat;
	for (const host of simulation.hosts) {
		if (step.from === undefined || step.from === host.name) flags[host.index] = step.do === 'cut';
	}
	pathsChanged(simulation);
};

const degradeOrClear = (
	simulation: Simulation,
	step: Extract<ScenarioStep, { do: 'degrade' | 'clear' }>,
): void => {
	const network = networkNamed(simulation, step.network);
	for (const host of simulation.hosts) {
		if (step.from !== undefined && step.from !== host.name) continue;
		network.wire.impaired[host.index] = step.do === 'degrade' ? impairmentOf(step) : null;
	}
	if (network.replication)
		strainReplication(simulation, network, () => refreshAllReplication(simulation));
	pathsChanged(simulation);
};

const pathsChanged = (simulation: Simulation): void => {
	refreshAllReplication(simulation);
	simulation.hooks.hearingMayChange();
};
