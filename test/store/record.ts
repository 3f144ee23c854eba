import fc from 'fast-check';
import { pauseMaxMs, stateFormat } from '#src/store/record.ts';
import type { Persisted } from '#src/store/record.ts';

/** A record with something in every field. */
export const exampleRecord: Persisted = {
	format: stateFormat,
	pairId: 'computing-centre',
	host: 'alpha',
	bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11',
	joinedBootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11',
	peerBootIds: ['5d6c8a90-1111-4222-8333-444455556666'],
	pair: {
		generation: 4,
		armed: true,
		by: 'root',
		reason: 'set up',
		at: '2026-03-01T03:00:00.000Z',
		pause: {
			by: 'root',
			reason: 'a new switch',
			at: '2026-03-02T03:00:00.000Z',
			until: '2026-03-02T04:00:00.000Z',
			forMs: 3_600_000,
		},
	},
	pauseClock: {
		generation: 4,
		bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11',
		atMs: 123_456.5,
		leftMs: 1_800_000,
	},
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
			detached: false,
			lastRun: null,
			lastDrill: {
				at: '2026-03-01T03:00:00.000Z',
				from: 'alpha',
				to: 'beta',
				ran: true,
				tookMs: 5200,
			},
		},
		samba: {
			record: {
				generation: 9,
				owner: null,
				inSync: ['beta'],
				uuids: null,
				wanted: 'stopped',
				journal: null,
			},
			selfExcludedAt: 8,
			held: null,
			detached: false,
			lastRun: null,
			lastDrill: null,
		},
	},
	deviceWrong: false,
	contactLost: { bootId: 'boot-1', atMs: 12 },
	openFence: {
		target: 'beta',
		targetBootId: '5d6c8a90-1111-4222-8333-444455556666',
		bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11',
		atMs: 123_456.5,
		levels: [0, 1],
	},
	fences: [{ bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11', atMs: 123_456 }],
	witness: {
		confirmedRunId: '7f3c',
		version: 40,
		generations: { ldap: 3 },
		voidBelow: 1_000_000_040,
		peerUnarmed: true,
		reserved: { ldap: 5 },
		claiming: true,
		disarmed: 4,
		paused: { ldap: '17' },
	},
	arbiter: { round: 2, now: 'witness', next: 'fencing' },
	leaving: { how: 'migrate', bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11', done: false },
	standby: { by: 'root', reason: 'a new disk', at: '2026-03-01T03:00:00.000Z' },
	loadMoves: {
		ldap: { bootId: '0b9f6f5e-3c0e-4f0e-9f8b-6a3f2f1d7c11', atMs: 99, moves: 2, open: false },
	},
};

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,20}$/);
const text = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' });
const uuid = fc.stringMatching(/^[0-9A-F]{16}$/);
const count = fc.integer({ min: 1, max: 2 ** 40 });
const pauseMs = fc.integer({ min: 1, max: pauseMaxMs });
const timeMs = fc.integer({ min: 0, max: 2 ** 40 });

const resource = fc.record({
	record: fc.record({
		generation: count,
		owner: fc.option(name),
		inSync: fc.array(name, { maxLength: 2 }),
		uuids: fc.option(fc.array(uuid, { maxLength: 4 })),
		wanted: fc.constantFrom('running' as const, 'stopped' as const),
		journal: fc.option(
			fc.record(
				{
					kind: fc.constant('handover' as const),
					from: name,
					to: name,
					start: fc.boolean(),
					drill: fc.constantFrom('shutdown' as const, 'destroy' as const),
				},
				{ requiredKeys: ['kind', 'from', 'to', 'start'] },
			),
		),
	}),
	selfExcludedAt: fc.option(count),
	held: fc.option(text),
	detached: fc.boolean(),
	lastRun: fc.option(fc.record({ from: text, to: fc.option(text) })),
	lastDrill: fc.option(
		fc.record({ at: text, from: name, to: name, ran: fc.boolean(), tookMs: timeMs }),
	),
});

/** Any record that fits the format. */
export const records: fc.Arbitrary<Persisted> = fc.record({
	format: fc.constant(stateFormat),
	pairId: name,
	host: name,
	bootId: name,
	joinedBootId: fc.option(name),
	peerBootIds: fc.array(name, { maxLength: 5 }),
	pair: fc.record(
		{
			generation: timeMs,
			armed: fc.boolean(),
			by: text,
			reason: text,
			at: text,
			pause: fc.record({ by: text, reason: text, at: text, until: text, forMs: pauseMs }),
		},
		{ requiredKeys: ['generation', 'armed', 'by', 'reason', 'at'] },
	),
	pauseClock: fc.option(
		fc.record({ generation: timeMs, bootId: name, atMs: timeMs, leftMs: timeMs }),
	),
	resources: fc.dictionary(name, resource, { maxKeys: 6, noNullPrototype: true }),
	deviceWrong: fc.boolean(),
	contactLost: fc.constantFrom(null, { bootId: 'boot-1', atMs: 5 }),
	openFence: fc.option(
		fc.record({
			target: name,
			targetBootId: fc.option(name),
			bootId: name,
			atMs: timeMs,
			levels: fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 8 }),
		}),
	),
	fences: fc.array(fc.record({ bootId: name, atMs: timeMs }), { maxLength: 4 }),
	witness: fc.option(
		fc.record({
			confirmedRunId: fc.option(name),
			version: timeMs,
			generations: fc.dictionary(name, count, { maxKeys: 3, noNullPrototype: true }),
			voidBelow: timeMs,
			peerUnarmed: fc.boolean(),
			reserved: fc.dictionary(name, count, { maxKeys: 3, noNullPrototype: true }),
			claiming: fc.boolean(),
			disarmed: fc.option(timeMs),
			paused: fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true }),
		}),
	),
	arbiter: fc.option(
		fc.record({
			round: count,
			now: fc.constantFrom('witness' as const, 'fencing' as const, 'person' as const),
			next: fc.constantFrom(null, 'witness' as const, 'person' as const),
		}),
	),
	leaving: fc.option(
		fc.record({
			how: fc.constantFrom('migrate' as const, 'hand-over' as const, 'stop' as const),
			bootId: name,
			done: fc.boolean(),
		}),
	),
	standby: fc.option(fc.record({ by: text, reason: text, at: text })),
	loadMoves: fc.dictionary(
		name,
		fc.record({ bootId: name, atMs: timeMs, moves: count, open: fc.boolean() }),
		{ maxKeys: 3, noNullPrototype: true },
	),
});
