import type { WitnessCommand, WitnessOutcome, WitnessRecord } from '#src/ports-witness.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import type { Finding } from '#src/witness/server.ts';

/** What the trial found: how long renewals took, sorted, ms, and what went wrong. */
export interface Trial {
	readonly renewalsMs: readonly number[];
	readonly finding: Finding | null;
}

const rounds = 20;

const record = (pairId: string): WitnessRecord => ({
	format: 1,
	pairId,
	version: 1,
	hosts: { one: host, two: host },
	claim: null,
	claimVersion: 1,
	resources: { trial: resource(1) },
});

const host = { renewals: 0, bootId: 'check', watchdogMs: null };

const resource = (generation: number): WitnessRecord['resources'][string] => ({
	generation,
	owner: 'two',
	inSync: ['one', 'two'],
	uuids: null,
	wanted: 'stopped',
	journal: null,
});

const renewal = (expectedRenewals: number): WitnessCommand => ({
	op: 'renew',
	host: 'one',
	bootId: 'check',
	watchdogMs: null,
	expectedRenewals,
});

/** Every command once, each in a state in which it is accepted: so every right it needs is used. */
const story = (pairId: string): readonly WitnessCommand[] => [
	{ op: 'seed', host: 'one', expectedVersion: null, record: record(pairId) },
	{
		op: 'seed',
		host: 'one',
		expectedVersion: 1,
		record: { ...record(pairId), version: 2, claimVersion: 2 },
	},
	{ op: 'read', host: 'one' },
	renewal(0),
	{
		op: 'change',
		host: 'two',
		claimVersion: 2,
		resource: 'trial',
		expectedGeneration: 1,
		record: resource(2),
	},
	{ op: 'claim', host: 'two', claimVersion: 2, against: 'one', expectedRenewals: 1 },
	{ op: 'void-claim', host: 'one', claimVersion: 5, expectedRenewals: 0 },
	{ op: 'claim', host: 'one', claimVersion: 6, against: 'two', expectedRenewals: 0 },
	{
		op: 'takeover',
		host: 'one',
		claimVersion: 7,
		resource: 'trial',
		expectedGeneration: 2,
		expectedRenewals: 0,
		record: resource(3),
	},
	{ op: 'withdraw', host: 'one', claimVersion: 7 },
];

const wrong = (command: WitnessCommand, outcome: WitnessOutcome): Finding | null => {
	const trouble = (code: string, message: string, next: string): Finding => ({
		code,
		severity: 'blocker',
		message,
		next,
	});
	if (outcome.result === 'succeeded') {
		const { reply } = outcome.value;
		if (reply.ok) return null;
		const message = `The trial record was changed by somebody else (${command.op}: ${reply.refused}).`;
		return trouble('trial', message, 'run the check again, on one host at a time');
	}
	if (outcome.result === 'failed' && outcome.code === 'witness-right') {
		const message = `The Redis user may not carry out "${command.op}": ${outcome.detail}.`;
		const next =
			'give it the rights of /usr/share/doc/vmpair/examples/witness/users.acl, then run on the witness: redis-cli ACL LOAD';
		return trouble('right', message, next);
	}
	const message = `"${command.op}" on a trial record: ${outcome.detail}.`;
	return trouble('trial', message, 'look at the log of Redis on the witness');
};

/**
 * Carries out every command on a record of its own, `PAIR:check:...`, and removes that again. The pair's record
 * is not touched.
 */
export const tryWitness = async (access: WitnessAccess, pairId: string): Promise<Trial> => {
	const connection = new WitnessConnection(access, pairId);
	const renewalsMs: number[] = [];
	try {
		const opened = await connection.open();
		if (opened.state !== 'open') return { renewalsMs, finding: opened.findings[0] ?? null };
		const removed = await connection.remove();
		if (removed !== null) return { renewalsMs, finding: removed };
		// The story has renewed once.
		const renewals = Array.from({ length: rounds }, (_, index) => renewal(1 + index));
		for (const command of [...story(pairId), ...renewals]) {
			const beganMs = performance.now();
			const finding = wrong(command, await connection.send(command));
			if (finding !== null) return { renewalsMs, finding };
			if (command.op === 'renew') renewalsMs.push(performance.now() - beganMs);
		}
		return { renewalsMs: renewalsMs.toSorted((one, other) => one - other), finding: null };
	} finally {
		await connection.remove();
		connection.close();
	}
};
