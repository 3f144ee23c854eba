import type { Reply, Request } from '#src/api/request.ts';
import { changeVmState, type Draft, presenceOf, recordOf, writeRecord } from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { drillBlocker } from '#src/engine/drill.ts';
import { handoverBlocker, openHandover } from '#src/engine/handover.ts';
import { peerWarning } from '#src/engine/health.ts';
import {
	cancelMigration,
	migrationBlocker,
	migrationOf,
	openMigration,
} from '#src/engine/migration.ts';
import { accepted, done, refused } from '#src/engine/reply.ts';

/** What people ask of one VM, carried out by its owner. */

export type VmRequest = Extract<
	Request,
	{ verb: 'start' | 'stop' | 'move' | 'migrate' | 'drill' | 'cancel-migration' }
>;

const moving = (draft: Draft, vm: EngineVm): Reply | null => {
	const journal = recordOf(draft.state, vm.resource)?.journal ?? null;
	return journal === null
		? null
		: refused('handover-open', `${vm.vm} is being moved to ${journal.to}`, 'vmpair status -w');
};

const startVm = (draft: Draft, vm: EngineVm, by: string): Reply => {
	const { state } = draft;
	const record = recordOf(state, vm.resource);
	const busy = moving(draft, vm);
	if (busy !== null) return busy;
	changeVmState(draft, vm.vm, { ordered: true, gaveUp: null, restartsMs: [], restarting: false });
	if (record?.wanted !== 'running')
		writeRecord(draft, vm.resource, { wanted: 'running' }, `started by ${by}`);
	const presence = presenceOf(state, vm.vm);
	if (presence === 'running') return done(`${vm.vm} runs on ${state.config.self} already`);
	if (presence === 'paused') changeVmState(draft, vm.vm, { unpauseOrdered: true });
	return accepted(`${vm.vm} is being started on ${state.config.self}`);
};

const stopVm = (draft: Draft, vm: EngineVm, by: string): Reply => {
	const record = recordOf(draft.state, vm.resource);
	const busy = moving(draft, vm);
	if (busy !== null) return busy;
	changeVmState(draft, vm.vm, { ordered: false, shutdownAskedMs: null });
	if (record?.wanted !== 'stopped')
		writeRecord(draft, vm.resource, { wanted: 'stopped' }, `stopped by ${by}`);
	return accepted(`${vm.vm} is being stopped on ${draft.state.config.self}`);
};

/** The answer when the VM is there already, or can never be; null when the peer is meant. */
const targetReply = (draft: Draft, vm: EngineVm, to: string | null): Reply | null => {
	const { self, peer } = draft.state.config;
	const target = to ?? peer;
	if (target === self) return done(`${vm.vm} is on ${self} already`);
	return target === peer
		? null
		: refused('unknown-host', `${target} is not a host of this pair`, 'vmpair status');
};

const moveVm = (
	draft: Draft,
	vm: EngineVm,
	{ to, by, verb }: Extract<Request, { verb: 'move' | 'migrate' }>,
): Reply => {
	const { self, peer } = draft.state.config;
	const elsewhere = targetReply(draft, vm, to);
	if (elsewhere !== null) return elsewhere;
	const live = verb === 'migrate';
	const blocker = (live ? migrationBlocker : handoverBlocker)(draft.state, vm);
	if (blocker !== null)
		return refused(
			live ? 'migration-blocked' : 'handover-blocked',
			`${vm.vm} can't be ${live ? 'live-migrated' : 'moved'}: ${blocker}`,
			live && vm.liveBlocker !== null ? `vmpair move ${vm.vm}` : 'vmpair status',
		);
	const warning = peerWarning(draft.state);
	if (live) {
		openMigration(draft, vm, `migrated by ${by}`);
		return accepted(`${vm.vm} is live-migrated from ${self} to ${peer}${warning}`);
	}
	openHandover(draft, vm, `moved by ${by}`);
	return accepted(`${vm.vm} is stopped on ${self} and started on ${peer}${warning}`);
};

/** The same hand-over as a move, while all is well, so that a person sees how the start over there goes. */
const drillVm = (
	draft: Draft,
	vm: EngineVm,
	{ to, by, hard }: Extract<Request, { verb: 'drill' }>,
): Reply => {
	const { state, nowMs } = draft;
	const { self, peer } = state.config;
	const elsewhere = targetReply(draft, vm, to);
	if (elsewhere !== null) return elsewhere;
	const blocker = drillBlocker(state, vm, nowMs);
	if (blocker !== null)
		return refused('drill-blocked', `no drill of ${vm.vm} now: ${blocker}`, 'vmpair status');
	openHandover(draft, vm, `drill by ${by}`, hard ? 'destroy' : 'shutdown');
	const end = hard ? 'destroyed' : 'shut down';
	return accepted(`drill: ${vm.vm} is ${end} on ${self} and started on ${peer}`);
};

const cancel = (draft: Draft, vm: EngineVm, by: string): Reply => {
	const migration = migrationOf(draft.state, vm.resource);
	if (migration === null)
		return refused('no-migration', `${vm.vm} is not being live-migrated`, 'vmpair status');
	if (migration.phase === 'back') return accepted(`${vm.vm} stays on ${migration.from} already`);
	return cancelMigration(draft, vm, by)
		? accepted(`${vm.vm} stays on ${migration.from}: what has gone over is taken back`)
		: refused('migration-too-late', `the guest of ${vm.vm} has left already`, 'vmpair status -w');
};

/** Carries a VM request out on its owner. */
export const onOwner = (draft: Draft, request: VmRequest, vm: EngineVm): Reply => {
	switch (request.verb) {
		case 'start':
			return startVm(draft, vm, request.by);
		case 'stop':
			return stopVm(draft, vm, request.by);
		case 'move':
		case 'migrate':
			return moveVm(draft, vm, request);
		case 'drill':
			return drillVm(draft, vm, request);
		case 'cancel-migration':
			return cancel(draft, vm, request.by);
	}
};
