import {
	busy,
	changeVmState,
	type Draft,
	note,
	noteRun,
	observedOf,
	presenceOf,
	recordOf,
	selfInSync,
	start,
	vmOf,
	vmStateOf,
	waiting,
	wakeBy,
	writeRecord,
	freshSight,
	leavingOf,
} from '#src/engine/draft.ts';
import { voteBlocker } from '#src/engine/lease.ts';
import { migrationLeft } from '#src/engine/migration.ts';
import { promoteBlocker, startAllowed } from '#src/engine/resource.ts';
import { byPriority, type EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import { isConnected, isFrozen, lowestDisk } from '#src/drbd/role.ts';
import type { VmObservation } from '#src/ports.ts';

/** A domain that vanished without a word may be a reboot by somebody else's toolstack: those take 1 to 2 s. */
const vanishPatienceMs = 3000;

const starting = (state: State, vm: string): boolean =>
	busy(state, vm, ['create-vm', 'unpause-vm']) || state.vms?.value[vm]?.neverRan === true;

const running = (state: State, vm: string): boolean =>
	presenceOf(state, vm) === 'running' && !starting(state, vm);

/** How long a VM waits for those that come before it, ms. */
const awaitMs = 120_000;

/** VMs that come before this one and are still on their way here. */
const awaited = (state: State, vm: EngineVm, nowMs: number): string | null => {
	for (const name of vm.after) {
		const other = vmOf(state, name);
		if (other === undefined || !startAllowed(state, other) || running(state, name)) continue;
		// One that does not get up for long has its own alert and holds nobody back any more.
		const sinceMs = vmStateOf(state, name).notRunningSinceMs ?? nowMs;
		if (nowMs - sinceMs < awaitMs) return name;
	}
	return null;
};

const memoryUnderWayMib = (state: State): number =>
	state.config.vms
		.filter(
			(each) => busy(state, each.vm, ['create-vm']) && presenceOf(state, each.vm) === 'absent',
		)
		.reduce((sum, each) => sum + each.memoryMib, 0);

/** Why the VM is not started now, as a sentence; null when it can be. */
export const startBlocker = (state: State, vm: EngineVm, nowMs: number): string | null => {
	const blocker = promoteBlocker(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	if (blocker !== null) return blocker;
	if (!freshSight(state)) return 'this agent was stalled: it looks again first';
	const vote = voteBlocker(state, vm.resource, nowMs);
	if (vote !== null) return vote;
	if (observed?.role !== 'Primary') return 'its resource is being promoted';
	if (isFrozen(observed)) return 'DRBD holds back its writes';
	if (migrationLeft(state, vm.vm)) return 'what is left of its migration is taken away first';
	const first = awaited(state, vm, nowMs);
	if (first !== null) return `${first} starts before it`;
	const freeMib = state.freeMemoryMib - memoryUnderWayMib(state) - state.config.reservedMemoryMib;
	if (freeMib < vm.memoryMib)
		return `it needs ${vm.memoryMib} MiB and ${Math.max(0, freeMib)} MiB are free`;
	return null;
};

const changeHold = (draft: Draft, vm: EngineVm, hold: string | null): void => {
	if (vmStateOf(draft.state, vm.vm).hold === hold) return;
	changeVmState(draft, vm.vm, { hold });
	if (hold !== null) note(draft, 'info', 'VM start waits', { vm: vm.vm, reason: hold });
};

/** Starts what this host owns and is wanted: by priority, `after` first, memory checked, a few at a time. */
export const startRule = (draft: Draft): void => {
	const due: EngineVm[] = [];
	for (const vm of draft.state.config.vms) {
		const { state } = draft;
		if (presenceOf(state, vm.vm) !== 'absent' || starting(state, vm.vm)) continue;
		if (startAllowed(state, vm) && leavingOf(state) === null) due.push(vm);
		else changeHold(draft, vm, null);
	}
	due.sort(byPriority);
	for (const vm of due) {
		const { state } = draft;
		if (busy(state, vm.vm, ['destroy-vm', 'shutdown-vm'])) continue;
		const { vanishedMs } = vmStateOf(state, vm.vm);
		if (vanishedMs !== null && draft.nowMs < vanishedMs + vanishPatienceMs) {
			wakeBy(draft, vanishedMs + vanishPatienceMs);
			continue;
		}
		const underWay = state.config.vms.filter((each) => busy(state, each.vm, ['create-vm']));
		const blocker =
			startBlocker(state, vm, draft.nowMs) ??
			(underWay.length >= state.config.startsAtOnce ? 'others start first' : null);
		changeHold(draft, vm, blocker);
		if (blocker === null) startVm(draft, vm);
		else wakeForAwaited(draft, vm);
	}
};

/** One that does not get up holds nobody back for longer than its time. */
const wakeForAwaited = (draft: Draft, { after }: EngineVm): void => {
	for (const name of after) {
		const sinceMs = vmStateOf(draft.state, name).notRunningSinceMs;
		if (sinceMs !== null) wakeBy(draft, sinceMs + awaitMs);
	}
};

const startVm = (draft: Draft, vm: EngineVm): void => {
	const { state, nowMs } = draft;
	const record = recordOf(state, vm.resource);
	if (record === undefined) return;
	if (waiting(draft, 'create-vm', vm.vm)) return;
	const { restarting, restartsMs: before } = vmStateOf(state, vm.vm);
	const recentMs = before.filter((atMs) => nowMs - atMs < vm.restartWindowMs);
	if (restarting && recentMs.length >= vm.restartsMax) {
		const reason = `${recentMs.length} restarts within ${Math.round(vm.restartWindowMs / 60_000)} min did not last`;
		changeVmState(draft, vm.vm, { gaveUp: reason, ordered: false, restartsMs: recentMs });
		note(draft, 'error', 'VM start given up', { vm: vm.vm, reason });
		return;
	}
	if (!start(draft, { type: 'create-vm', vm: vm.vm, generation: record.generation })) return;
	const restartsMs = restarting ? [...recentMs, nowMs] : recentMs;
	changeVmState(draft, vm.vm, { restartsMs, restarting: true, vanishedMs: null });
	note(draft, 'warn', 'start issued', { vm: vm.vm, restarts: restartsMs.length });
};

/**
 * VMs are created paused (V18). A domain whose vCPUs never ran is our own create, also one that an
 * earlier run of the agent did not finish; it is let run only while the record still names this host
 * and what let it be created still holds. Any other pause is a person's and is never undone.
 */
export const unpauseRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { state } = draft;
		const domain = state.vms?.value[vm.vm];
		const observed = observedOf(state, vm.resource);
		const record = recordOf(state, vm.resource);
		const { unpauseOrdered } = vmStateOf(state, vm.vm);
		if (presenceOf(state, vm.vm) !== 'paused' || domain === undefined) continue;
		if (!domain.neverRan && !unpauseOrdered) continue;
		// Also on a host that leaves: one that it has created goes on, and is then handed over as any other.
		if (record === undefined || !startAllowed(state, vm)) continue;
		if (promoteBlocker(state, vm.resource) !== null || !freshSight(state)) continue;
		if (voteBlocker(state, vm.resource, draft.nowMs) !== null) continue;
		if (observed?.role !== 'Primary' || isFrozen(observed)) continue;
		if (busy(state, vm.vm, ['create-vm', 'destroy-vm'])) continue;
		// A copy that has come alive goes on when DRBD lets only one host be Primary again.
		if (record.journal?.kind === 'migration' && state.twoPrimaries[vm.resource] !== false) continue;
		start(draft, { type: 'unpause-vm', vm: vm.vm, generation: record.generation });
	}
};

/** What a guest did by itself: powered off is wanted stopped, a reboot or crash is created again. */
export const endedRule = (draft: Draft): void => {
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const observed = state.vms?.value[vm];
		const record = recordOf(state, resource);
		if (observed?.presence !== 'stopped' || record?.owner !== state.config.self) continue;
		if (observed.reason === 'suspend' || busy(state, vm, ['destroy-vm'])) continue;
		const poweredOff = observed.reason === 'poweroff' || observed.reason === null;
		// A power-off that we asked for is not the guest's own wish, even when the request was taken back.
		const asked = vmStateOf(state, vm).shutdownAskedMs !== null;
		if (
			poweredOff &&
			!asked &&
			record.wanted === 'running' &&
			record.journal?.kind !== 'handover' &&
			leavingOf(state) === null
		) {
			writeRecord(draft, resource, { wanted: 'stopped' }, 'the guest powered itself off');
		}
		if (start(draft, { type: 'destroy-vm', vm, generation: record.generation })) {
			// A guest that reboots was well: only crashes and failed starts use the restart budget up.
			if (observed.reason === 'reboot') changeVmState(draft, vm, { restarting: false });
			note(draft, poweredOff || observed.reason === 'reboot' ? 'info' : 'warn', 'guest ended', {
				vm,
				reason: observed.reason,
			});
		}
	}
};

/** Since when each VM runs here, and since when one that this host is to run does not. */
export const sinceRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { state } = draft;
		const presence = presenceOf(state, vm.vm);
		// What the hypervisor does not say now is as it was.
		if (presence === 'unknown') continue;
		const runs = presence === 'running';
		const down = startAllowed(state, vm) && !runs;
		const { notRunningSinceMs, runsSinceMs } = vmStateOf(state, vm.vm);
		if (runs !== (runsSinceMs !== null)) {
			changeVmState(draft, vm.vm, { runsSinceMs: runs ? draft.nowMs : null });
			noteRun(draft, vm.resource, runs);
		}
		if (runs) changeVmState(draft, vm.vm, { restarting: true });
		if (down !== (notRunningSinceMs !== null))
			changeVmState(draft, vm.vm, { notRunningSinceMs: down ? draft.nowMs : null });
	}
};

/** True when this host shall bring the VM down: stopped by a person, or handed over. */
const stopDue = (state: State, vm: EngineVm): boolean => {
	const record = recordOf(state, vm.resource);
	if (record?.owner !== state.config.self) return false;
	if (record.journal?.kind === 'migration') return false;
	if (record.journal !== null)
		return record.journal.from === state.config.self && record.journal.to !== state.config.self;
	return record.wanted === 'stopped' || leavingOf(state) === 'stop';
};

/** A VM whose own disk failed and whose good copy is out of reach only sees I/O errors: it is released (V16). */
export const disklessRule = (draft: Draft): void => {
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const observed = observedOf(state, resource);
		const record = recordOf(state, resource);
		const presence = presenceOf(state, vm);
		if (record?.owner !== state.config.self || observed === undefined) continue;
		if (presence !== 'running' && presence !== 'paused') continue;
		if (selfInSync(state, resource) || isConnected(observed)) continue;
		if (lowestDisk(observed) !== 'Diskless' && lowestDisk(observed) !== 'Failed') continue;
		if (start(draft, { type: 'destroy-vm', vm, generation: record.generation }))
			note(draft, 'error', 'a VM without any disk is destroyed; the other host has the good copy', {
				vm,
			});
	}
};

/** Stops gracefully: asks the guest, waits its time, then destroys. */
export const stopRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { state, nowMs } = draft;
		const presence = presenceOf(state, vm.vm);
		const record = recordOf(state, vm.resource);
		const askedMs = vmStateOf(state, vm.vm).shutdownAskedMs;
		const suspended = presence === 'stopped' && state.vms?.value[vm.vm]?.reason === 'suspend';
		const alive = presence === 'running' || presence === 'paused' || suspended;
		if (record === undefined || !alive || !stopDue(state, vm)) {
			const over = askedMs !== null && (presence === 'absent' || nowMs - askedMs > vm.shutdownMs);
			if (over) changeVmState(draft, vm.vm, { shutdownAskedMs: null });
			else if (askedMs !== null) wakeBy(draft, askedMs + vm.shutdownMs + 1);
			continue;
		}
		if (busy(state, vm.vm, ['create-vm', 'unpause-vm', 'destroy-vm'])) continue;
		const hard = record.journal?.kind === 'handover' && record.journal.drill === 'destroy';
		if (presence !== 'running' || hard) {
			// A paused or suspended guest can't hear the request; a hard drill does to it what a dead host does.
			start(draft, { type: 'destroy-vm', vm: vm.vm, generation: record.generation });
		} else if (askedMs === null) {
			changeVmState(draft, vm.vm, { shutdownAskedMs: nowMs });
			start(draft, { type: 'shutdown-vm', vm: vm.vm, generation: record.generation });
			wakeBy(draft, nowMs + vm.shutdownMs);
		} else if (nowMs - askedMs >= vm.shutdownMs) {
			if (start(draft, { type: 'destroy-vm', vm: vm.vm, generation: record.generation }))
				note(draft, 'warn', 'the guest did not shut down in its time: destroyed', { vm: vm.vm });
		} else wakeBy(draft, askedMs + vm.shutdownMs);
	}
};

/** Follows domains between two observations: what vanished, what somebody started by hand. */
export const domainsChanged = (
	draft: Draft,
	before: Readonly<Record<string, VmObservation>> | null,
): void => {
	const now = draft.state.vms?.value ?? {};
	for (const { vm, resource } of draft.state.config.vms) {
		const was = before?.[vm];
		const is = now[vm];
		const record = recordOf(draft.state, resource);
		if (record?.owner !== draft.state.config.self) continue;
		const due = stopDueByName(draft.state, vm) || record.journal?.kind === 'migration';
		if (was !== undefined && is === undefined && was.presence !== 'stopped' && !due) {
			if (was.presence === 'dying' || busy(draft.state, vm, ['destroy-vm'])) continue;
			changeVmState(draft, vm, { vanishedMs: draft.nowMs, unpauseOrdered: false });
			note(draft, 'warn', 'a VM vanished without a reason', { vm });
		}
		if (is?.presence !== 'running' || was?.presence === 'running') continue;
		changeVmState(draft, vm, { ordered: false, unpauseOrdered: false, hold: null });
		note(draft, 'info', 'VM runs', { vm });
		if (before === null || was !== undefined) continue;
		if (record.wanted === 'running' || record.journal !== null) continue;
		writeRecord(draft, resource, { wanted: 'running' }, 'somebody started it by hand');
	}
};

const stopDueByName = (state: State, vm: string): boolean => {
	const config = vmOf(state, vm);
	return config !== undefined && stopDue(state, config);
};
