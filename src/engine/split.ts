import { busy, type Draft, localOf, note, observedOf, start, wakeBy } from '#src/engine/draft.ts';
import { conflictOf } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import { type Kinship, kinship } from '#src/drbd/generation.ts';
import { hasNoDisk } from '#src/drbd/role.ts';
import type { ResourceName, VolumeEvidence } from '#src/ports.ts';

/** What is known of copies that do not connect any more, or whose records conflict. */

/** StandAlone is passed through while a resource comes up or reconnects, ms. */
const settledMs = 2000;
/** Evidence is read again after this long: what is out of sync grows. */
const evidenceMs = 60_000;

/** DRBD gave the connection up, and not just a moment ago. */
const standsAlone = (draft: Draft, resource: ResourceName): boolean => {
	const { state, nowMs } = draft;
	if (observedOf(state, resource)?.connection !== 'StandAlone') return false;
	const sinceMs = state.losses[resource]?.sinceMs ?? nowMs;
	if (nowMs - sinceMs >= settledMs) return true;
	wakeBy(draft, sinceMs + settledMs);
	return false;
};

/** Reads what the copies carry while they stand apart, for people and to tell a split brain from a refused resync. */
export const evidenceRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		endReport(draft, resource);
		const { state, nowMs } = draft;
		const observed = observedOf(state, resource);
		const known = state.evidence[resource];
		const wanted =
			observed !== undefined &&
			!hasNoDisk(observed) &&
			(conflictOf(state, resource) !== null || standsAlone(draft, resource));
		if (!wanted) {
			if (known === undefined) continue;
			const { [resource]: _old, ...rest } = state.evidence;
			draft.state = { ...state, evidence: rest };
			continue;
		}
		if (known !== undefined && nowMs - known.atMs < evidenceMs) {
			wakeBy(draft, known.atMs + evidenceMs);
			continue;
		}
		if (busy(state, resource, ['resource-up', 'resource-down', 'resource-connect'])) continue;
		const generation = localOf(state, resource)?.record.generation ?? 0;
		start(draft, { type: 'read-evidence', resource, generation });
	}
};

/** Keeps what was read. */
export const evidenceRead = (
	draft: Draft,
	resource: ResourceName,
	volumes: readonly VolumeEvidence[],
): void => {
	const evidence = { ...draft.state.evidence, [resource]: { volumes, atMs: draft.nowMs } };
	draft.state = { ...draft.state, evidence };
};

/** The kernel called its split-brain handler: both copies were written, and it connects no more. */
export const splitReported = (draft: Draft, resource: ResourceName): void => {
	if (draft.state.splitReports[resource] === true) return;
	draft.state = {
		...draft.state,
		splitReports: { ...draft.state.splitReports, [resource]: true },
	};
	note(draft, 'error', 'DRBD found a split brain', { resource });
};

/** A connection that replicates ends the report. */
const endReport = (draft: Draft, resource: ResourceName): void => {
	if (draft.state.splitReports[resource] !== true) return;
	const observed = observedOf(draft.state, resource);
	const replicates = observed?.volumes.some(({ replication }) => replication !== 'Off') === true;
	if (observed?.connection !== 'Connected' || !replicates) return;
	const { [resource]: _over, ...rest } = draft.state.splitReports;
	draft.state = { ...draft.state, splitReports: rest };
};

/** What this host's copy is to the peer's by the generations that both have read; null while that is not known. */
export const copiesKinship = (state: State, resource: ResourceName): Kinship | null => {
	const mine = state.evidence[resource]?.volumes;
	const theirs = state.peer.document?.sights[resource]?.evidence ?? null;
	return mine === undefined || theirs === null ? null : kinship(mine, theirs);
};

/**
 * - `certain`: both copies were written on their own; the kernel said so, or their generations do.
 * - `suspected`: DRBD gave the connection up and it is not known why.
 */
export const splitOf = (state: State, resource: ResourceName): 'certain' | 'suspected' | null => {
	if (observedOf(state, resource)?.connection !== 'StandAlone') return null;
	const kin = copiesKinship(state, resource);
	if (kin === 'split-brain' || kin === 'unrelated') return 'certain';
	return state.splitReports[resource] === true ? 'certain' : 'suspected';
};
