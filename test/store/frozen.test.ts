import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { StateStore } from '#src/store/driver.ts';

/**
 * Files that an agent of format 1 wrote. They stand on hosts that will be upgraded: whatever becomes of
 * the format, these must load, and must never be written anew to please a change of the program.
 */
const frozen = {
	'state-v1.json': '19e9abd5434ffbb6a57a334a3e18d0bfa0f454dd108b462913b87cf146389dba',
	'state-v1-new-host.json': 'e3cf4e12c422632368a3b8ac7e7afd89bd096fe7afbaf56dcd33b9d5b58515b6',
} as const;

const pathOf = (name: keyof typeof frozen): string =>
	new URL(`../fixture/store/${name}`, import.meta.url).pathname;

const load = async (t: ExecutionContext, name: keyof typeof frozen) => {
	const text = await readFile(pathOf(name));
	t.is(createHash('sha256').update(text).digest('hex'), frozen[name], `${name} was changed`);
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-frozen-'));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	await copyFile(pathOf(name), join(directory, 'state.json'));
	const silent = { stalled: () => {}, recovered: () => {} };
	const store = new StateStore({
		directory,
		pairId: 'computing-centre',
		host: 'alpha',
		...silent,
	});
	return await store.load();
};

const bootId = '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11';

test('a state file of format 1 with something in every field loads as it was meant', async (t) => {
	t.like(await load(t, 'state-v1.json'), {
		pairId: 'computing-centre',
		host: 'alpha',
		bootId,
		joinedBootId: bootId,
		peerBootIds: ['a1b2c3d4-0000-4111-8222-333344445555', '5d6c8a90-1111-4222-8333-444455556666'],
		pair: {
			generation: 4,
			armed: true,
			by: 'root',
			reason: 'set up',
			at: '2026-03-01T03:00:00.000Z',
		},
		openFence: {
			target: 'beta',
			targetBootId: '5d6c8a90-1111-4222-8333-444455556666',
			bootId,
			atMs: 123_456.5,
		},
		deviceWrong: true,
		contactLost: { bootId, atMs: 120_000 },
		fences: [{ bootId, atMs: 123_456 }],
		resources: {
			ldap: {
				record: {
					generation: 3,
					owner: 'alpha',
					inSync: ['alpha', 'beta'],
					uuids: ['0123456789ABCDEE'],
					wanted: 'running',
					journal: { kind: 'handover', from: 'alpha', to: 'beta', start: true },
				},
				selfExcludedAt: null,
				held: null,
			},
			samba: {
				record: { generation: 9, owner: null, inSync: ['beta'], uuids: null, wanted: 'stopped' },
				selfExcludedAt: 8,
			},
			'vm-1.a': {
				record: { owner: 'beta', uuids: ['FEDCBA9876543210', '00000000000000A0'] },
				held: 'alpha says alpha owns it (generation 12), beta says beta does (generation 12)',
			},
		},
	});
});

test('a state file of format 1 of a host that has never joined loads', async (t) => {
	t.like(await load(t, 'state-v1-new-host.json'), {
		joinedBootId: null,
		peerBootIds: [],
		pair: { generation: 0, armed: false, by: '', reason: '', at: '' },
		openFence: null,
		deviceWrong: false,
		contactLost: null,
		fences: [],
		resources: {},
	});
});
