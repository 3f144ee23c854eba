import type { WitnessCommand, WitnessRecord, WitnessReply } from '#src/ports-witness.ts';
import type { HostName } from '#src/ports.ts';

/**
 * What each command does to the record, in one atomic step: the witness of the simulator. The Lua of the real
 * one (src/witness/lua.ts) is stricter in places: a new generation must grow, a claimed host may release only its
 * own VM. The two are not tested against each other yet, which has to come before an agent uses the real one.
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
	{ host, bootId, watchdogMs }: Extract<WitnessCommand, { op: 'renew' }>,
): Applied => {
	if (record.claim?.against === host) return refuse(record, 'claimed');
	const renewals = (renewalsOf(record, host) ?? 0) + 1;
	return write(record, { hosts: { ...record.hosts, [host]: { renewals, bootId, watchdogMs } } });
};

const claim = (
	record: WitnessRecord,
	{ host, against, expectedRenewals }: Extract<WitnessCommand, { op: 'claim' }>,
): Applied => {
	if (record.claim?.by === host) return accept(record);
	if (record.claim !== null) return refuse(record, 'claimed');
	if (renewalsOf(record, against) !== expectedRenewals) return refuse(record, 'renewed');
	return write(record, { claim: { by: host, against, version: record.version + 1 } });
};

const voidClaim = (
	record: WitnessRecord,
	command: Extract<WitnessCommand, { op: 'void-claim' }>,
): Applied => {
	if (record.claim === null || record.claim.version !== command.claimVersion)
		return refuse(record, 'changed');
	if (renewalsOf(record, record.claim.by) !== command.expectedRenewals)
		return refuse(record, 'renewed');
	return write(record, { claim: null });
};

type Owned = Extract<WitnessCommand, { op: 'change' | 'takeover' }>;

const put = (record: WitnessRecord, command: Owned): Applied => {
	const present = record.resources[command.resource];
	if ((present?.generation ?? 0) !== command.expectedGeneration)
		return refuse(record, 'generation');
	return write(record, { resources: { ...record.resources, [command.resource]: command.record } });
};

const change = (record: WitnessRecord, command: Owned): Applied =>
	record.claim?.against === command.host && command.record.owner !== null
		? refuse(record, 'claimed')
		: put(record, command);

const takeover = (
	record: WitnessRecord,
	command: Extract<WitnessCommand, { op: 'takeover' }>,
): Applied => {
	const { host, resource, expectedRenewals } = command;
	if (record.claim?.by !== host) return refuse(record, 'claimed');
	if (expectedRenewals !== null && renewalsOf(record, record.claim.against) !== expectedRenewals)
		return refuse(record, 'renewed');
	const present = record.resources[resource];
	if (present !== undefined && !present.inSync.includes(host)) return refuse(record, 'not-in-sync');
	return put(record, command);
};

/** Applies one command of a pair to what its key holds; null: the key is absent. */
export const applyCommand = (
	record: WitnessRecord | null,
	pairId: string,
	command: WitnessCommand,
): Applied => {
	if (record !== null && record.pairId !== pairId) return refuse(record, 'other-pair');
	if (command.op === 'seed') {
		if ((record?.version ?? null) !== command.expectedVersion) return refuse(record, 'changed');
		return accept(command.record);
	}
	if (record === null) return refuse(null, 'absent');
	switch (command.op) {
		case 'read':
			return accept(record);
		case 'renew':
			return renew(record, command);
		case 'claim':
			return claim(record, command);
		case 'withdraw':
			return record.claim?.by === command.host ? write(record, { claim: null }) : accept(record);
		case 'void-claim':
			return voidClaim(record, command);
		case 'change':
			return change(record, command);
		case 'takeover':
			return takeover(record, command);
	}
};
