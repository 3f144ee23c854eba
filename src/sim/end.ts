import type { Condition } from '#src/alert/condition.ts';
import { conditions } from '#src/engine/conditions.ts';
import { isWell, newestRecord } from '#src/sim/alive.ts';
import { statusView } from '#src/engine/view.ts';
import { checkMigrationEnd } from '#src/sim/checker-migration.ts';
import { someLevelIsRead } from '#src/sim/arbiter-due.ts';
import { settleAll } from '#src/sim/data.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { hostClock, peerOf, tell, violate } from '#src/sim/model.ts';
import type { Scenario } from '#src/sim/scenario.ts';
import type { StepVerb } from '#src/sim/step.ts';
import { canTell, steadyMs, seenWithinMs } from '#src/sim/told.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';
import type { ResourceRecord } from '#src/store/record.ts';

/** What must be true when faults and repairs are over and the pair had its time: data, liveness, alerts. */

/** After these, a VM that stays down with an alert is right: somebody has to decide. */
const needsPerson: ReadonlySet<StepVerb> = new Set([
	'disk-fail',
	'state-lose',
	'state-restore',
	'operator-promote',
	'create-fails',
	'guest',
	'disarm',
	'stop',
	'leave',
	'standby',
	'takeover',
	'move',
	'drill',
]);

/** Somebody did what only a person can put right, or can not be expected of the pair at all. */
export const isForPeople = ({ world, steps }: Scenario): boolean =>
	world.arbiter === 'person' ||
	world.memoryMib < 8192 ||
	world.vms.reduce((sum, { memoryMib }) => sum + memoryMib, 0) > world.memoryMib ||
	steps.some((step) => needsPerson.has(step.do));

/** After one of these alone, with all that a proof needs, nothing may stay down. */
const needsNobody: ReadonlySet<StepVerb> = new Set([
	'power-cut',
	'crash',
	'hang',
	'agent-stop',
	'agent-crash',
	'cut',
	'store-full',
	'thread-stall',
	'loop-stall',
]);

/** One fault that stays: the pair has what it needs for a proof of its own, so every VM runs in the end. */
const isProvable = ({ world, steps }: Scenario): boolean => {
	if (world.begin !== 'settled' || !steps.every((step) => needsNobody.has(step.do))) return false;
	if (world.arbiter === 'witness')
		return (world.witness?.watchdogs ?? world.hosts).length === world.hosts.length;
	const dies = steps.some((step) => step.do === 'power-cut');
	const honest = Object.values(world.devices)
		.flat()
		.every((device) => device.behaviour === 'ok' && !(dies && device.diesWithHost));
	const bmcToo = steps.some((step) => step.do === 'power-cut' && step.bmcToo);
	return world.arbiter === 'fencing' && honest && !bmcToo;
};

/** `repaired`: people put everything right; else one fault stays, and only what it leaves possible is asked for. */
export const checkEnd = (simulation: Simulation, scenario: Scenario, repaired: boolean): void => {
	settleAll(simulation);
	const excused = isForPeople(scenario) || (!repaired && !isProvable(scenario));
	const open = openConditions(simulation);
	for (const vm of simulation.vms) {
		checkDataAtEnd(simulation, vm, scenario);
		checkAlive(simulation, vm, open, { excused, repaired });
		checkReleased(simulation, vm);
		checkTogether(simulation, vm, scenario);
		checkStatus(simulation, vm);
		checkMigrationEnd(simulation, vm);
	}
};

/** What people are told on either host. A planted bug tells nothing. */
const openConditions = (simulation: Simulation): readonly Condition[] =>
	simulation.mutation === 'idle-and-mute'
		? []
		: simulation.hosts.flatMap(({ agent }) =>
				agent?.alive === true
					? conditions(agent.loop.state, hostClock(simulation, agent.host))
					: [],
			);

const checkDataAtEnd = (simulation: Simulation, vm: SimVm, scenario: Scenario): void => {
	if (scenario.steps.some((step) => step.do === 'disk-fail' || step.do === 'disk-replace')) return;
	if (vm.replicas.some((replica) => replica.head === vm.acknowledged)) return;
	violate(simulation, 'no-loss', `no copy of ${vm.name} holds every acknowledged write at the end`);
};

/** The VM was on its way to this host, and did not turn back. */
const awaitsSource = (host: SimHost, vm: SimVm): boolean => {
	const journal = durableRecord(host, vm)?.journal;
	return journal?.kind === 'migration' && journal.phase === 'forth' && journal.to === host.name;
};

/** A frozen copy that the other host has replaced does not stay, or somebody is told to reboot its host. */
const checkReleased = (simulation: Simulation, vm: SimVm): void => {
	for (const replica of vm.replicas) {
		const { host } = replica;
		const owner = durableRecord(host, vm)?.owner;
		if (replica.role !== 'Primary' || !replica.frozen || owner === host.name) continue;
		if (host.agent?.alive !== true || owner === undefined) continue;
		// Not replaced yet: only the source of its migration turns back, and that one is off. People are told of the VM.
		if (awaitsSource(host, vm) && !peerOf(simulation, host).powered) continue;
		const told = conditions(host.agent.loop.state, hostClock(simulation, host));
		const own = told.filter((each) => each.subject === vm.name).map((each) => each.name);
		if (own.includes('release-stuck')) continue;
		// Which record counts is asked of people; until they have said it, nobody knows that this copy is replaced.
		if (own.includes('record-conflict')) continue;
		violate(
			simulation,
			'liveness',
			`the frozen copy of ${vm.name} on ${host.name} is not released`,
		);
	}
};

/** After these a copy may rightly stay apart although a person has spoken. */
const keepsApart: ReadonlySet<StepVerb> = new Set([
	'disk-fail',
	'state-lose',
	'state-restore',
	'leave',
]);

/** Copies that a person was asked about, and has decided, are connected again; else somebody is told. */
const checkTogether = (simulation: Simulation, vm: SimVm, scenario: Scenario): void => {
	const { hosts } = simulation;
	if (hosts.some((host) => host.agent?.alive !== true)) return;
	if (!vm.replicas.some(({ up, connection }) => up && connection === 'StandAlone')) return;
	const told = hosts.flatMap(({ agent }) =>
		agent === null ? [] : conditions(agent.loop.state, hostClock(simulation, agent.host)),
	);
	if (!told.some((each) => each.subject === vm.name && each.name.startsWith('split-brain')))
		violate(simulation, 'I10', `the copies of ${vm.name} stand apart and nobody is told`);
	const decided = scenario.steps.some((step) => step.do === 'resolve');
	// A copy that holds every write, but that DRBD itself calls outdated, takes a force that only a person uses.
	const usable = vm.replicas.some(
		({ head, disk }) => head === vm.acknowledged && (disk === 'UpToDate' || disk === 'Consistent'),
	);
	if (decided && usable && !scenario.steps.some((step) => keepsApart.has(step.do)))
		violate(
			simulation,
			'liveness',
			`the copies of ${vm.name} stand apart although a person decided`,
		);
};

/** Two records that cannot be merged: only a person decides between them. */
const isHeld = ({ hosts }: Simulation, { engine }: SimVm): boolean =>
	hosts.some(({ store }) => {
		if (store.content === null || store.content === 'corrupt') return false;
		return (store.content.resources[engine.resource]?.held ?? null) !== null;
	});

/**
 * A power-off landed late, on a host that was back already and gave its data to the other copy: that one is not whole,
 * or what counts it in again is off as well. Only a person switches it on again, and nobody can prevent that
 * (docs/protocol.md, section 6).
 */
const isShotMidResync = (vm: SimVm): boolean =>
	vm.replicas.some(({ host }) => host.shotLate && !host.powered) &&
	vm.replicas.some(
		({ host, disk }) =>
			host.powered &&
			(disk === 'Inconsistent' || durableRecord(host, vm)?.inSync.includes(host.name) === false),
	);

/** An agent that has started has a vote, and vouches for its watchdog, within this time, ms. */
const vouchesWithinMs = 5000;

/**
 * A power-off landed late, on a host that had just booted and had not yet said in the witness that its watchdog is
 * armed. Its silence proves nothing, and no device tells that it is off: nobody but a person can.
 */
const isShotUnproven = ({ hosts, witness }: Simulation, record: ResourceRecord): boolean =>
	hosts.some(
		(host) =>
			host.name === record.owner &&
			host.shotLate &&
			!host.powered &&
			(host.fencedAtMs.at(-1) ?? 0) - host.agentSinceMs < vouchesWithinMs &&
			!someLevelIsRead(host) &&
			(witness?.record?.hosts[host.name]?.watchdogMs ?? null) === null,
	);

/** Liveness and I10: after one quiet time the VM runs, or somebody is told why not and what to do. */
const checkAlive = (
	simulation: Simulation,
	vm: SimVm,
	open: readonly Condition[],
	{ excused, repaired }: { readonly excused: boolean; readonly repaired: boolean },
): void => {
	if (isWell(simulation, vm)) return;
	const { nowMs } = simulation.queue;
	// It has just lost its peer, as it may for ever on a fault that stays: what is told of it comes with the next looks.
	if (
		!repaired &&
		vm.replicas.some(
			({ frozen, frozenChangedMs }) => frozen && nowMs - frozenChangedMs < seenWithinMs,
		)
	)
		return;
	// Both hosts are dead, and nobody repairs them: there is nobody who could tell.
	if (!repaired && simulation.hosts.every(({ agent }) => agent?.alive !== true)) return;
	const record = newestRecord(simulation, vm);
	if (record === undefined || record.wanted === 'stopped') return;
	for (const each of open)
		tell(simulation, 'world', `open: ${each.key} (${each.severity}): ${each.summary}`);
	// Where the owner's agent is dead nobody sees its VMs: that this is so is what a person has to know.
	const blind = (each: Condition) =>
		each.name === 'peer-agent-down' && each.subject === record.owner;
	const about = open.filter(
		(each) => each.severity !== 'info' && (each.subject === vm.name || blind(each)),
	);
	if (!about.some(({ next }) => next !== ''))
		violate(simulation, 'I10', `${vm.name} is down or frozen and nobody is told what to do`);
	else if (
		!excused &&
		!isHeld(simulation, vm) &&
		(repaired || !(isShotMidResync(vm) || isShotUnproven(simulation, record)))
	)
		violate(
			simulation,
			'liveness',
			`${vm.name} is down or frozen although nothing stands in its way`,
		);
};

/** I10: status says of a VM what is true, or that it does not know. */
const checkStatus = (simulation: Simulation, vm: SimVm): void => {
	const on = simulation.hosts.filter((host) => isRunnable(host, vm)).map(({ name }) => name);
	for (const { agent } of simulation.hosts) {
		if (agent?.alive !== true || agent.stopped || agent.loopStalled || agent.host.hung) continue;
		if (simulation.queue.nowMs - agent.host.agentSinceMs < steadyMs) continue;
		const view = statusView(agent.loop.state, hostClock(simulation, agent.host));
		const shown = view.vms.find((each) => each.vm === vm.name);
		if (shown === undefined) continue;
		const wrong =
			shown.state === 'running'
				? !on.includes(shown.runsOn ?? '')
				: (shown.state === 'down' || shown.state === 'stopped') && on.length > 0;
		if (wrong)
			violate(
				simulation,
				'I10',
				`status on ${agent.host.name} says that ${vm.name} is ${shown.state} (${shown.runsOn ?? 'nowhere'}), and it runs on ${on.join() || 'none'}`,
			);
	}
};

/** Since when VMs that shall run are lost and somebody could tell, but nobody does; by name. */
export type Untold = Map<string, number>;

/** I10 while faults go on: a lost VM is reported within this time by an agent that can see it. */
const reportedWithinMs = 60_000;

/** Looks for VMs that are lost and that nobody is told of; call it every few seconds. */
export const watchLost = (simulation: Simulation, untold: Untold): void => {
	const { nowMs } = simulation.queue;
	for (const vm of simulation.vms) {
		const record = newestRecord(simulation, vm);
		const shall = record !== undefined && record.wanted === 'running' && record.journal === null;
		if (!shall || isWell(simulation, vm)) {
			untold.delete(vm.name);
			continue;
		}
		const able = simulation.hosts.some((host) => canTell(simulation, host));
		if (!able || isTold(simulation, vm)) untold.set(vm.name, nowMs);
		const sinceMs = untold.get(vm.name) ?? nowMs;
		untold.set(vm.name, sinceMs);
		if (nowMs - sinceMs < reportedWithinMs) continue;
		violate(simulation, 'I10', `${vm.name} is lost for a minute and nobody is told`);
		untold.set(vm.name, nowMs);
	}
};

const isTold = (simulation: Simulation, vm: SimVm): boolean =>
	openConditions(simulation).some(
		({ severity, subject }) =>
			severity !== 'info' && (subject === vm.name || severity === 'critical'),
	);
