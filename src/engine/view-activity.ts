import { busy, recordOf, vmStateOf } from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import type { ResourceRecord } from '#src/store/record.ts';

/** What is going on with a VM: its way to the other host, its start, its end. */

const movingWords = (journal: NonNullable<ResourceRecord['journal']>): string => {
	const { from, to } = journal;
	if (journal.kind === 'handover') return `being handed over from ${from} to ${to}`;
	return journal.phase === 'forth'
		? `live-migrating from ${from} to ${to}`
		: `its live migration to ${to} turned back`;
};

/** How much of the guest's memory has gone over, and how fast; pages that it changes meanwhile go again. */
const sentWords = (state: State, { vm, memoryMib }: EngineVm, nowMs: number): string => {
	const sentBytes = state.twins[vm]?.sentBytes;
	const sending = state.inFlight.find(
		({ action }) => action.type === 'send-vm' && action.vm === vm,
	);
	if (sentBytes === undefined || sending === undefined) return '';
	const mib = sentBytes / 1_048_576;
	const rate = (mib * 1000) / Math.max(1, nowMs - sending.sinceMs);
	const left =
		mib < memoryMib ? `, about ${Math.ceil((memoryMib - mib) / rate)} s for the rest` : '';
	return ` (${Math.round(mib)} of ${memoryMib} MiB sent, ${rate.toFixed(0)} MiB/s${rate > 0 ? left : ''})`;
};

/** What is going on with a VM now, as words for people; empty when nothing is. */
export const activityOf = (state: State, vm: EngineVm, nowMs: number): string => {
	const { self } = state.config;
	const record = recordOf(state, vm.resource);
	if (record?.journal !== null && record !== undefined) {
		const waitsFor = state.migrations[vm.vm]?.waitsFor ?? '';
		const waits = waitsFor === '' ? '' : `; it waits for ${waitsFor}`;
		return `${movingWords(record.journal)}${waits}${sentWords(state, vm, nowMs)}`;
	}
	if (busy(state, vm.resource, ['promote'])) return `its disk is being promoted on ${self}`;
	if (busy(state, vm.vm, ['create-vm', 'unpause-vm'])) return `being started on ${self}`;
	if (vmStateOf(state, vm.vm).shutdownAskedMs !== null) return `shutting down on ${self}`;
	if (busy(state, vm.vm, ['destroy-vm'])) return `being destroyed on ${self}`;
	return vmStateOf(state, vm.vm).hold ?? '';
};
