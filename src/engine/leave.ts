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
import { handoverBlocker, openHandover } from '#src/engine/handover.ts';
import { inContact, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';

/** A leaving host hands its VMs over one after the other as far as that works. */
const handOverRule = (draft: Draft): void => {
	const { self, vms } = draft.state.config;
	const records = vms.map((vm) => recordOf(draft.state, vm.resource));
	// What is under way takes memory over there that nothing shows yet.
	if (records.some((record) => (record?.journal ?? null) !== null)) return;
	const next = vms.find(
		(vm, index) => records[index]?.owner === self && handoverBlocker(draft.state, vm) === null,
	);
	if (next !== undefined) openHandover(draft, next, 'this host leaves');
};

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

/** The leaver takes its resources down when the stayer's durable records count it out, then says goodbye (P1). */
const goodbyeRule = (draft: Draft): void => {
	const { self, peer } = draft.state.config;
	if (draft.state.left || !seenByStayer(draft.state)) return;
	let ready = true;
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record === undefined) continue;
		const counted = record.owner === peer && !record.inSync.includes(self);
		if (!counted || presenceOf(state, vm) !== 'absent') ready = false;
		else if (observed !== undefined) {
			ready = false;
			if (!busy(state, resource, ['demote', 'promote']) && observed.role === 'Secondary')
				start(draft, { type: 'resource-down', resource, generation: record.generation });
		}
	}
	if (!ready) return;
	draft.state = { ...draft.state, left: true };
	draft.actions.push({ type: 'leave-complete' });
	note(draft, 'info', 'this host has left: nothing runs here and its data does not count', {});
};

/** Planned leave of a host (P1), both sides of it. */
export const leaveRule = (draft: Draft): void => {
	excludeLeaverRule(draft);
	if (!draft.state.leaving) return;
	const { status } = draft.state.peer;
	if (!draft.state.left && (status === 'lost' || status === 'out')) {
		draft.state = { ...draft.state, leaving: false };
		note(draft, 'warn', 'this host stays: the other one that should take over is gone', {});
		return;
	}
	handOverRule(draft);
	goodbyeRule(draft);
};
