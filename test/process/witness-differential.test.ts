import test from 'ava';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import type {
	WitnessCommand,
	WitnessRecord,
	WitnessReply,
	witnessRefusals,
} from '#src/ports-witness.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { applyCommand } from '#src/sim/witness-command.ts';
import { evalWords, readReply } from '#src/witness/lua.ts';
import { witnessServer } from '#test/process/redis.ts';

/**
 * What the simulation proves, it proves of the witness in src/sim/witness-command.ts; agents run the Lua. Both
 * are given the same commands here, and must give the same replies and hold the same record.
 */

const hosts = ['alpha', 'beta'] as const;
const resources = ['ldap', 'samba'] as const;

/** What a command is made of; the numbers that it expects are put in when the record before it is known. */
const anyIntent = fc.record({
	op: fc.oneof(
		...(
			[
				['read', 1],
				['renew', 4],
				['seed', 2],
				['claim', 5],
				['withdraw', 2],
				['void-claim', 3],
				['change', 5],
				['release', 2],
				['takeover', 6],
				['again', 3],
				['lose', 0.25],
			] as const
		).map(([op, weight]) => ({ weight: weight * 4, arbitrary: fc.constant(op) })),
	),
	host: fc.constantFrom(...hosts),
	/** Added to what is there: 0 is fresh. Null: nothing is expected. */
	staleness: fc.oneof(
		{ weight: 8, arbitrary: fc.constant(0) },
		{ weight: 1, arbitrary: fc.constantFrom(-1, 1, -3) },
		{ weight: 1, arbitrary: fc.constant(null) },
	),
	resource: fc.constantFrom(...resources),
	owner: fc.constantFrom('self', 'self', 'peer', null, null),
	inSync: fc.oneof(
		{ weight: 2, arbitrary: fc.constant(null) },
		{ weight: 3, arbitrary: fc.constantFrom(['alpha', 'beta'], ['alpha'], ['beta'], []) },
		{ weight: 1, arbitrary: fc.constant(['alpha', 'alpha']) },
	),
	growth: fc.oneof(
		{ weight: 6, arbitrary: fc.constantFrom(1, 2, 1000, 1_000_000) },
		{ weight: 1, arbitrary: fc.constantFrom(0, -1) },
	),
	watchdogMs: fc.constantFrom(5000, 4000, null),
	pick: fc.nat(29),
});

type Intent = typeof anyIntent extends fc.Arbitrary<infer Value> ? Value : never;

const otherThan = (host: string): string => (host === 'alpha' ? 'beta' : 'alpha');

/** The number that is there (null: none is), as the intent knows it. */
const known = (present: number | null, staleness: number | null): number | null =>
	staleness === null || (present === null && staleness === 0)
		? null
		: Math.max(0, (present ?? 0) + staleness);

const nextRecord = (present: ResourceRecord | undefined, intent: Intent): ResourceRecord => {
	const { host, owner, growth } = intent;
	return {
		generation: Math.max(1, (present?.generation ?? 0) + growth),
		owner: owner === 'self' ? host : owner === 'peer' ? otherThan(host) : null,
		inSync: [...(intent.inSync ?? present?.inSync ?? hosts)],
		uuids: owner === 'self' ? ['0123456789ABCDEE'] : null,
		wanted: 'running',
		journal:
			owner === 'peer' ? { kind: 'handover', from: host, to: otherThan(host), start: true } : null,
	};
};

/** Of the claimed host, when one is: its own VM given up, with the in-sync set as it is or not. */
const asRelease = (record: WitnessRecord | null, intent: Intent): Intent => {
	const host = hosts.find((each) => record?.claim?.against === each) ?? intent.host;
	const resource = resources.find((each) => record?.resources[each]?.owner === host);
	return { ...intent, host, resource: resource ?? intent.resource, owner: null };
};

const seedRecord = (pairId: string, version: number, intent: Intent): WitnessRecord => {
	const { growth, host, pick } = intent;
	return {
		format: 1,
		// One seed in thirty leaves a key that another pair wrote.
		pairId: pick === 0 ? 'another-pair' : pairId,
		version: Math.max(1, version + growth),
		hosts: pick % 3 === 0 ? {} : { [host]: { renewals: pick, bootId: 'boot', watchdogMs: null } },
		claim: null,
		claimVersion: pick % 4 === 0 ? 0 : Math.max(1, version + growth),
		resources: pick % 5 === 0 ? {} : { [intent.resource]: nextRecord(undefined, intent) },
	};
};

const commandOf = (
	record: WitnessRecord | null,
	pairId: string,
	intent: Intent & { readonly op: WitnessCommand['op'] },
): WitnessCommand => {
	const { op, host, resource, staleness } = intent;
	const present = record?.resources[resource];
	/** One in seven was decided on before a claim was made or ended, or names one that nobody made yet. */
	const off = intent.pick % 14 === 0 ? 1 : intent.pick % 14 === 7 ? -1 : 0;
	const claimVersion = Math.max(0, (record?.claimVersion ?? 1) + off);
	const renewals = (of: string): number | null =>
		known(record?.hosts[of]?.renewals ?? null, staleness);
	switch (op) {
		case 'read':
			return { op, host };
		case 'withdraw':
			return { op, host, claimVersion };
		case 'renew': {
			const { pick, watchdogMs } = intent;
			const expectedRenewals = renewals(host);
			return { op, host, bootId: `boot-${pick}`, watchdogMs, expectedRenewals };
		}
		case 'seed': {
			const expectedVersion = known(record?.version ?? null, staleness);
			return {
				op,
				host,
				expectedVersion,
				record: seedRecord(pairId, record?.version ?? 0, intent),
			};
		}
		case 'claim':
			return {
				op,
				host,
				claimVersion,
				against: otherThan(host),
				expectedRenewals: renewals(otherThan(host)),
			};
		case 'void-claim':
			return { op, host, claimVersion, expectedRenewals: renewals(otherThan(host)) ?? 0 };
		case 'change':
		case 'takeover': {
			const expectedGeneration = known(present?.generation ?? 0, staleness) ?? 0;
			const next = nextRecord(present, intent);
			const owned = { host, claimVersion, resource, expectedGeneration, record: next };
			// As silence was read, or without it.
			const expectedRenewals = intent.pick % 4 === 0 ? null : renewals(otherThan(host));
			return op === 'change'
				? { op, ...owned }
				: { op, ...owned, expectedRenewals, expectedGeneration: present?.generation ?? 0 };
		}
	}
};

/** One thing done to both: a command, or the loss of the key. */
interface Deed {
	readonly command: WitnessCommand | null;
	readonly reply: WitnessReply | null;
	readonly record: WitnessRecord | null;
}

/** The intents as commands, with what the simulated witness makes of each. */
const simulated = (pairId: string, intents: readonly Intent[]): readonly Deed[] => {
	const deeds: Deed[] = [];
	let record: WitnessRecord | null = null;
	for (const intent of intents) {
		const { op } = intent;
		if (op === 'lose') {
			record = null;
			deeds.push({ command: null, reply: null, record });
			continue;
		}
		const earlier = deeds[intent.pick % Math.max(1, deeds.length)]?.command ?? null;
		const command: WitnessCommand =
			op === 'again'
				? (earlier ?? { op: 'read', host: intent.host })
				: op === 'release'
					? commandOf(record, pairId, { ...asRelease(record, intent), op: 'change' })
					: commandOf(record, pairId, { ...intent, op });
		const applied = applyCommand(record, pairId, command);
		record = applied.record;
		deeds.push({ command, reply: applied.reply, record });
	}
	return deeds;
};

/** The same commands on a key of their own, in one go; then what the key holds, whoever's it is. */
const carriedOut = async (
	redis: Redis,
	pairId: string,
	deeds: readonly Deed[],
): Promise<readonly (WitnessReply | null)[]> => {
	const pipeline = redis.pipeline();
	for (const { command } of deeds)
		if (command === null) pipeline.del(`vmpair:${pairId}`);
		else pipeline.call('EVAL', ...evalWords(pairId, command));
	const holder = deeds.at(-1)?.record?.pairId ?? pairId;
	pipeline.call('EVAL', ...evalWords(pairId, { op: 'read', host: 'alpha' }).with(3, holder));
	const results = (await pipeline.exec()) ?? [];
	return results.map(([error, raw], at) => {
		if (error !== null) throw error;
		const command = deeds[at]?.command;
		return command === null ? null : readReply(raw);
	});
};

type Ending = 'done' | 'released' | (typeof witnessRefusals)[number];

/** Every way in which each command can end, so that nothing here is tested by luck. */
const endings: Readonly<Record<WitnessCommand['op'], readonly Ending[]>> = {
	read: ['done', 'absent', 'other-pair'],
	renew: ['done', 'absent', 'other-pair', 'claimed', 'renewed'],
	seed: ['done', 'absent', 'other-pair', 'changed'],
	claim: ['done', 'absent', 'other-pair', 'changed', 'claimed', 'renewed'],
	withdraw: ['done', 'absent', 'other-pair', 'changed'],
	'void-claim': ['done', 'absent', 'other-pair', 'changed', 'renewed'],
	change: ['done', 'released', 'absent', 'other-pair', 'changed', 'claimed', 'generation'],
	takeover: [
		'done',
		'absent',
		'other-pair',
		'changed',
		'claimed',
		'generation',
		'renewed',
		'not-in-sync',
	],
};

const endingOf = (command: WitnessCommand, reply: WitnessReply): Ending => {
	if (!reply.ok) return reply.refused;
	const underClaim = command.op === 'change' && reply.record.claim?.against === command.host;
	return underClaim ? 'released' : 'done';
};

test('the simulated witness and the real one answer alike and hold the same record', async (t) => {
	const server = await witnessServer(t);
	const seen = new Map<string, number>();
	let run = 0;
	const compare = async (redis: Redis, intents: readonly Intent[]): Promise<void> => {
		run += 1;
		const pairId = `pair-${run}`;
		const deeds = simulated(pairId, intents);
		const replies = await carriedOut(redis, pairId, deeds);
		deeds.forEach(({ command, reply }, at) => {
			t.deepEqual(replies[at], reply, `command ${at + 1}: ${JSON.stringify(command)}`);
			if (command === null || reply === null) return;
			const ending = `${command.op} ${endingOf(command, reply)}`;
			seen.set(ending, (seen.get(ending) ?? 0) + 1);
		});
		const last = deeds.at(-1)?.record ?? null;
		t.deepEqual(replies.at(-1)?.record, last, 'what the key holds in the end');
	};
	const first = anyIntent.map((intent): Intent => ({ ...intent, op: 'seed', growth: 1 }));
	const anyStory = fc.tuple(first, fc.array(anyIntent, { maxLength: 29, size: 'max' }));
	await server.admin(async (redis) => {
		await fc.assert(
			fc.asyncProperty(anyStory, ([seed, rest]) => compare(redis, [seed, ...rest])),
			{ numRuns: 500 },
		);
	});
	const wanted = Object.entries(endings).flatMap(([op, of]) =>
		of.map((ending) => `${op} ${ending}`),
	);
	t.deepEqual([...seen.keys()].toSorted(), wanted.toSorted(), 'each ending was met, and no other');
});
