import type { SideView, VmView } from '#src/api/view.ts';
import { localOf, observedOf, peerRecordOf, presenceOf } from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { conflictOf } from '#src/engine/join.ts';
import { resolveActivity } from '#src/engine/resolve.ts';
import { copiesKinship, splitOf } from '#src/engine/split.ts';
import type { State } from '#src/engine/state.ts';
import type { Kinship } from '#src/drbd/generation.ts';
import { lowestDisk } from '#src/drbd/role.ts';
import type { ResourceRecord } from '#src/store/record.ts';

/** What each host holds of a VM whose copies stand apart, and what giving one up would lose. */

const recordView = (record: ResourceRecord | undefined): SideView['record'] =>
	record === undefined
		? null
		: { generation: record.generation, owner: record.owner, inSync: [...record.inSync] };

/** `kin`: what this side's copy is to the other's. */
const lossOf = (kin: Kinship | null, side: Pick<SideView, 'presence' | 'volumes'>): string => {
	const kib = side.volumes?.reduce((sum, { outOfSyncKib }) => sum + (outOfSyncKib ?? 0), 0) ?? 0;
	const much = kib === 0 ? '' : ` (about ${kib} KiB differ by its own count)`;
	const running = side.presence === 'running' ? 'the VM runs there and is destroyed; ' : '';
	switch (kin) {
		case 'equal':
			return `${running}no data: both copies carry the same generation`;
		case 'older':
			return `${running}no data: the other copy was made from this one and is newer`;
		case 'newer':
			return `${running}every write since the other copy was left behind${much}`;
		case 'split-brain':
			return `${running}every write made there since the copies parted${much}`;
		case 'unrelated':
			return `${running}everything on it: the copies have nothing in common that DRBD remembers`;
		case null:
			return `${running}not known: the generations of both copies were not read`;
	}
};

const opposite: Readonly<Partial<Record<Kinship, Kinship>>> = { newer: 'older', older: 'newer' };

const ownSide = (state: State, { vm, resource }: EngineVm, kin: Kinship | null): SideView => {
	const observed = observedOf(state, resource);
	const side = {
		host: state.config.self,
		record: recordView(localOf(state, resource)?.record),
		role: observed?.role ?? null,
		disk: observed === undefined ? null : lowestDisk(observed),
		connection: observed?.connection ?? null,
		presence: presenceOf(state, vm),
		volumes:
			state.evidence[resource]?.volumes.map(({ history, ...volume }) => ({
				...volume,
				history: [...history],
			})) ?? null,
		lastRun: localOf(state, resource)?.lastRun ?? null,
	};
	return { ...side, loses: lossOf(kin, side) };
};

const peerSide = (state: State, { resource }: EngineVm, kin: Kinship | null): SideView => {
	const sight = state.peer.document?.sights[resource];
	const side = {
		host: state.config.peer,
		record: recordView(peerRecordOf(state, resource)),
		role: sight?.role ?? null,
		disk: sight?.disk ?? null,
		connection: sight?.connection ?? null,
		presence: sight?.presence ?? ('unknown' as const),
		volumes: sight?.evidence ?? null,
		lastRun: sight?.lastRun ?? null,
	};
	return { ...side, loses: lossOf(kin, side) };
};

/** For the status; null while copies and records belong together. */
export const apartView = (state: State, vm: EngineVm): VmView['apart'] => {
	const { resource } = vm;
	const split = splitOf(state, resource);
	const held = conflictOf(state, resource) !== null;
	const resolving = resolveActivity(state, vm);
	const there = state.peer.document?.sights[resource];
	if (split === null && !held && resolving === '' && there?.connection !== 'StandAlone')
		return null;
	const kin = copiesKinship(state, resource);
	return {
		kind: held ? 'records' : split === 'certain' ? 'split-brain' : 'suspected',
		resolving,
		sides: [
			ownSide(state, vm, kin),
			peerSide(state, vm, kin === null ? null : (opposite[kin] ?? kin)),
		],
	};
};
