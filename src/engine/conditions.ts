import { type Condition, condition } from '#src/alert/condition.ts';
import {
	type Raise,
	replicationConditions,
	takeoverCommand,
} from '#src/engine/conditions-replication.ts';
import {
	busy,
	joined,
	leavingOf,
	localOf,
	observedOf,
	presenceOf,
	recordOf,
	vmStateOf,
} from '#src/engine/draft.ts';
import { armConditions } from '#src/engine/conditions-arm.ts';
import { loadConditions } from '#src/engine/conditions-load.ts';
import { witnessConditions } from '#src/engine/conditions-witness.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { fencesLastHour, holdWords } from '#src/engine/fencing.ts';
import {
	attemptsOf,
	levelSuffix,
	levelToTry,
	powerOf,
	silentDevices,
	someLevelWorks,
} from '#src/engine/ladder.ts';
import { conflictOf, inContact } from '#src/engine/join.ts';
import { drainLeft } from '#src/engine/drain.ts';
import { handoverBlocker } from '#src/engine/handover.ts';
import { migrationOf } from '#src/engine/migration.ts';
import { idleReason, pauseOf } from '#src/engine/pause.ts';
import { deviceWrong, proofOf } from '#src/engine/peer.ts';
import { repairPeer, runsSomewhere } from '#src/engine/readiness.ts';
import { startAllowed } from '#src/engine/resource.ts';
import type { State } from '#src/engine/state.ts';
import { aloneBlocker, copyBlocker, couldTakeOver } from '#src/engine/takeover.ts';
import { aliveAtLastLook, arbiterOf, leaseInForce, witnessGrants } from '#src/engine/voters.ts';
import { startBlocker } from '#src/engine/vm.ts';
import { isConnected } from '#src/drbd/role.ts';

/** A tool that does not answer for this long is reported, ms. */
const toolSilentMs = 20_000;
/** Links and records need a moment after the agent's start before their absence is news, ms. */
const settleMs = 15_000;

const peerConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { peer, config } = state;
	const hold = holdWords(state.fencing.hold, nowMs);
	if (peer.status === 'lost')
		raise(
			'peer-lost',
			config.peer,
			'critical',
			`${config.peer} is silent on every link, its power is ${powerOf(state)?.state ?? 'unknown'}${hold === null ? '' : `; not fenced: ${hold}`}`,
			config.arbiter === 'person' || attemptsOf(state) > 0
				? takeoverCommand(state)
				: 'vmpair status -w',
		);
	if (peer.status === 'agent-down')
		raise(
			'peer-agent-down',
			config.peer,
			'critical',
			state.resources === null || state.resourcesUnknownSinceMs !== null
				? `${config.peer} is silent, and DRBD on ${config.self} does not say whether it is connected: nothing is failed over`
				: `the agent on ${config.peer} is silent but the host lives: nothing is failed over`,
			`on ${config.peer}: systemctl status vmpair`,
		);
	if (peer.status === 'out')
		raise(
			'peer-out',
			config.peer,
			'critical',
			`${config.peer} is out (${peer.proof?.kind ?? 'proven'}): nothing protects ${config.self} now`,
			repairPeer(state),
		);
	if (deviceWrong(state))
		raise(
			'fence-mapping-wrong',
			config.peer,
			'critical',
			`the fence device of ${config.peer} belongs to another host: it proves nothing and is not used`,
			'correct hosts.*.fence in vmpair.yaml and reload',
		);
	for (const { device, level } of silentDevices(state))
		raise(
			'fence-device-silent',
			device,
			peer.status === 'online' || someLevelWorks(state, nowMs) ? 'warning' : 'critical',
			`the fence device ${device} of ${config.peer}${levelSuffix(state, level)} does not answer`,
			`look at the management network and at ${device}; then: vmpair fence check`,
		);
	if (peer.document !== null && inContact(state) && peer.document.configDigest !== config.digest)
		raise(
			'config-drift',
			null,
			'warning',
			'the configurations of the two hosts differ where they must be equal',
			'vmpair config check on both hosts',
		);
	if (nowMs - state.startedAtMs < settleMs || peer.status !== 'online') return;
	for (const { link } of config.links) {
		const observed = peer.links.find((each) => each.link === link);
		const sinceMs = peer.linkSilentSinceMs[link] ?? state.startedAtMs;
		// A link that goes quiet with all others is the peer's death, and that has its own condition.
		if (observed?.state === 'up' || nowMs - sinceMs < config.timing.detectionMs) continue;
		raise(
			'link-silent',
			link,
			'warning',
			`no beats of ${config.peer} arrive on the link ${link}`,
			`look at the cable and addresses of ${link}`,
		);
	}
};

const fencingConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { config, persisted } = state;
	const open = persisted.openFence;
	if (open !== null)
		raise(
			'open-fence',
			open.target,
			'warning',
			`a power-off of ${open.target} was sent and its outcome is unknown: it may still land`,
			'wait until its power was read; vmpair status',
		);
	if (config.fencing === null) return;
	// The status that is asked after the last attempt has had its time.
	const trying = busy(state, config.peer, ['power-off']) || nowMs < state.fencing.notBeforeMs;
	if (!trying && levelToTry(state) === null && state.peer.status === 'lost')
		raise(
			'fence-failed',
			config.peer,
			'critical',
			`${config.peer} could not be switched off in ${attemptsOf(state)} attempts`,
			takeoverCommand(state),
		);
	if (fencesLastHour(state, nowMs) >= config.fencing.perHourMax)
		raise(
			'fence-limit',
			config.peer,
			'critical',
			`the limit of ${config.fencing.perHourMax} fences an hour is reached`,
			'find out why hosts are lost again and again',
		);
};

const emptyingConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { persisted } = state;
	const { self, peer } = state.config;
	const leaving = leavingOf(state);
	const goes = leaving === 'stop' ? 'stops its VMs' : 'hands its VMs over';
	if (leaving !== null)
		raise('leaving', self, 'info', `${self} ${goes} to leave`, 'vmpair status -w');
	if (persisted.standby !== null) {
		const { by, reason } = persisted.standby;
		const why = `${by}: ${reason || 'no reason given'}`;
		const both = state.peer.document?.standby === true;
		raise(
			'standby',
			self,
			both ? 'critical' : 'warning',
			both
				? `${self} and ${peer} are both in standby: nobody takes anything over`
				: `${self} is in standby (${why}): it takes nothing over`,
			`on ${self}: vmpair standby off`,
		);
	}
	for (const { vm, why, blocker } of drainLeft(state, nowMs))
		raise(
			'not-emptied',
			vm.vm,
			'warning',
			`${vm.vm} stays on ${self} (${why}): ${blocker}`,
			handoverBlocker(state, vm) === null
				? `vmpair move ${vm.vm} stops it here and starts it over there`
				: 'vmpair status',
		);
};

const hostConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { config } = state;
	armConditions(state, nowMs, raise);
	emptyingConditions(state, nowMs, raise);
	if (!state.stateFileFound && !joined(state))
		raise(
			'no-state-file',
			config.self,
			'warning',
			`${config.self} has no state file: it learns the records from ${config.peer} before it acts`,
			`start the agent on ${config.peer}`,
		);
	if (state.armBlockers !== null && state.armBlockers.length > 0)
		raise(
			'preflight',
			config.self,
			'warning',
			`${state.armBlockers.length} finding(s) on ${config.self}: ${state.armBlockers[0] ?? ''}`,
			'vmpair status shows all findings',
		);
	if (state.diskProblem !== null)
		raise(
			'state-disk',
			config.self,
			'critical',
			`the disk of the state file on ${config.self} takes nothing (${state.diskProblem}): nothing can be decided there`,
			`on ${config.self}: df, dmesg`,
		);
	const silentSince = [state.resourcesUnknownSinceMs, state.vmsUnknownSinceMs];
	const names = ['DRBD', 'the hypervisor'];
	silentSince.forEach((sinceMs, index) => {
		if (sinceMs === null || nowMs - sinceMs < toolSilentMs) return;
		raise(
			'tool-silent',
			`${config.self}-${index === 0 ? 'drbd' : 'hypervisor'}`,
			'critical',
			`${names[index] ?? ''} on ${config.self} does not answer: what it shows is unknown`,
			`look at ${config.self}: dmesg, load, disks`,
		);
	});
};

/** What a start may take before the reason it waits for is reported, ms. */
const startingMs = 20_000;

/** Nothing holds the start, and yet it does not run for this long, ms: longer than a create may take. */
const stuckMs = 200_000;

const stuck = (state: State, vm: EngineVm, nowMs: number): string | null => {
	const sinceMs = vmStateOf(state, vm.vm).notRunningSinceMs ?? nowMs;
	const presence = presenceOf(state, vm.vm);
	return nowMs - sinceMs > stuckMs ? `its domain is ${presence} and its start does not end` : null;
};

/** A hand-over may take the guest's shutdown time and this much more for demote, promote and create, ms. */
const handoverSlackMs = 180_000;

/** A guest that has left and does not go on over there either is down, ms: all the steps after xl take seconds. */
const migrationSlackMs = 45_000;

const migrationStuck = (state: State, vm: EngineVm, nowMs: number): string | null => {
	if (runsSomewhere(state, vm) !== null) return null;
	const goneMs = state.migrations[vm.vm]?.goneSinceMs ?? null;
	if (goneMs === null || nowMs - goneMs < migrationSlackMs) return null;
	return `its live migration does not end: ${state.config.peer} is ${state.peer.status}`;
};

const handoverStuck = (state: State, vm: EngineVm, nowMs: number): string | null => {
	const sinceMs = vmStateOf(state, vm.vm).journalSinceMs ?? nowMs;
	if (migrationOf(state, vm.resource) !== null) return migrationStuck(state, vm, nowMs);
	return nowMs - sinceMs > vm.shutdownMs + handoverSlackMs ? 'its hand-over does not end' : null;
};

/** Why a VM that shall run does not, as seen from here; null when it runs or is on its way. */
const downReason = (state: State, vm: EngineVm, nowMs: number): string | null => {
	// Before the first look at DRBD and the hypervisor nothing is known to be down.
	if (state.resources === null || state.vms === null) return null;
	const record = recordOf(state, vm.resource);
	const { self, peer } = state.config;
	// A host that lost its state file knows of no VM, and is no less alone with all of them for that.
	if (record === undefined && joined(state)) return null;
	if (record?.wanted === 'stopped') return null;
	if (record !== undefined && record.journal !== null) return handoverStuck(state, vm, nowMs);
	if (runsSomewhere(state, vm) !== null) return null;
	const { gaveUp } = vmStateOf(state, vm.vm);
	if (gaveUp !== null) return gaveUp;
	if (record?.owner === self) {
		const { notRunningSinceMs } = vmStateOf(state, vm.vm);
		// It ran when the hypervisor answered last; its silence is an alert of its own.
		if (presenceOf(state, vm.vm) === 'unknown' && notRunningSinceMs === null) return null;
		if (presenceOf(state, vm.vm) === 'paused' && state.vms.value[vm.vm]?.neverRan !== true)
			return 'it is paused';
		if (!startAllowed(state, vm)) return 'automatic starts are off';
		if (!joined(state)) return aloneBlocker(state, vm.resource, nowMs);
		// On its way up: others start first, its disk is promoted. Only when that lasts it is news.
		const waitedMs = nowMs - (notRunningSinceMs ?? nowMs);
		if (waitedMs < startingMs) return null;
		return startBlocker(state, vm, nowMs) ?? stuck(state, vm, nowMs);
	}
	const { status } = state.peer;
	if (status === 'online' || status === 'unknown' || status === 'suspect') return null;
	const observed = observedOf(state, vm.resource);
	// DRBD still hears it in use there: it runs, only its agent is silent.
	if (observed !== undefined && isConnected(observed) && observed.peerRole === 'Primary')
		return null;
	// It lives, and says itself what is down there.
	if (proofOf(state, nowMs) === null && aliveAtLastLook(state, nowMs)) return null;
	if (!joined(state)) return aloneBlocker(state, vm.resource, nowMs);
	if (!couldTakeOver(state, vm.resource)) return copyBlocker(state, vm.resource);
	if (proofOf(state, nowMs) === null)
		return status === 'left'
			? `it was stopped with ${peer}, which is away on purpose`
			: `there is no proof that ${peer} is off`;
	const undecided = undecidedReason(state, nowMs);
	if (undecided !== null) return undecided;
	if (state.persisted.standby !== null) return `${self} is in standby: it takes nothing over`;
	const idle = idleReason(state);
	return idle === null ? null : `${idle}: nothing is taken over`;
};

/** The other host owns it, as far as is known here, and is not proven out: it may run there. */
const mayRun = (state: State, vm: EngineVm, nowMs: number): boolean =>
	(recordOf(state, vm.resource)?.owner !== state.config.self || !joined(state)) &&
	proofOf(state, nowMs) === null;

/** Why a host with a proof may not act on it yet: with a third voter the peer may have acted there before it died. */
const undecidedReason = (state: State, nowMs: number): string | null => {
	if (!leaseInForce(state)) return null;
	if (arbiterOf(state) === 'changing')
		return 'both hosts were about to change the arbiter, and only both can end that';
	return witnessGrants(state, nowMs)
		? null
		: 'the witness grants nothing, and only it knows which copy is the newest';
};

const downCommand = (state: State, vm: EngineVm, nowMs: number): string => {
	const record = recordOf(state, vm.resource);
	if (record === undefined)
		return `start the agent on ${state.config.peer}; see the runbook no-state-file`;
	if (vmStateOf(state, vm.vm).gaveUp !== null) return `vmpair start ${vm.vm}`;
	if (proofOf(state, nowMs) !== null && undecidedReason(state, nowMs) !== null)
		return `bring the witness or ${state.config.peer} back; see the runbook vm-down`;
	if (proofOf(state, nowMs) !== null && pauseOf(state) !== null) return 'vmpair resume';
	const mine = record.owner === state.config.self && joined(state);
	return mine ? 'vmpair status -w' : takeoverCommand(state);
};

const vmConditions = (state: State, vm: EngineVm, nowMs: number, raise: Raise): void => {
	const conflict = conflictOf(state, vm.resource);
	if (conflict !== null)
		raise(
			'record-conflict',
			vm.vm,
			'critical',
			`${vm.vm}: ${conflict}`,
			`vmpair split-brain show ${vm.vm}; see the runbook record-conflict`,
		);
	if ((localOf(state, vm.resource)?.selfExcludedAt ?? null) !== null)
		raise(
			'copy-excluded',
			vm.vm,
			'warning',
			`the copy of ${vm.vm} on this host misses writes`,
			`drbdadm status ${vm.resource}`,
		);
	const down = downReason(state, vm, nowMs);
	if (down !== null)
		raise(
			'vm-down',
			vm.vm,
			'critical',
			`${vm.vm} shall run and ${mayRun(state, vm, nowMs) ? 'may be down' : 'does not'}: ${down}`,
			downCommand(state, vm, nowMs),
		);
	replicationConditions(state, vm, nowMs, raise);
};

/**
 * Everything that is wrong now. Conditions fire and resolve by the difference of two lists.
 * @param nowMs monotonic, ms.
 */
export const conditions = (state: State, nowMs: number): readonly Condition[] => {
	const list: Condition[] = [];
	const raise: Raise = (name, subject, severity, summary, next) => {
		list.push(condition({ name, subject, pairId: state.config.pairId, severity, summary, next }));
	};
	hostConditions(state, nowMs, raise);
	peerConditions(state, nowMs, raise);
	fencingConditions(state, nowMs, raise);
	witnessConditions(state, nowMs, raise);
	loadConditions(state, nowMs, raise);
	for (const vm of state.config.vms) vmConditions(state, vm, nowMs, raise);
	return list;
};
