import type { Reply, Request } from '#src/api/request.ts';
import { changePersisted, type Draft, leavingOf, note, recordOf } from '#src/engine/draft.ts';
import { peerTakesNone } from '#src/engine/handover.ts';
import { peerWarning } from '#src/engine/health.ts';
import { inContact, together } from '#src/engine/join.ts';
import { accepted, done, refused } from '#src/engine/reply.ts';
import type { State } from '#src/engine/state.ts';
import { noDrain } from '#src/engine/state-plans.ts';

/** What people ask of a host. */

export type EvacuateRequest = Extract<Request, { verb: 'evacuate' }>;

const ownsAny = (state: State): boolean =>
	state.config.vms.some(({ resource }) => recordOf(state, resource)?.owner === state.config.self);

/** Empties this host once. */
export const evacuateSelf = (
	draft: Draft,
	{ by, cold }: Pick<EvacuateRequest, 'by' | 'cold'>,
): Reply => {
	const { state } = draft;
	const { self, peer } = state.config;
	if (!ownsAny(state)) return done(`no VM is on ${self}`);
	const blocker = inContact(state) ? peerTakesNone(state) : `${peer} is not in contact`;
	if (blocker !== null)
		return refused('evacuation-blocked', `${self} can't be emptied: ${blocker}`, 'vmpair status');
	draft.state = { ...state, drain: { ...noDrain, evacuation: { by, cold } } };
	note(draft, 'info', 'this host is being emptied', { host: self, by, cold });
	return accepted(`the VMs of ${self} go to ${peer}, one after the other${peerWarning(state)}`);
};

/** Keeps this host empty from now on, or lets it take part again. */
export const standby = (
	draft: Draft,
	{ on, by, reason }: Extract<Request, { verb: 'standby' }>,
	at: string,
): Reply => {
	const { state } = draft;
	const { self, peer } = state.config;
	const before = state.persisted.standby;
	if (!on) {
		if (before === null) return done(`${self} is not in standby`);
		changePersisted(draft, { standby: null });
		note(draft, 'info', 'standby ended', { host: self, by });
		return done(
			`${self} takes VMs again; those that went to ${peer} stay there`,
			`vmpair migrate VM --to ${self}`,
		);
	}
	if (before !== null) return done(`${self} is in standby since ${before.at} (${before.by})`);
	if (!inContact(state))
		return refused(
			'peer-not-in-contact',
			`${peer} is not in contact: nobody would run the VMs of ${self}`,
			'vmpair status',
		);
	if (state.peer.document?.standby === true)
		return refused(
			'peer-in-standby',
			`${peer} is in standby already: nobody would run the VMs after a failure`,
			`on ${peer}: vmpair standby off`,
		);
	changePersisted(draft, { standby: { by, reason, at } });
	note(draft, 'warn', 'standby begins', { host: self, by, reason });
	return accepted(
		`${self} takes no VMs over from now on, and its own go to ${peer}, one after the other${peerWarning(state)}`,
	);
};

/** A VM that runs on the peer on the copy here alone: its own has failed. */
const guestOfThisCopy = (state: State): string | null => {
	const { self, peer } = state.config;
	const vm = state.config.vms.find(({ resource }) => {
		const record = recordOf(state, resource);
		return record?.owner === peer && record.inSync.length === 1 && record.inSync[0] === self;
	});
	return vm?.vm ?? null;
};

/** Takes this host out of the pair on purpose, or takes that back. */
export const leave = (draft: Draft, { by, how }: Extract<Request, { verb: 'leave' }>): Reply => {
	const { state } = draft;
	const { self, peer } = state.config;
	const before = leavingOf(state);
	if (state.leaveDone)
		return refused(
			'left-already',
			`${self} has left: its agent is about to end`,
			'systemctl start vmpair, for it to take part again',
		);
	if (how === 'cancel') {
		if (before === null) return done(`${self} is not leaving`);
		changePersisted(draft, { leaving: null });
		note(draft, 'info', 'this host stays: the leave was taken back', { by });
		return done(`${self} stays; VMs that went to ${peer} stay there`);
	}
	if (before === how) return accepted(`${self} is leaving already`);
	const apart = state.config.vms.find((vm) => !together(state, vm.resource));
	if (how !== 'stop' && apart !== undefined)
		return refused(
			'not-together',
			`${self} can't leave: ${apart.vm} is not in contact with equal records on both hosts`,
			'vmpair status',
		);
	const guest = guestOfThisCopy(state);
	if (how !== 'stop' && guest !== null)
		return refused(
			'only-copy-here',
			`${guest} runs on ${peer} with the copy on ${self} alone: it would lose its disk`,
			`vmpair migrate ${guest} --to ${self}, or wait for the repair of its disk on ${peer}`,
		);
	changePersisted(draft, { leaving: { how, bootId: state.bootId, done: false } });
	if (how === 'stop') {
		note(draft, 'info', 'this host leaves: its VMs are stopped', { by });
		const lost =
			guest === null ? '' : `; ${guest} on ${peer} uses the copy here and loses its disk`;
		return accepted(
			`the VMs of ${self} are stopped, and start again when it is back and the pair is armed, or on ${peer} when its power goes off${lost}`,
		);
	}
	note(draft, 'info', 'this host leaves: its VMs are handed over', { by });
	const live = how === 'migrate' ? 'live-migrated' : 'handed over';
	return accepted(`the VMs of ${self} are ${live} to ${peer}`);
};
