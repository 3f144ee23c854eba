import { joined, observedOf, presenceOf, recordOf } from '#src/engine/draft.ts';
import { conflictOf, inContact, together } from '#src/engine/join.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { someLevelWorks } from '#src/engine/ladder.ts';
import { pauseOf, pauseWords } from '#src/engine/pause.ts';
import { deviceWrong } from '#src/engine/peer.ts';
import { splitOf } from '#src/engine/split.ts';
import type { State } from '#src/engine/state.ts';
import { arbiterOf, leaseInForce } from '#src/engine/voters.ts';
import { isConnected, isEstablishedUpToDate, isResyncing } from '#src/drbd/role.ts';
import type { HostName } from '#src/ports.ts';

/** Would the VM run again if the host it is on died now? */
export interface Readiness {
	readonly ready: boolean;
	/** Where it would run. */
	readonly to: HostName | null;
	/** Why not; empty when ready. */
	readonly blocker: string;
	/** The next command or step; empty when there is none. */
	readonly next: string;
}

/** What keeps every failover from working, with the next step; null when nothing does. */
export const pairBlocker = (
	state: State,
	nowMs: number,
): { readonly blocker: string; readonly next: string } | null => {
	const { peer, config, persisted } = state;
	if (!joined(state))
		return {
			blocker: `${config.self} has not met ${config.peer} since it booted`,
			next: `start ${config.peer} and its agent; vmpair status there`,
		};
	if (!persisted.pair.armed)
		return {
			blocker: `the pair is disarmed by ${persisted.pair.by}: ${persisted.pair.reason || 'no reason given'}`,
			next: 'vmpair arm',
		};
	const pause = pauseOf(state);
	if (pause !== null)
		return { blocker: `the pair is ${pauseWords(state, pause)}`, next: 'vmpair resume' };
	if (state.diskProblem !== null)
		return {
			blocker: `the disk of the state file on ${config.self} takes nothing`,
			next: `on ${config.self}: df, dmesg`,
		};
	if (!inContact(state))
		return { blocker: `${config.peer} is ${peer.status}`, next: `look at ${config.peer}` };
	if (peer.document?.configDigest !== config.digest)
		return {
			blocker: 'the configurations of the two hosts differ',
			next: 'vmpair config check on both hosts',
		};
	if (arbiterOf(state) === 'person')
		return {
			blocker: 'the arbiter is a person: nothing fails over by itself',
			next: `after a death: vmpair takeover --confirm-dead HOST`,
		};
	if (deviceWrong(state))
		return {
			blocker: `the fence device of ${config.peer} belongs to another host`,
			next: 'correct hosts.*.fence in vmpair.yaml',
		};
	if (arbiterOf(state) === 'changing')
		return { blocker: 'the arbiter is being changed', next: 'wait: vmpair status' };
	const silenceProves = (peer.document.witness?.watchdogMs ?? null) !== null;
	if (leaseInForce(state) && !state.witness.usable)
		return { blocker: 'the witness grants nothing', next: 'see the runbook witness-unusable' };
	if (leaseInForce(state) && silenceProves) return openFenceBlocker(state);
	if (!someLevelWorks(state, nowMs))
		return {
			blocker: `the fence devices of ${config.peer} do not answer`,
			next: `look at the management network and the BMC of ${config.peer}`,
		};
	return openFenceBlocker(state);
};

const openFenceBlocker = ({ persisted, peer }: State): { blocker: string; next: string } | null => {
	const open = persisted.openFence ?? peer.document?.openFence ?? null;
	if (open === null) return null;
	return { blocker: `a power-off of ${open.target} may still land`, next: 'wait: vmpair status' };
};

/** What brings a peer that is out back. */
export const repairPeer = ({ config }: State): string =>
	`repair ${config.peer} and power it on; it resyncs and stands by`;

/** What brings replication back; with the peer out or silent nothing may be wrong with the link. */
export const replicationNext = (state: State): string => {
	const { status } = state.peer;
	if (status === 'out') return repairPeer(state);
	return status === 'lost' ? `vmpair explain ${state.config.peer}` : 'look at the replication link';
};

const dataBlocker = (state: State, vm: EngineVm): { blocker: string; next: string } | null => {
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	if (state.resourcesUnknownSinceMs !== null)
		return {
			blocker: `the tools of DRBD on ${state.config.self} do not answer`,
			next: `on ${state.config.self}: drbdadm status, dmesg`,
		};
	if (record === undefined)
		return {
			blocker: 'it is not protected yet: the hosts must meet with both copies current',
			next: 'vmpair status on both hosts',
		};
	const conflict = conflictOf(state, vm.resource);
	if (conflict !== null) return { blocker: conflict, next: 'see the runbook record-conflict' };
	if (observed === undefined)
		return { blocker: 'its DRBD resource is down here', next: `drbdadm up ${vm.resource}` };
	if (isResyncing(observed))
		return { blocker: 'its copy is being resynced', next: 'wait: vmpair status -w' };
	if (splitOf(state, vm.resource) === 'certain')
		return {
			blocker: 'both copies were written on their own (split brain)',
			next: `vmpair split-brain show ${vm.vm}`,
		};
	if (observed.connection === 'StandAlone')
		return {
			blocker: 'DRBD gave the connection up (split brain or a refused resync)',
			next: 'see the runbook split-brain-suspected',
		};
	if (!isConnected(observed))
		return { blocker: 'replication is down', next: replicationNext(state) };
	if (!isEstablishedUpToDate(observed))
		return { blocker: 'one copy is not UpToDate', next: `drbdadm status ${vm.resource}` };
	if (record.inSync.length < 2)
		return { blocker: 'the second copy is not counted in yet', next: 'wait: vmpair status' };
	if (!together(state, vm.resource))
		return {
			blocker: 'the records of the hosts are being made equal',
			next: 'wait: vmpair status',
		};
	return null;
};

/** Free memory of the host the VM would move to, MiB; null when it is not known. */
const freeOnMib = (state: State, host: HostName): number | null => {
	if (host === state.config.self) return state.vms === null ? null : state.freeMemoryMib;
	return state.peer.document?.freeMemoryMib ?? null;
};

const isInStandby = ({ config, persisted, peer }: State, host: HostName): boolean =>
	host === config.self ? persisted.standby !== null : peer.document?.standby === true;

/** Whether a failover of this VM would work now, and if not why and what to do. */
export const readinessOf = (state: State, vm: EngineVm, nowMs: number): Readiness => {
	const record = recordOf(state, vm.resource);
	const { self, peer } = state.config;
	const to = record?.owner === self ? peer : record?.owner === peer ? self : null;
	const no = (blocker: string, next: string): Readiness => ({ ready: false, to, blocker, next });
	if (record?.wanted === 'stopped') return { ready: true, to, blocker: '', next: '' };
	const blocked = dataBlocker(state, vm) ?? pairBlocker(state, nowMs);
	if (blocked !== null) return no(blocked.blocker, blocked.next);
	if (to !== null && isInStandby(state, to))
		return no(`${to} is in standby: it takes nothing over`, `on ${to}: vmpair standby off`);
	const freeMib = to === null ? null : freeOnMib(state, to);
	if (freeMib !== null && freeMib - state.config.reservedMemoryMib < vm.memoryMib)
		return no(
			`${to ?? 'the other host'} has ${freeMib} MiB free, it needs ${vm.memoryMib} MiB and ${state.config.reservedMemoryMib} MiB reserve`,
			'stop or move another VM, or lower its memory',
		);
	return { ready: true, to, blocker: '', next: '' };
};

/** True when the VM has a runnable domain on either host, as far as both sights say. */
export const runsSomewhere = (state: State, vm: EngineVm): HostName | null => {
	if (presenceOf(state, vm.vm) === 'running') return state.config.self;
	const sight = state.peer.document?.sights[vm.resource];
	const fresh = state.peer.status === 'online';
	return fresh && sight?.presence === 'running' ? state.config.peer : null;
};
