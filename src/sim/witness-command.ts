import type { WitnessCommand, WitnessRecord, WitnessReply } from '#src/ports-witness.ts';
import type { HostName } from '#src/ports.ts';

/**
 * What each command does to the record, in one atomic step: the witness of the simulator. The real one is Lua
 * (src/witness/lua.ts); test/process/witness-differential.test.ts holds the two to the same replies and records.
 */

interface Applied {
	/** The record afterwards; the one before when it was refused. */
	readonly record: WitnessRecord | null;
	readonly reply: WitnessReply;
}

type Refusal = Extract<WitnessReply, { ok: false }>['refused'];

const refuse = (record: WitnessRecord | null, refused: Refusal): Applied => ({
	record,
	reply: { ok: false, refused, record },
});

const accept = (record: WitnessRecord): Applied => ({ record, reply: { ok: true, record } });

/** The record with one write more. */
const write = (record: WitnessRecord, change: Partial<WitnessRecord>): Applied =>
	accept({ ...record, ...change, version: record.version + 1 });

const renewalsOf = (record: WitnessRecord, host: HostName): number | null =>
	record.hosts[host]?.renewals ?? null;

const renew = (
	record: WitnessRecord,
	{ host, bootId, watchdogMs, expectedRenewals }: Extract<WitnessCommand, { op: 'renew' }>,
): Applied => {
	if (record.claim?.against === host) return refuse(record, 'claimed');
	if (renewalsOf(record, host) !== expectedRenewals) return refuse(record, 'renewed');
	const renewals = (expectedRenewals ?? 0) + 1;
	return write(record, { hosts: { ...record.hosts, [host]: { renewals, bootId, watchdogMs } } });
};

/** A claim was made or ended: what was decided on before is void. */
const writeClaim = (record: WitnessRecord, next: WitnessRecord['claim']): Applied =>
	write(record, { claim: next, claimVersion: record.version + 1 });

const claim = (
	record: WitnessRecord,
	{ host, against, expectedRenewals }: Extract<WitnessCommand, { op: 'claim' }>,
): Applied => {
	if (record.claim !== null) return refuse(record, 'claimed');
	if (renewalsOf(record, against) !== expectedRenewals) return refuse(record, 'renewed');
	return writeClaim(record, { by: host, against });
};

const withdraw = (record: WitnessRecord, host: HostName): Applied =>
	record.claim?.against === host ? accept(record) : writeClaim(record, null);

const voidClaim = (
	record: WitnessRecord,
	command: Extract<WitnessCommand, { op: 'void-claim' }>,
): Applied => {
	const { claim: standing } = record;
	if (standing === null || standing.by === command.host) return refuse(record, 'changed');
	if (renewalsOf(record, standing.by) !== command.expectedRenewals)
		return refuse(record, 'renewed');
	return writeClaim(record, null);
};

type Owned = Extract<WitnessCommand, { op: 'change' | 'takeover' }>;

/** Null when the command knows the present generation and its record has a higher one. */
const generationRefusal = (record: WitnessRecord, command: Owned): Refusal | null => {
	const present = record.resources[command.resource]?.generation ?? 0;
	const { expectedGeneration, record: next } = command;
	return present === expectedGeneration && next.generation > present ? null : 'generation';
};

const put = (record: WitnessRecord, command: Owned): Applied =>
	write(record, { resources: { ...record.resources, [command.resource]: command.record } });

/** A claimed host gives its own VM up, and no growth hides in that. */
const isRelease = (record: WitnessRecord, command: Owned): boolean => {
	const before = record.resources[command.resource];
	const { owner, inSync } = command.record;
	return (
		owner === null &&
		before?.owner === command.host &&
		before.inSync.length === inSync.length &&
		before.inSync.every((host) => inSync.includes(host))
	);
};

const change = (record: WitnessRecord, command: Owned): Applied => {
	const refusal = generationRefusal(record, command);
	if (refusal !== null) return refuse(record, refusal);
	if (record.claim?.against === command.host && !isRelease(record, command))
		return refuse(record, 'claimed');
	return put(record, command);
};

const takeover = (
	record: WitnessRecord,
	command: Extract<WitnessCommand, { op: 'takeover' }>,
): Applied => {
	const { host, resource, expectedRenewals } = command;
	const { claim: standing } = record;
	if (standing === null) return refuse(record, 'changed');
	if (standing.by !== host) return refuse(record, 'claimed');
	const refusal = generationRefusal(record, command);
	if (refusal !== null) return refuse(record, refusal);
	if (expectedRenewals !== null && renewalsOf(record, standing.against) !== expectedRenewals)
		return refuse(record, 'renewed');
	if (record.resources[resource]?.inSync.includes(host) !== true)
		return refuse(record, 'not-in-sync');
	return put(record, command);
};

const seed = (
	record: WitnessRecord | null,
	{ expectedVersion, record: next }: Extract<WitnessCommand, { op: 'seed' }>,
): Applied => {
	if (record === null) return expectedVersion === null ? accept(next) : refuse(null, 'absent');
	if (record.version !== expectedVersion || next.version <= record.version)
		return refuse(record, 'changed');
	return accept(next);
};

/** Applies one command of a pair to what its key holds; null: the key is absent. */
export const applyCommand = (
	record: WitnessRecord | null,
	pairId: string,
	command: WitnessCommand,
): Applied => {
	if (record !== null && record.pairId !== pairId)
		return { record, reply: { ok: false, refused: 'other-pair', record: null } };
	if (command.op === 'seed') return seed(record, command);
	if (record === null) return refuse(null, 'absent');
	if ('claimVersion' in command && command.claimVersion !== record.claimVersion)
		return refuse(record, 'changed');
	switch (command.op) {
		case 'read':
			return accept(record);
		case 'renew':
			return renew(record, command);
		case 'claim':
			return claim(record, command);
		case 'withdraw':
			return withdraw(record, command.host);
		case 'void-claim':
			return voidClaim(record, command);
		case 'change':
			return change(record, command);
		case 'takeover':
			return takeover(record, command);
	}
};
