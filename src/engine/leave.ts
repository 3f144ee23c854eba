import {
	busy,
	type Draft,
	joined,
	note,
	observedOf,
	presenceOf,
	recordOf,
	start,
	writeRecord,
} from '#src/engine/draft.ts';
import { inContact, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import type { LeaveHow } from '#src/engine/state-drain.ts';
import type { ResourceName } from '#src/ports.ts';

/** The stayer counts the leaver out once nothing of the VM is left there; the leaver asked for it. */
const excludeLeaverRule = (draft: Draft): void => {
	const { document } = draft.state.peer;
	if (document?.leaving !== true || document.left || !inContact(draft.state)) return;
	if (!joined(draft.state)) return;
	const { self, peer } = draft.state.config;
	for (const { vm: _vm, resource } of draft.state.config.vms) {
		const record = recordOf(draft.state, resource);
		const sight = document.sights[resource];
		if (record?.owner !== self || record.journal !== null || !record.inSync.includes(peer))
			continue;
		if (!record.inSync.includes(self) || !together(draft.state, resource)) continue;
		if (sight?.role === 'Primary' || sight?.presence !== 'absent') continue;
		writeRecord(draft, resource, { inSync: [self], uuids: null }, `${peer} leaves`);
	}
};

/**
 * The stayer's newest document was made after it saw this leave: the records in it, and in no other, are the last
 * word on who counts. Before, it may count this host in again (a resync has ended) in a document that is under way.
 */
const seenByStayer = ({ peer: { document }, session }: State): boolean =>
	document?.leaveSeen === true && document.heard?.session === session;

/** The stayer counts this copy out, or its VM stays with this host and is not to run meanwhile. */
const isReleased = (state: State, resource: ResourceName): boolean => {
	const { self, peer } = state.config;
	const record = recordOf(state, resource);
	if (record === undefined || (state.leaving === 'stop' && record.owner === self)) return true;
	// Nobody is there to count it out.
	if (state.leaving === 'stop' && !inContact(state)) return true;
	return record.owner === peer && !record.inSync.includes(self);
};

/** The leaver takes its resources down when the stayer's durable records count it out, then says goodbye (P1). */
const goodbyeRule = (draft: Draft): void => {
	const { leaving } = draft.state;
	const alone = leaving === 'stop' && !inContact(draft.state);
	if (draft.state.left || (!seenByStayer(draft.state) && !alone)) return;
	let ready = true;
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record === undefined) continue;
		if (!isReleased(state, resource) || presenceOf(state, vm) !== 'absent') ready = false;
		else if (observed !== undefined) {
			ready = false;
			if (!busy(state, resource, ['demote', 'promote']) && observed.role === 'Secondary')
				start(draft, { type: 'resource-down', resource, generation: record.generation });
		}
	}
	if (!ready) return;
	draft.state = { ...draft.state, left: true };
	draft.actions.push({ type: 'leave-complete' });
	note(draft, 'info', goodbyes[leaving ?? 'hand-over'], {});
};

const goodbyes: Readonly<Record<LeaveHow, string>> = {
	migrate: 'this host has left: nothing runs here and its data does not count',
	'hand-over': 'this host has left: nothing runs here and its data does not count',
	stop: 'this host has left: its VMs are stopped and start again when it is back',
};

/** Planned leave of a host (P1), both sides of it. */
export const leaveRule = (draft: Draft): void => {
	excludeLeaverRule(draft);
	const { leaving, left } = draft.state;
	if (leaving === null) return;
	const { status } = draft.state.peer;
	// VMs that stay with this host need nobody.
	if (leaving !== 'stop' && !left && (status === 'lost' || status === 'out')) {
		draft.state = { ...draft.state, leaving: null };
		note(draft, 'warn', 'this host stays: the other one that should take over is gone', {});
		return;
	}
	goodbyeRule(draft);
};
