import type { Raise } from '#src/engine/conditions-replication.ts';
import { presenceOf, recordOf } from '#src/engine/draft.ts';
import { vouchedWatchdogMs } from '#src/engine/lease.ts';
import type { State } from '#src/engine/state.ts';
import { arbiterOf, leaseInForce, memoryOf, witnessReason } from '#src/engine/voters.ts';
import { formatDuration } from '#src/std/duration.ts';

/** What is wrong with witness, votes and watchdog. */

/** A restart of the witness or of an agent takes a moment to be over before it is news, ms. */
const settleMs = 5000;

const arbiterConditions = (state: State, raise: Raise): void => {
	const arbiter = arbiterOf(state);
	if (arbiter !== state.config.arbiter)
		raise(
			'arbiter-changed',
			null,
			'warning',
			arbiter === 'changing'
				? 'the hosts are changing the arbiter: neither acts alone meanwhile'
				: `the arbiter in force is ${arbiter}, not ${state.config.arbiter}`,
			'bring the witness back; vmpair status',
		);
};

/** A host without a configured watchdog was set up so: its fence devices are its proof. */
const watchdogConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { witness, self } = state.config;
	if (witness === null || !witness.watchdogs.includes(self) || !leaseInForce(state)) return;
	const { watchdog, restedMs } = state.witness;
	if (!state.persisted.pair.armed || vouchedWatchdogMs(state) !== null) return;
	if (nowMs - restedMs <= settleMs) return;
	const limit = formatDuration(witness.watchdogMs);
	const why =
		watchdog === null
			? 'no feeder answers'
			: watchdog.armed
				? `the time-out of ${watchdog.device} is not ${limit} or less`
				: watchdog.why;
	raise(
		'watchdog-unarmed',
		self,
		'warning',
		`no watchdog of at most ${limit} is armed on ${self}, so its silence proves nothing: ${why}`,
		watchdog === null ? 'systemctl status vmpair-feeder' : 'vmpair watchdog check',
	);
};

/** Raises what has to do with the third voter; nothing in a pair without a witness. */
export const witnessConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { config, witness } = state;
	if (config.witness === null) return;
	arbiterConditions(state, raise);
	if (!witness.usable && nowMs - witness.usableSinceMs > settleMs)
		raise(
			'witness-unusable',
			null,
			state.peer.status === 'online' ? 'warning' : 'critical',
			`the witness grants nothing to ${config.self}: ${witnessReason(state)}`,
			'vmpair witness check',
		);
	watchdogConditions(state, nowMs, raise);
	for (const { vm, resource } of config.vms) {
		if (memoryOf(state).paused[vm] === undefined || presenceOf(state, vm) !== 'paused') continue;
		raise(
			'vm-without-vote',
			vm,
			'critical',
			recordOf(state, resource)?.owner === config.self
				? `${vm} is paused: ${config.self} hears neither its peer nor a witness that vouches for it`
				: `${vm} was paused here for want of a vote, and belongs to ${config.self} no more`,
			'bring the links or the witness back; it goes on by itself',
		);
	}
};
