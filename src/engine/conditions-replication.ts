import type { Severity } from '#src/alert/condition.ts';
import { busy, observedOf, recordOf } from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { stuckRelease } from '#src/engine/release.ts';
import { splitOf } from '#src/engine/split.ts';
import { superseded } from '#src/engine/resource.ts';
import { replicationNext } from '#src/engine/readiness.ts';
import type { State } from '#src/engine/state.ts';
import { stuckFor } from '#src/engine/stuck.ts';
import {
	isBehind,
	isConnected,
	isFrozen,
	isResyncing,
	lowestDisk,
	lowestPeerDisk,
} from '#src/drbd/role.ts';
import type { ResourceObservation } from '#src/ports.ts';

/** What is wrong with the replication of a VM and with copies in the wrong place. */

/** What is not tried again for this long is not needed any more, ms. */
const neededMs = 30_000;

export type Raise = (
	name: string,
	subject: string | null,
	severity: Severity,
	summary: string,
	next: string,
) => void;

/** What a person does about a peer that cannot be proven out. */
export const takeoverCommand = (state: State): string =>
	`make sure ${state.config.peer} is off, then: vmpair takeover --confirm-dead ${state.config.peer}`;

const supersededConditions = (state: State, vm: EngineVm, nowMs: number, raise: Raise): void => {
	const owner = recordOf(state, vm.resource)?.owner ?? 'nobody';
	const stuck = stuckRelease(state, vm, nowMs);
	if (stuck !== null)
		raise(
			'release-stuck',
			vm.vm,
			'critical',
			`the copy of ${vm.vm} that ${owner} has replaced is not released: "${stuck}" does not succeed`,
			`move the other VMs away and reboot ${state.config.self}; see the runbook release-stuck`,
		);
	if (superseded(state, vm))
		raise(
			'vm-superseded',
			vm.vm,
			'critical',
			`a copy of ${vm.vm} is left on this host although ${owner} owns it: it stays paused`,
			'vmpair status -w; see the runbook vm-superseded',
		);
};

const frozenConditions = (state: State, vm: EngineVm, raise: Raise): void => {
	const { peer, self } = state.config;
	const observed = observedOf(state, vm.resource);
	const record = recordOf(state, vm.resource);
	if (observed === undefined || observed.role !== 'Primary') return;
	// A copy that was replaced has its own condition: nobody shall prove anything for it.
	if (isFrozen(observed) && (record === undefined || record.owner === self))
		raise(
			'vm-frozen',
			vm.vm,
			'critical',
			`the writes of ${vm.vm} are held back until ${peer} is proven out or its copy is outdated`,
			takeoverCommand(state),
		);
	// StandAlone is passed through while a resource comes up.
	const alone = !isFrozen(observed) && !isConnected(observed);
	if (alone && record?.owner === self && record.inSync.includes(peer))
		raise(
			'writes-on-one-copy',
			vm.vm,
			'critical',
			`${vm.vm} writes to one copy although the copy on ${peer} still counts: a failover to ${peer} would lose writes`,
			`drbdadm status ${vm.resource}; see the runbook writes-on-one-copy`,
		);
};

const stuckConditions = (state: State, vm: EngineVm, nowMs: number, raise: Raise): void => {
	const stuck = stuckFor(state, vm, nowMs);
	if (stuck !== null)
		raise(
			'connection-stuck',
			vm.vm,
			'warning',
			stuck.what === 'bitmap'
				? `the resync of ${vm.vm} does not begin: DRBD has exchanged its bitmaps for minutes`
				: `DRBD does not connect ${vm.vm} although beats arrive on every link`,
			'see the runbook connection-stuck',
		);
	const hung = hungTool(state, vm, nowMs);
	if (hung !== null)
		raise(
			'tool-stuck',
			vm.vm,
			'critical',
			`"${hung}" of ${vm.vm} did not end in its time, twice: a tool hangs on ${state.config.self}`,
			'see the runbook tool-stuck',
		);
};

/** A tool that ran out of its time for this VM twice in a row, and is still needed; null otherwise. */
const hungTool = (state: State, { vm, resource }: EngineVm, nowMs: number): string | null => {
	for (const [key, retry] of Object.entries(state.retries)) {
		const [type = '', subject] = key.split('/');
		if (retry.unknowns < 2 || (subject !== vm && subject !== resource)) continue;
		const tried = state.inFlight.some(
			({ action }) =>
				action.type === type &&
				(('resource' in action && action.resource === resource) ||
					('vm' in action && action.vm === vm)),
		);
		if (tried || nowMs - retry.notBeforeMs < neededMs) return type;
	}
	return null;
};

/**
 * Everything that is wrong with the copies of one VM and with what connects them.
 * @param nowMs monotonic, ms.
 */
export const replicationConditions = (
	state: State,
	vm: EngineVm,
	nowMs: number,
	raise: Raise,
): void => {
	supersededConditions(state, vm, nowMs, raise);
	frozenConditions(state, vm, raise);
	stuckConditions(state, vm, nowMs, raise);
	const observed = observedOf(state, vm.resource);
	if (observed === undefined) return;
	const split = busy(state, vm.resource, ['resource-up']) ? null : splitOf(state, vm.resource);
	if (split === 'certain')
		raise(
			'split-brain',
			vm.vm,
			'critical',
			`both copies of ${vm.vm} were written on their own: DRBD connects them no more until one is given up`,
			`vmpair split-brain show ${vm.vm}`,
		);
	else if (split === 'suspected')
		raise(
			'split-brain-suspected',
			vm.vm,
			'critical',
			`DRBD gave up the connection of ${vm.vm}: split brain, or a resync in the wrong direction was refused`,
			'see the runbook split-brain-suspected',
		);
	else if (recordOf(state, vm.resource) === undefined) return;
	else if (!isConnected(observed) && state.peer.status !== 'unknown')
		raise(
			'replication-down',
			vm.vm,
			'warning',
			`${vm.vm} is not replicated: if its host fails now it stays down until that host is back`,
			replicationNext(state),
		);
	else if (isResyncing(observed))
		raise(
			'resync',
			vm.vm,
			'info',
			`the copies of ${vm.vm} are being made equal`,
			'wait: vmpair status -w',
		);
	if (isConnected(observed) && !isResyncing(observed))
		unusableCondition(state, vm, observed, raise);
};

/** Connected, and yet one copy takes no writes: a disk failed, and whoever counted it out need not be its own host. */
const unusableCondition = (
	state: State,
	vm: EngineVm,
	observed: ResourceObservation,
	raise: Raise,
): void => {
	const { self, peer } = state.config;
	const copies = [
		{ host: self, disk: lowestDisk(observed) },
		{ host: peer, disk: lowestPeerDisk(observed) },
	];
	const unusable = copies.find(({ disk }) => isBehind(disk));
	if (unusable === undefined) return;
	const { host, disk } = unusable;
	raise(
		'copy-unusable',
		vm.vm,
		'warning',
		`the copy of ${vm.vm} on ${host} is ${disk} and takes no writes: if the host with the other copy fails now it stays down`,
		`on ${host}: drbdadm status ${vm.resource}; see the runbook copy-unusable`,
	);
};
