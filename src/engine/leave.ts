import {
	busy,
	changePersisted,
	type Draft,
	joined,
	leavingOf,
	note,
	observedOf,
	presenceOf,
	recordOf,
	start,
	wakeBy,
	writeRecord,
} from '#src/engine/draft.ts';
import { inContact, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import type { ResourceName } from '#src/ports.ts';
import type { LeaveHow } from '#src/store/record.ts';

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
	if (record === undefined) return true;
	if (record.journal !== null) return false;
	if (leavingOf(state) === 'stop' && record.owner === self) return true;
	return record.owner === peer && !record.inSync.includes(self);
};

/**
 * The stayer has no copy but the one here, and loses it with this host. An orderly end of its resource would have DRBD
 * call this copy outdated: it stays up until the host goes.
 */
const isOnlyCopy = (state: State, resource: ResourceName): boolean => {
	const { peer } = state.config;
	const record = recordOf(state, resource);
	return record?.owner === peer && !record.inSync.includes(peer) && record.journal === null;
};

/** The leaver takes its resources down when the stayer's durable records count it out, then says goodbye (P1). */
const goodbyeRule = (draft: Draft, how: LeaveHow): void => {
	if (draft.state.leaveDone || !seenByStayer(draft.state) || !inContact(draft.state)) return;
	let ready = true;
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record === undefined || (how === 'stop' && isOnlyCopy(state, resource))) continue;
		if (!isReleased(state, resource) || presenceOf(state, vm) !== 'absent') ready = false;
		else if (observed !== undefined) {
			ready = false;
			if (!busy(state, resource, ['demote', 'promote']) && observed.role === 'Secondary')
				start(draft, { type: 'resource-down', resource, generation: record.generation });
		}
	}
	if (!ready) return;
	draft.state = { ...draft.state, left: true };
	end(draft, goodbyes[how]);
};

/** The agent ends; one that is started afterwards is of a host that takes part. */
const end = (draft: Draft, message: string): void => {
	const { leaving } = draft.state.persisted;
	if (leaving !== null) changePersisted(draft, { leaving: { ...leaving, done: true } });
	draft.state = { ...draft.state, leaveDone: true };
	draft.actions.push({ type: 'leave-complete' });
	note(draft, 'info', message, {});
};

/** The peer's agent may be back in a moment; then it is told, and counts this host out in order, ms. */
const silenceMs = 30_000;

/**
 * Nobody is there to be told: a leave that only stops is over when no guest of this host is left. No resource is taken
 * down and nothing is said: to whoever is there after all, this host is lost as any other.
 */
const aloneRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { status, statusSinceMs } = state.peer;
	if (state.leaveDone || inContact(state)) return;
	if (status !== 'lost' && status !== 'out' && nowMs < statusSinceMs + silenceMs) {
		wakeBy(draft, statusSinceMs + silenceMs);
		return;
	}
	const stopped = state.config.vms.every(({ vm, resource }) => {
		if (recordOf(state, resource)?.owner !== state.config.self) return true;
		return presenceOf(state, vm) === 'absent' && observedOf(state, resource)?.role !== 'Primary';
	});
	if (!stopped) return;
	end(draft, 'this host has left: its VMs are stopped, and nobody was there to be told');
};

const goodbyes: Readonly<Record<LeaveHow, string>> = {
	migrate: 'this host has left: nothing runs here and its data does not count',
	'hand-over': 'this host has left: nothing runs here and its data does not count',
	stop: 'this host has left: its VMs are stopped and start again when it is back',
};

/** Planned leave of a host (P1), both sides of it. */
export const leaveRule = (draft: Draft): void => {
	excludeLeaverRule(draft);
	const how = leavingOf(draft.state);
	if (how === null) return;
	const { status } = draft.state.peer;
	// VMs that stay with this host need nobody.
	if (how !== 'stop' && !draft.state.left && (status === 'lost' || status === 'out')) {
		changePersisted(draft, { leaving: null });
		note(draft, 'warn', 'this host stays: the other one that should take over is gone', {});
		return;
	}
	goodbyeRule(draft, how);
	if (how === 'stop') aloneRule(draft);
};
