import { isEstablishedUpToDate } from '#src/drbd/role.ts';
import type { CarriedAction } from '#src/engine/action.ts';
import {
	changeLoss,
	changeVmState,
	type Draft,
	joined,
	note,
	observedOf,
	recordOf,
	retryKey,
	vmStateOf,
	writeRecord,
} from '#src/engine/draft.ts';
import { claimWithdrawn } from '#src/engine/claim.ts';
import { takeoverLanded } from '#src/engine/exclude.ts';
import { powerOffEnded } from '#src/engine/fencing.ts';
import { migrationActEnded } from '#src/engine/migration.ts';
import { markDevice, powerRead } from '#src/engine/peer.ts';
import { discardStarted, snapshotEnded } from '#src/engine/resolve.ts';
import { evidenceRead } from '#src/engine/split.ts';
import type { InFlight, Retry } from '#src/engine/state.ts';
import { metadataAgrees, soleRecord } from '#src/engine/takeover.ts';
import { changeWitness, commandEnded } from '#src/engine/witness.ts';
import type {
	DeviceReading,
	MonotonicMs,
	Outcome,
	VmName,
	VolumeEvidence,
	VolumeGeneration,
} from '#src/ports.ts';
import type { WitnessCommand } from '#src/ports-witness.ts';
import { same } from '#src/std/same.ts';

/** Pause before the same action is tried again after its n-th failure in a row, ms. */
const backoffMs = (failures: number): number => Math.min(500 * 2 ** (failures - 1), 10_000);

/**
 * What succeeded takes a moment to show in the next observation, ms: the same action is not asked for
 * again before. A listing of a slow toolstack that began before a create ended may take seconds.
 */
const settleMsOf = (type: CarriedAction['type']): number => {
	if (type === 'create-vm') return 5000;
	if (
		type === 'read-generations' ||
		type === 'witness' ||
		type.endsWith('power') ||
		type.startsWith('power')
	)
		return 0;
	return 2000;
};

/** Metadata that does not agree is read again after this long: it changes only when something else does. */
const disagreePauseMs = 10_000;

/** Two copies that DRBD shows as equal and whose generations do not say so yet are read again after this long. */
const unequalPauseMs = 1000;

const putRetry = (draft: Draft, key: string, retry: Retry): void => {
	draft.state = { ...draft.state, retries: { ...draft.state.retries, [key]: retry } };
};

const clearRetry = (draft: Draft, key: string): void => {
	if (draft.state.retries[key] === undefined) return;
	const { [key]: _cleared, ...rest } = draft.state.retries;
	draft.state = { ...draft.state, retries: rest };
};

const subjectOf = (action: CarriedAction): string =>
	'resource' in action
		? action.resource
		: 'vm' in action
			? action.vm
			: 'host' in action
				? action.host
				: action.command.op;

/** What failed waits before it is tried again; what is unknown waits too, for it may still take effect. */
const keepRetry = (draft: Draft, action: CarriedAction, outcome: Outcome): void => {
	const key = retryKey(action.type, subjectOf(action));
	if (outcome.result === 'succeeded') {
		const settleMs = settleMsOf(action.type);
		if (settleMs === 0) clearRetry(draft, key);
		else
			putRetry(draft, key, {
				failures: 0,
				unknowns: 0,
				notBeforeMs: draft.nowMs + settleMs,
				detail: '',
			});
		return;
	}
	const before = draft.state.retries[key];
	const failures = (before?.failures ?? 0) + 1;
	const unknowns = outcome.result === 'unknown' ? (before?.unknowns ?? 0) + 1 : 0;
	putRetry(draft, key, {
		failures,
		unknowns,
		notBeforeMs: draft.nowMs + backoffMs(failures),
		detail: outcome.detail,
	});
	note(draft, 'warn', `action ${action.type} ended`, {
		subject: subjectOf(action),
		...('vm' in action ? { vm: action.vm } : {}),
		id: action.id,
		result: outcome.result,
		code: outcome.result === 'failed' ? outcome.code : null,
		detail: outcome.detail,
	});
};

const generationsRead = (
	draft: Draft,
	action: Extract<CarriedAction, { type: 'read-generations' }>,
	outcome: Outcome,
	askedAtMs: MonotonicMs,
): void => {
	if (outcome.result !== 'succeeded') return;
	const generations = outcome.value as readonly VolumeGeneration[];
	const { state } = draft;
	const { resource } = action;
	if (generations.every(({ connected, alone }) => connected && !alone)) {
		draft.state = { ...state, mirroredAtMs: { ...state.mirroredAtMs, [resource]: askedAtMs } };
		return;
	}
	const record = recordOf(state, resource);
	if (record === undefined || record.generation !== action.generation) {
		note(draft, 'debug', 'data generation was read under an older record: dropped', { resource });
		return;
	}
	const observed = observedOf(state, resource);
	if (observed !== undefined && isEstablishedUpToDate(observed))
		putRetry(draft, retryKey('read-generations', resource), {
			failures: 0,
			unknowns: 0,
			notBeforeMs: draft.nowMs + unequalPauseMs,
			detail: '',
		});
	const uuids = generations
		.toSorted((one, other) => one.volume - other.volume)
		.map((generation) => generation.uuid);
	if (state.resources?.value[resource]?.role === 'Primary') {
		if (!soleRecord(state, resource)) return;
		const unchanged = same(uuids, record.uuids);
		draft.state = {
			...state,
			generationsRead: { ...state.generationsRead, [resource]: true },
		};
		// Else an operator may have promoted it: nothing shows that this copy was allowed to go on alone.
		if (!joined(state) && state.aloneAllowed[resource] !== true && !unchanged) return;
		draft.state = {
			...draft.state,
			aloneAllowed: { ...state.aloneAllowed, [resource]: true },
		};
		if (!unchanged) writeRecord(draft, resource, { uuids }, 'data generation read back');
	} else if (joined(state)) {
		// A generation begun alone is of no use for a comparison: noted as empty.
		const shared = generations.some((generation) => generation.alone) ? [] : uuids;
		draft.state = { ...state, ownGenerations: { ...state.ownGenerations, [resource]: shared } };
		if (soleRecord(state, resource) && metadataAgrees(state, resource, generations))
			draft.state = { ...draft.state, verified: { ...state.verified, [resource]: true } };
	} else if (metadataAgrees(state, resource, generations)) {
		draft.state = { ...state, aloneAllowed: { ...state.aloneAllowed, [resource]: true } };
		note(draft, 'info', 'the DRBD metadata agrees that this copy is the newest', { resource });
	} else
		putRetry(draft, retryKey('read-generations', resource), {
			failures: 0,
			unknowns: 0,
			notBeforeMs: draft.nowMs + disagreePauseMs,
			detail: '',
		});
};

/** A promote refused by a living peer whose power read off: the device belongs to another host. */
const promoteEnded = (draft: Draft, resource: string, outcome: Outcome): void => {
	if (outcome.result !== 'failed' || outcome.code !== 'drbd-multiple-primaries') return;
	if (draft.state.peer.proof?.kind !== 'power-off') return;
	markDevice(draft, `${draft.state.config.peer} refused the promote of ${resource}`);
};

const readingsOf = (outcome: Outcome): readonly DeviceReading[] =>
	outcome.result === 'succeeded' ? (outcome.value as readonly DeviceReading[]) : [];

/** The copy carries the mark, and was read back: for the request that it was begun for, and for no later one. */
const outdateEnded = (draft: Draft, resource: string): void => {
	const { outdating } = draft.state;
	const asked = outdating[resource];
	if (asked === undefined) return;
	draft.state = {
		...draft.state,
		outdating: { ...outdating, [resource]: { ...asked, done: true } },
	};
};

const seedPauseMs = 3000;

/** A pause or an unpause that ended unknown may still come. */
const latePauseMs = 30_000;

/** What was seen before the end of a pause or an unpause says nothing of what is true after it. */
const pauseEnded = (draft: Draft, { result }: Outcome, type: 'pause-vm' | 'unpause-vm'): void => {
	const { config, witness } = draft.state;
	if (config.witness === null) return;
	const key = type === 'pause-vm' ? 'pausesUntilMs' : 'unpausesUntilMs';
	const lateMs = result === 'unknown' ? latePauseMs : 0;
	changeWitness(draft, { [key]: Math.max(witness[key], draft.nowMs + lateMs) });
};

/** A command to the witness ended: what it said is taken in, also when it refused. */
const witnessEnded = (draft: Draft, command: WitnessCommand, outcome: Outcome): void => {
	const done = commandEnded(draft, command, outcome);
	// A record that is gone holds no claim, and nothing of it can land there.
	const gone = outcome.result === 'succeeded' && draft.state.witness.view?.record === null;
	if (command.op === 'withdraw' && (done || gone)) claimWithdrawn(draft);
	if (!done) {
		const key = retryKey('witness', command.op);
		const failures = (draft.state.retries[key]?.failures ?? 0) + 1;
		putRetry(draft, key, {
			failures,
			unknowns: 0,
			notBeforeMs: draft.nowMs + backoffMs(failures),
			detail: '',
		});
		return;
	}
	// The peer has to read it, and to say so.
	if (command.op === 'seed')
		putRetry(draft, retryKey('witness', 'seed'), {
			failures: 0,
			unknowns: 0,
			notBeforeMs: draft.nowMs + seedPauseMs,
			detail: '',
		});
	if (command.op === 'takeover') takeoverLanded(draft, command.resource);
};

const createEnded = (draft: Draft, vm: VmName, outcome: Outcome): void => {
	// Nothing was started: it does not count against the restart budget.
	if (outcome.result !== 'failed' || outcome.code !== 'domain-exists') return;
	const { restartsMs } = vmStateOf(draft.state, vm);
	changeVmState(draft, vm, { restartsMs: restartsMs.slice(0, -1), restarting: false });
};

/** The guest may not hear; the rule destroys it when its time is over. */
const shutdownEnded = (draft: Draft, vm: VmName): void => {
	if (vmStateOf(draft.state, vm).shutdownAskedMs === null)
		note(draft, 'debug', 'a shutdown request ended late', { vm });
};

/** What is done with copies that stand apart. */
const apartEnded = (
	draft: Draft,
	type: 'read-evidence' | 'snapshot' | 'connect-discarding',
	resource: string,
	outcome: Outcome,
): void => {
	const done = outcome.result === 'succeeded';
	if (type === 'snapshot') {
		const detail = done ? '' : outcome.detail;
		snapshotEnded(draft, resource, done ? (outcome.value as readonly string[]) : null, detail);
	} else if (!done) return;
	else if (type === 'connect-discarding') discardStarted(draft, resource);
	else evidenceRead(draft, resource, outcome.value as readonly VolumeEvidence[]);
};

/** Takes in how an action ended. */
export const actionEnded = (draft: Draft, id: number, outcome: Outcome): void => {
	const flight: InFlight | undefined = draft.state.inFlight.find(({ action }) => action.id === id);
	if (flight === undefined) {
		note(draft, 'debug', 'the end of an action nobody waits for', { id });
		return;
	}
	const rest = draft.state.inFlight.filter((each) => each !== flight);
	draft.state = { ...draft.state, inFlight: rest };
	const { action } = flight;
	keepRetry(draft, action, outcome);
	switch (action.type) {
		case 'query-power':
			powerRead(draft, action.level, readingsOf(outcome), flight.sinceMs);
			// Its pace is the rule's, not the backoff's.
			clearRetry(draft, retryKey('query-power', action.host));
			return;
		case 'power-off':
			clearRetry(draft, retryKey('power-off', action.host));
			powerOffEnded(draft, action.level, outcome);
			return;
		case 'read-generations':
			generationsRead(draft, action, outcome, flight.sinceMs);
			return;
		case 'outdate':
			if (outcome.result === 'succeeded') outdateEnded(draft, action.resource);
			return;
		case 'promote':
			promoteEnded(draft, action.resource, outcome);
			return;
		case 'shutdown-vm':
			shutdownEnded(draft, action.vm);
			return;
		case 'create-vm':
			createEnded(draft, action.vm, outcome);
			return;
		case 'resume-io':
			// Whatever it said: what is read of the two copies from here on is of after it.
			changeLoss(draft, action.resource, { answeredMs: draft.nowMs });
			return;
		case 'read-evidence':
		case 'snapshot':
		case 'connect-discarding':
			apartEnded(draft, action.type, action.resource, outcome);
			return;
		case 'pause-vm':
		case 'unpause-vm':
			pauseEnded(draft, outcome, action.type);
			return;
		case 'witness':
			witnessEnded(draft, action.command, outcome);
			return;
		case 'allow-two-primaries':
		case 'forbid-two-primaries':
		case 'receive-vm':
		case 'send-vm':
		case 'cut-migration':
			migrationActEnded(draft, action.type, subjectOf(action), outcome);
			return;
		case 'destroy-twin':
		case 'resource-reconnect':
		case 'detach':
		case 'fail-io':
		case 'resource-up':
		case 'resource-connect':
		case 'resource-down':
		case 'demote':
		case 'destroy-vm':
		case 'power-on':
	}
};
