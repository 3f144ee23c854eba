import type { ExecutionContext } from 'ava';
import type {
	WitnessAnswer,
	WitnessCommand,
	WitnessRecord,
	WitnessReply,
	witnessRefusals,
} from '#src/ports-witness.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import type { WitnessServer } from '#test/process/redis.ts';

/** A reply and where it came from, in one. */
type Answer = WitnessReply & Pick<WitnessAnswer, 'runId' | 'sentMs'>;

export const pairId = 'computing-centre';

export const resource = (
	generation: number,
	changes: Partial<ResourceRecord> = {},
): ResourceRecord => ({
	generation,
	owner: 'alpha',
	inSync: ['alpha', 'beta'],
	uuids: [],
	wanted: 'running',
	journal: null,
	...changes,
});

/** The record of a healthy pair, as both hosts write it together. */
export const healthy = (changes: Partial<WitnessRecord> = {}): WitnessRecord => ({
	format: 1,
	pairId,
	version: 1,
	hosts: {
		alpha: { renewals: 0, bootId: 'boot-a', watchdogMs: 5000 },
		beta: { renewals: 0, bootId: 'boot-b', watchdogMs: null },
	},
	claim: null,
	claimVersion: 1,
	resources: { ldap: resource(1), samba: resource(3, { owner: 'beta', inSync: [], uuids: null }) },
	...changes,
});

/** An open connection that is ended after the test. */
export const connected = async (
	t: ExecutionContext,
	server: WitnessServer,
): Promise<WitnessConnection> => {
	const connection = new WitnessConnection(server.access(), pairId);
	t.teardown(() => connection.close());
	const opened = await connection.open();
	t.is(opened.state, 'open', JSON.stringify(opened));
	return connection;
};

/** The answer of a command that the server carried out or refused. */
export const ask = async (
	connection: WitnessConnection,
	command: WitnessCommand,
): Promise<Answer> => {
	const outcome = await connection.send(command);
	if (outcome.result !== 'succeeded') throw new Error(`${command.op}: ${outcome.detail}`);
	const { runId, sentMs, reply } = outcome.value;
	if (!('record' in reply)) throw new Error(`${command.op}: ${reply.detail}`);
	return { ...reply, runId, sentMs };
};

/** The record after a command that is accepted. */
export const accepted = async (
	t: ExecutionContext,
	connection: WitnessConnection,
	command: WitnessCommand,
): Promise<WitnessRecord> => {
	const answer = await ask(connection, command);
	if (!answer.ok) throw new Error(`${command.op} was refused: ${answer.refused}`);
	t.is(answer.record.pairId, pairId);
	return answer.record;
};

/** A command is refused for this reason, and changes nothing. */
export const refused = async (
	t: ExecutionContext,
	connection: WitnessConnection,
	command: WitnessCommand,
	reason: (typeof witnessRefusals)[number],
): Promise<void> => {
	const before = await ask(connection, { op: 'read', host: 'alpha' });
	const answer = await ask(connection, command);
	t.is(answer.ok ? 'accepted' : answer.refused, reason, JSON.stringify(command));
	t.deepEqual((await ask(connection, { op: 'read', host: 'alpha' })).record, before.record);
};
