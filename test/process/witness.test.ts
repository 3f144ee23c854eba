import test from 'ava';
import { witnessServer } from '#test/process/redis.ts';
import {
	accepted,
	ask,
	connected,
	healthy,
	pairId,
	refused,
	resource,
} from '#test/process/witness-record.ts';

/** The first claim after `healthy` was seeded. */
const claimOfAlpha = {
	op: 'claim',
	host: 'alpha',
	claimVersion: 1,
	against: 'beta',
	expectedRenewals: 0,
} as const;

test('a record is seeded where there is none, or over the version that both hosts saw', async (t) => {
	const one = await connected(t, await witnessServer(t));
	await refused(t, one, { op: 'read', host: 'alpha' }, 'absent');
	await refused(
		t,
		one,
		{ op: 'renew', host: 'alpha', bootId: 'a', watchdogMs: 5000, expectedRenewals: null },
		'absent',
	);
	const seed = { op: 'seed', host: 'alpha' } as const;
	await refused(t, one, { ...seed, expectedVersion: 4, record: healthy() }, 'absent');
	t.deepEqual(
		await accepted(t, one, { ...seed, expectedVersion: null, record: healthy() }),
		healthy(),
	);
	t.deepEqual(await accepted(t, one, { op: 'read', host: 'alpha' }), healthy());
	await refused(t, one, { ...seed, expectedVersion: null, record: healthy() }, 'changed');
	await refused(
		t,
		one,
		{ ...seed, expectedVersion: 2, record: healthy({ version: 9 }) },
		'changed',
	);
	// A version that does not grow would look like an older record.
	await refused(t, one, { ...seed, expectedVersion: 1, record: healthy() }, 'changed');
	const next = healthy({ version: 40, resources: { ui: resource(7) } });
	t.deepEqual(await accepted(t, one, { ...seed, expectedVersion: 1, record: next }), next);
	t.deepEqual(await accepted(t, one, { op: 'read', host: 'alpha' }), next);
});

test('a renewal counts, names the boot and the watchdog, and is refused under a claim', async (t) => {
	const server = await witnessServer(t);
	const one = await connected(t, server);
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() });
	const renew = { op: 'renew', host: 'beta', bootId: 'boot-b2', watchdogMs: 4000 } as const;
	const record = await accepted(t, one, { ...renew, expectedRenewals: 0 });
	t.deepEqual(record.hosts['beta'], { renewals: 1, bootId: 'boot-b2', watchdogMs: 4000 });
	t.deepEqual(record.hosts['alpha'], healthy().hosts['alpha']);
	t.is(record.version, 2);
	const next = await accepted(t, one, { ...renew, watchdogMs: null, expectedRenewals: 1 });
	t.is(next.hosts['beta']?.watchdogMs, null);
	// An older renewal that was under way all the time does not bring the watchdog back.
	await refused(t, one, { ...renew, expectedRenewals: 0 }, 'renewed');
	await refused(t, one, { ...renew, expectedRenewals: null }, 'renewed');
	await accepted(t, one, { ...claimOfAlpha, expectedRenewals: 2 });
	await refused(t, one, { ...renew, expectedRenewals: 2 }, 'claimed');
	await accepted(t, one, { ...renew, host: 'alpha', expectedRenewals: 0 });
	await accepted(t, one, { ...renew, host: 'gamma', expectedRenewals: null });
});

test('a claim stands alone, is made on what was seen, and goes when it is withdrawn', async (t) => {
	const one = await connected(t, await witnessServer(t));
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() });
	await refused(t, one, { ...claimOfAlpha, expectedRenewals: 3 }, 'renewed');
	await refused(t, one, { ...claimOfAlpha, expectedRenewals: null }, 'renewed');
	const claimed = await accepted(t, one, claimOfAlpha);
	t.deepEqual(claimed.claim, { by: 'alpha', against: 'beta' });
	t.is(claimed.claimVersion, 2);
	t.is(claimed.version, 2);
	await refused(t, one, claimOfAlpha, 'changed');
	await refused(t, one, { ...claimOfAlpha, claimVersion: 2 }, 'claimed');
	await refused(
		t,
		one,
		{ op: 'claim', host: 'beta', claimVersion: 2, against: 'alpha', expectedRenewals: 0 },
		'claimed',
	);
	// Nobody withdraws the claim of the other.
	t.deepEqual(await accepted(t, one, { op: 'withdraw', host: 'beta', claimVersion: 2 }), claimed);
	const withdraw = { op: 'withdraw', host: 'alpha', claimVersion: 2 } as const;
	const none = await accepted(t, one, withdraw);
	t.is(none.claim, null);
	t.is(none.claimVersion, 3);
	const other = await accepted(t, one, { ...claimOfAlpha, claimVersion: 3 });
	t.deepEqual(other.claim, { by: 'alpha', against: 'beta' });
	// The first withdrawal, once more: that claim is over, and this one is another.
	await refused(t, one, withdraw, 'changed');
});

test('a withdrawal without a claim bars the one that is still under way', async (t) => {
	const one = await connected(t, await witnessServer(t));
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() });
	await accepted(t, one, { op: 'withdraw', host: 'alpha', claimVersion: 1 });
	await refused(t, one, claimOfAlpha, 'changed');
});

test('what was decided before a claim was made or ended is refused after it', async (t) => {
	const one = await connected(t, await witnessServer(t));
	const resources = { samba: resource(3, { owner: 'beta' }) };
	const record = healthy({ resources });
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record });
	const owned = { resource: 'samba', expectedGeneration: 3 } as const;
	const exclusion = {
		...owned,
		op: 'change',
		host: 'beta',
		claimVersion: 1,
		record: resource(5, { owner: 'beta', inSync: ['beta'] }),
	} as const;
	const takeover = {
		...owned,
		op: 'takeover',
		host: 'alpha',
		claimVersion: 2,
		expectedRenewals: 0,
		record: resource(1003, { owner: 'alpha', inSync: ['alpha'] }),
	} as const;
	const release = {
		...owned,
		op: 'change',
		host: 'beta',
		claimVersion: 2,
		record: resource(5, { owner: null }),
	} as const;
	await accepted(t, one, claimOfAlpha);
	await refused(t, one, exclusion, 'changed');
	await accepted(t, one, { op: 'withdraw', host: 'alpha', claimVersion: 2 });
	await refused(t, one, takeover, 'changed');
	await refused(t, one, release, 'changed');
	// Another claim of the same host is another one.
	await accepted(t, one, { ...claimOfAlpha, claimVersion: 3 });
	await refused(t, one, takeover, 'changed');
	await refused(t, one, release, 'changed');
	await accepted(t, one, { ...takeover, claimVersion: 4 });
});

test('the claim of a peer that renews no more can be voided, a newer one or a live one cannot', async (t) => {
	const one = await connected(t, await witnessServer(t));
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() });
	const seen = { claimVersion: 2, expectedRenewals: 0 };
	const avoid = { op: 'void-claim', host: 'beta', ...seen } as const;
	await refused(t, one, avoid, 'changed');
	await accepted(t, one, claimOfAlpha);
	await refused(t, one, { ...avoid, claimVersion: 1 }, 'changed');
	await refused(t, one, { ...avoid, host: 'alpha' }, 'changed');
	const renew = { op: 'renew', bootId: 'boot', watchdogMs: null, expectedRenewals: 0 } as const;
	await accepted(t, one, { ...renew, host: 'alpha' });
	await refused(t, one, avoid, 'renewed');
	const record = await accepted(t, one, { ...avoid, expectedRenewals: 1 });
	t.is(record.claim, null);
	t.is(record.claimVersion, 4);
	await refused(t, one, { ...avoid, claimVersion: 4 }, 'changed');
	await accepted(t, one, { ...renew, host: 'beta' });
});

test('a change needs the generation it was decided on, and a generation that grows', async (t) => {
	const one = await connected(t, await witnessServer(t));
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() });
	const change = {
		op: 'change',
		host: 'alpha',
		claimVersion: 1,
		resource: 'ldap',
		expectedGeneration: 1,
	} as const;
	const next = resource(2, { inSync: ['alpha'], uuids: ['0123456789ABCDEE'] });
	await refused(t, one, { ...change, expectedGeneration: 0, record: next }, 'generation');
	await refused(t, one, { ...change, expectedGeneration: 2, record: resource(3) }, 'generation');
	await refused(t, one, { ...change, record: resource(1, { owner: null }) }, 'generation');
	const record = await accepted(t, one, { ...change, record: next });
	t.deepEqual(record.resources, { ...healthy().resources, ldap: next });
	await refused(t, one, { ...change, record: next }, 'generation');
	const fresh = { ...change, resource: 'batch', expectedGeneration: 0, record: resource(12) };
	t.deepEqual((await accepted(t, one, fresh)).resources['batch'], resource(12));
});

test('a claimed host may give its own VM up and change nothing else', async (t) => {
	const one = await connected(t, await witnessServer(t));
	const resources = { ldap: resource(1), samba: resource(3, { owner: 'beta' }) };
	const record = healthy({ resources });
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record });
	await accepted(t, one, claimOfAlpha);
	const change = {
		op: 'change',
		host: 'beta',
		claimVersion: 2,
		resource: 'samba',
		expectedGeneration: 3,
	} as const;
	const to = (changes: object) => ({ ...change, record: resource(4, changes) });
	await refused(t, one, to({ owner: 'beta', inSync: ['beta'] }), 'claimed');
	await refused(t, one, to({ owner: 'beta' }), 'claimed');
	await refused(t, one, to({ owner: null, inSync: ['beta'] }), 'claimed');
	await refused(
		t,
		one,
		{ ...to({ owner: null }), resource: 'ldap', expectedGeneration: 1 },
		'claimed',
	);
	const released = await accepted(t, one, to({ owner: null }));
	t.is(released.resources['samba']?.owner, null);
	// The claimer itself goes on.
	await accepted(t, one, {
		...change,
		host: 'alpha',
		resource: 'ldap',
		expectedGeneration: 1,
		record: resource(2, { inSync: ['alpha'] }),
	});
});

test('a takeover needs the claim, the generation, the silence and a copy in sync', async (t) => {
	const one = await connected(t, await witnessServer(t));
	const resources = {
		samba: resource(3, { owner: 'beta' }),
		batch: resource(5, { owner: 'beta', inSync: ['beta'] }),
	};
	const record = healthy({ resources });
	await accepted(t, one, { op: 'seed', host: 'alpha', expectedVersion: null, record });
	const seen = { expectedGeneration: 3, expectedRenewals: 0 };
	const next = resource(4, { owner: 'alpha', inSync: ['alpha'] });
	const takeover = {
		...seen,
		op: 'takeover',
		host: 'alpha',
		claimVersion: 2,
		resource: 'samba',
		record: next,
	} as const;
	await refused(t, one, takeover, 'changed');
	await refused(t, one, { ...takeover, claimVersion: 1 }, 'changed');
	await accepted(t, one, claimOfAlpha);
	await refused(t, one, { ...takeover, host: 'beta' }, 'claimed');
	await refused(t, one, { ...takeover, expectedGeneration: 2 }, 'generation');
	await refused(t, one, { ...takeover, record: resource(3) }, 'generation');
	await refused(t, one, { ...takeover, expectedRenewals: 1 }, 'renewed');
	const stale = { ...takeover, resource: 'batch', expectedGeneration: 5, record: resource(6) };
	await refused(t, one, stale, 'not-in-sync');
	const taken = await accepted(t, one, { ...takeover, expectedRenewals: null });
	t.deepEqual(taken.resources['samba'], takeover.record);
	t.deepEqual(taken.resources['batch'], resources.batch);
});

test('a key of another pair is left alone, and a damaged record is named', async (t) => {
	const server = await witnessServer(t);
	const one = await connected(t, server);
	const key = `vmpair:${pairId}`;
	const seed = { op: 'seed', host: 'alpha', expectedVersion: null, record: healthy() } as const;
	await accepted(t, one, seed);
	await server.admin((redis) => redis.hset(key, 'pair', 'elsewhere'));
	await refused(t, one, { op: 'read', host: 'alpha' }, 'other-pair');
	await refused(t, one, seed, 'other-pair');
	await server.admin((redis) => redis.hset(key, 'pair', pairId));
	await accepted(t, one, { op: 'read', host: 'alpha' });
	const damage = async (work: () => Promise<unknown>): Promise<void> => {
		await work();
		const outcome = await one.send({ op: 'read', host: 'alpha' });
		if (outcome.result !== 'succeeded') return t.fail(outcome.detail);
		const { reply } = outcome.value;
		t.like(reply, { ok: false, refused: 'unreadable' });
		t.regex('detail' in reply ? reply.detail : '', /vmpair:computing-centre/);
		return undefined;
	};
	const fields: readonly (readonly [string, string])[] = [
		['resource:ldap', '{"generation":1'],
		['resource:ldap', '{"generation":0}'],
		['version', 'many'],
		['renewals:alpha', '-1'],
		['claim-by', 'alpha'],
		['claim-version', 'none'],
		['format', '2'],
	];
	for (const [field, value] of fields) {
		const before = await server.admin((redis) => redis.hget(key, field));
		await damage(() => server.admin((redis) => redis.hset(key, field, value)));
		await server.admin((redis) => redis.hset(key, field, before ?? ''));
		await accepted(t, one, { op: 'read', host: 'alpha' });
	}
	await damage(() => server.admin((redis) => redis.set(key, 'text')));
	t.is(await ask(one, { op: 'read', host: 'alpha' }).catch(() => null), null);
});
