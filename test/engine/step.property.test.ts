import test from 'ava';
import fc from 'fast-check';
import type { Event } from '#src/engine/event.ts';
import { devicesAt } from '#src/engine/ladder.ts';
import { step } from '#src/engine/step.ts';
import type { DiskState, PowerState, ResourceObservation, Role } from '#src/ports.ts';
import {
	engineConfig,
	exchange,
	Host,
	healthy,
	pairOf,
	toldAndNew,
	vmConfig,
} from '#test/engine/_pair.ts';

const vms = [vmConfig('web'), vmConfig('db', { priority: 5, after: ['web'] })];

const resource = (name: string): fc.Arbitrary<ResourceObservation> =>
	fc.record({
		resource: fc.constant(`r-${name}`),
		role: fc.constantFrom<Role>('Primary', 'Secondary'),
		suspended: fc.constantFrom([], ['fencing' as const]),
		connection: fc.constantFrom('Connected', 'Connecting', 'StandAlone'),
		peerRole: fc.constantFrom<Role>('Primary', 'Secondary', 'Unknown'),
		volumes: fc.array(
			fc.record({
				volume: fc.constant(0),
				disk: fc.constantFrom<DiskState>(
					'UpToDate',
					'Consistent',
					'Outdated',
					'Inconsistent',
					'Diskless',
				),
				peerDisk: fc.constantFrom<DiskState>('UpToDate', 'DUnknown', 'Outdated', 'Inconsistent'),
				replication: fc.constantFrom('Off', 'Established', 'SyncSource', 'SyncTarget'),
				outOfSyncKib: fc.constant(null),
			}),
			{ minLength: 1, maxLength: 1 },
		),
	});

const presences = fc.constantFrom('running', 'paused', 'stopped', 'dying', 'absent');

type Input = Event | { readonly type: 'end'; readonly how: number; readonly value: PowerState };

const inputs: fc.Arbitrary<Input> = fc.oneof(
	fc.constant<Event>({ type: 'tick' }),
	fc
		.option(fc.tuple(resource('web'), resource('db')))
		.map((resources): Event => ({ type: 'replication-observed', resources })),
	fc.record({ web: presences, db: presences }).map((seen): Event => ({
		type: 'hypervisor-observed',
		observation: {
			freeMemoryMib: 1024,
			vms: Object.entries(seen).flatMap(([vm, presence]) =>
				presence === 'absent'
					? []
					: [
							{
								vm,
								presence,
								reason: presence === 'stopped' ? 'crash' : null,
								neverRan: false,
								instance: '1',
							},
						],
			),
		},
	})),
	fc
		.record({ hearing: fc.constantFrom('online', 'suspect', 'silent'), boot: fc.nat(2) })
		.map(({ hearing, boot }): Event => ({
			type: 'hearing-changed',
			hearing,
			bootId: `right-boot-${boot}`,
			echoed: hearing === 'online',
			echoedMs: null,
			peerLagMs: 0,
		})),
	fc.constantFrom('r-web', 'r-db', 'r-none').map((name): Event => ({
		type: 'handler-called',
		call: { id: name, handler: 'fence-peer', resource: name },
	})),
	fc.constantFrom('start', 'stop', 'move').map((verb): Event => ({
		type: 'requested',
		id: verb,
		at: '',
		request:
			verb === 'move'
				? { verb, vm: 'web', to: null, by: 'x' }
				: verb === 'start'
					? { verb, vm: 'web', by: 'x', acceptStale: true }
					: { verb: 'stop', vm: 'web', by: 'x' },
	})),
	fc.record({
		type: fc.constant('end' as const),
		how: fc.nat(3),
		value: fc.constantFrom<PowerState>('on', 'off'),
	}),
);

const feed = (host: Host, input: Input): void => {
	if (input.type !== 'end') {
		host.take(input);
		return;
	}
	const [flight] = host.state.inFlight;
	if (flight === undefined) return;
	const { action } = flight;
	const devices = 'level' in action ? devicesAt(host.state, action.level) : [];
	const value = devices.map((device) => ({ device, power: input.value, detail: '' }));
	host.take({
		type: 'action-ended',
		id: action.id,
		outcome:
			input.how === 0
				? { result: 'unknown', detail: 'time-out' }
				: input.how === 1
					? { result: 'failed', code: 'failed', detail: 'failed' }
					: { result: 'succeeded', value },
	});
};

const runs = { numRuns: 120 };

test('no sequence of events breaks an invariant, and the state survives a JSON round trip', (t) => {
	fc.assert(
		fc.property(fc.array(fc.tuple(inputs, fc.nat(5000)), { maxLength: 40 }), (sequence) => {
			const [left] = pairOf(vms);
			for (const [input, waitMs] of sequence) {
				left.nowMs += waitMs;
				feed(left, input);
			}
			t.deepEqual(JSON.parse(JSON.stringify(left.state)), left.state);
		}),
		runs,
	);
});

test('the peer always has what a document written anew would say', (t) => {
	fc.assert(
		fc.property(fc.array(fc.tuple(inputs, fc.nat(900)), { maxLength: 40 }), (sequence) => {
			const [left] = pairOf(vms);
			for (const [input, waitMs] of sequence) {
				left.nowMs += waitMs;
				feed(left, input);
				const both = toldAndNew(left.state, left.nowMs, left.document);
				t.deepEqual(both?.told, both?.anew);
			}
		}),
		runs,
	);
});

test('the same observation twice asks for nothing new', (t) => {
	fc.assert(
		fc.property(
			fc.array(inputs, { maxLength: 20 }),
			fc.tuple(resource('web'), resource('db')),
			(sequence, resources) => {
				const [left] = pairOf(vms);
				for (const input of sequence) feed(left, input);
				left.sees(...resources).sees(...resources);
				const again = step(left.state, { type: 'replication-observed', resources }, left.nowMs);
				t.deepEqual(again.actions, []);
				t.is(again.persist, null);
			},
		),
		runs,
	);
});

test('an older record of the peer is never adopted', (t) => {
	fc.assert(
		fc.property(fc.nat(5), (generation) => {
			const [left, right] = pairOf();
			const newer = left.record();
			const document = right.document;
			const record = right.record();
			if (document === null || record === undefined || newer === undefined) return;
			left.take({
				type: 'document-received',
				document: {
					...document,
					seq: document.seq + 1,
					records: {
						'r-web': {
							...record,
							generation: Math.max(1, newer.generation - generation),
							owner: 'right',
						},
					},
				},
			});
			t.is(left.record(), newer);
		}),
		runs,
	);
});

test('two hosts with records that each claim the data alone hold and change nothing', (t) => {
	const [left, right] = pairOf();
	const boots = (host: Host, self: string, peer: string) => {
		const persisted = host.persisted;
		const local = persisted?.resources['r-web'];
		if (persisted === null || local === undefined) throw new Error('no record');
		return new Host(
			engineConfig(self, peer),
			{
				...persisted,
				resources: {
					'r-web': {
						...local,
						record: {
							...local.record,
							generation: self === 'left' ? 7 : 9,
							owner: self,
							inSync: [self],
						},
					},
				},
			},
			'boot-2',
		);
	};
	const one = boots(left, 'left', 'right');
	const other = boots(right, 'right', 'left');
	one.hears(other);
	other.hears(one);
	exchange(one, other);
	one.sees(healthy('web')).domains();
	other.sees(healthy('web')).domains();
	t.is(one.record()?.generation, 7);
	t.is(other.record()?.generation, 9);
	t.is(one.open('promote').length + other.open('promote').length, 0);
});
