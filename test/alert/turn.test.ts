import test from 'ava';
import fc from 'fast-check';
import { condition } from '#src/alert/condition.ts';
import type { Severity } from '#src/alert/condition.ts';
import { conditionMessage } from '#src/alert/message.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import { applyLine, emptyOutbox, pendingFor } from '#src/alert/outbox.ts';
import type { OutboxLine, OutboxState } from '#src/alert/outbox.ts';
import {
	dueOf,
	firstSeesMs,
	firstTellsMs,
	orphansOf,
	tellingsOf,
	turnOf,
} from '#src/alert/turn.ts';
import type { Telling } from '#src/alert/turn.ts';

const sink = { name: 'pager', minimum: 'info' } as const;

/** Two hosts with one receiver, as the outbox of each behaves, with time in steps of 100 ms. */
class Model {
	nowMs = 0;
	joined = true;
	/** What the receiver knows of, by its key. */
	readonly known = new Set<string>();
	readonly told: string[] = [];
	/** Said to be over by a host that did not hear the other one, which had begun to see it only after that. */
	readonly endedApart = new Set<string>();
	/** The host that is known to be out; null: none. */
	out: number | null = null;
	readonly hosts = ['alpha', 'beta'].map((host, index) => ({
		host,
		first: index === 0,
		state: emptyOutbox as OutboxState,
		takenMs: new Map<string, number>(),
		orphanedMs: new Map<string, number>(),
		/** What it last heard from the other one; null: nothing in this run. */
		heard: null as ReadonlyMap<string, Telling> | null,
	}));

	see(index: number, key: string, severity: Severity | null): void {
		const one = this.#host(index);
		const open = one.state.incidents.get(key);
		if ((open === undefined) === (severity === null)) return;
		const about =
			open?.condition ??
			condition({
				name: key,
				subject: null,
				pairId: 'pair',
				severity: severity ?? 'info',
				summary: key,
				next: '',
			});
		const sequence = one.state.sequence + 1;
		const incident = open ?? { incident: `${one.host}-${sequence}`, condition: about, since: '' };
		this.#tell(index, severity === null ? 'resolved' : 'fired', incident);
	}

	#host(index: number) {
		const found = this.hosts[index];
		if (found === undefined) throw new Error('two hosts');
		return found;
	}

	#tell(
		index: number,
		kind: 'fired' | 'resolved',
		incident: Parameters<typeof conditionMessage>[1]['incident'],
		only?: readonly string[],
	): void {
		const one = this.#host(index);
		const sequence = one.state.sequence + 1;
		const sender = { pairId: 'pair', host: one.host };
		const message = conditionMessage(sender, { kind, incident, at: '', sequence });
		one.takenMs.set(message.id, this.nowMs);
		this.#apply(
			index,
			only === undefined ? { op: 'message', message } : { op: 'message', message, only },
		);
		this.#apply(
			index,
			kind === 'resolved' ? { op: 'close', key: incident.condition.key } : { op: 'open', incident },
		);
	}

	#apply(index: number, line: OutboxLine): void {
		const one = this.#host(index);
		one.state = applyLine(one.state, line);
	}

	/** 100 ms: both say what they tell, and each sends what it is its turn to send. */
	step(): void {
		this.nowMs += 100;
		const said = this.hosts.map(({ state }) => tellingsOf(state, [sink]));
		for (const [index, one] of this.hosts.entries())
			if (this.joined) one.heard = new Map(said[1 - index]?.map((each) => [each.key, each]));
			else if (this.out === 1 - index) one.heard = null;
		for (const index of [0, 1]) if (this.out !== index) this.#send(index);
	}

	#send(index: number): void {
		const one = this.#host(index);
		const peer = one.heard;
		for (;;) {
			const turnFor = (message: AlertMessage) =>
				one.state.only.has(message.id)
					? 0
					: turnOf(message, {
							sink: sink.name,
							peer,
							heard: this.joined,
							first: one.first,
							ageMs: this.nowMs - (one.takenMs.get(message.id) ?? 0),
							left: one.state.left.get(String(message.data['incident']))?.has(sink.name) === true,
						});
			const due = dueOf(pendingFor(one.state, sink), turnFor);
			const message = due.leave ?? due.message;
			if (message === null) break;
			const key = String(message.data['key']);
			const incident = String(message.data['incident']);
			const done = { op: 'done', id: message.id, sink: sink.name } as const;
			const fires = message.type === 'condition.fired';
			this.#apply(index, { ...done, result: due.leave === null ? 'delivered' : 'told-by-peer' });
			if (due.leave !== null) {
				if (fires)
					this.#apply(index, { op: 'untold', incident, sink: sink.name, why: 'told-by-peer' });
				continue;
			}
			if (fires) this.#apply(index, { op: 'told', incident, sink: sink.name });
			this.told.push(`${one.host} ${message.type} ${key}`);
			if (fires) this.known.add(key);
			else this.known.delete(key);
			if (!fires && !this.joined && peer?.get(key.slice('pair/'.length))?.open !== true)
				this.endedApart.add(key);
		}
		const orphans = orphansOf(one.state, [sink], this.joined ? peer : null);
		const names = new Set(orphans.map(({ incident }) => incident.incident));
		for (const name of one.orphanedMs.keys()) if (!names.has(name)) one.orphanedMs.delete(name);
		for (const { incident } of orphans) {
			const sinceMs = one.orphanedMs.get(incident.incident) ?? this.nowMs;
			one.orphanedMs.set(incident.incident, sinceMs);
			if (this.nowMs - sinceMs >= firstTellsMs) this.#tell(index, 'fired', incident, [sink.name]);
		}
	}

	/** Keys that some host sees. */
	open(): Set<string> {
		return new Set(
			this.hosts.flatMap(({ state }) => [...state.incidents.keys()].map((key) => `pair/${key}`)),
		);
	}

	rest(ms: number): void {
		for (let passed = 0; passed < ms; passed += 100) this.step();
	}
}

const happening = fc.oneof(
	fc.record({ see: fc.constantFrom('a', 'b'), on: fc.constantFrom(0, 1) }),
	fc.record({ over: fc.constantFrom('a', 'b'), on: fc.constantFrom(0, 1) }),
	fc.record({ rest: fc.integer({ min: 1, max: 80 }) }),
	fc.record({ joined: fc.boolean() }),
);

test('whatever the hosts see and whether they hear each other, the receiver ends up knowing what is open', (t) => {
	fc.assert(
		fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
			const model = new Model();
			for (const each of happenings) {
				if ('see' in each) model.see(each.on, each.see, 'warning');
				else if ('over' in each) model.see(each.on, each.over, null);
				else if ('rest' in each) model.rest(each.rest * 100);
				else model.joined = each.joined;
			}
			model.joined = true;
			model.rest(3 * firstTellsMs);
			const open = model.open();
			for (const key of open) if (!model.known.has(key) && !model.endedApart.has(key)) return false;
			return [...model.known].every((key) => open.has(key));
		}),
		{ numRuns: 500 },
	);
	t.pass();
});

test('what both hosts see is told once as long as they hear each other, and its end too', (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: firstSeesMs / 100 - 2 }),
			fc.integer({ min: 0, max: 40 }),
			fc.integer({ min: 0, max: 40 }),
			fc.boolean(),
			(late, lasts, lateEnd, swapped) => {
				const model = new Model();
				const [one, other] = swapped ? [1, 0] : [0, 1];
				model.see(one, 'a', 'critical');
				model.rest(late * 100);
				model.see(other, 'a', 'critical');
				model.rest(3000 + lasts * 100);
				model.see(one, 'a', null);
				model.rest(lateEnd * 100);
				model.see(other, 'a', null);
				model.rest(2000);
				const types = model.told.map((each) => each.split(' ')[1]);
				return types.join() === 'condition.fired,condition.resolved';
			},
		),
		{ numRuns: 300 },
	);
	t.pass();
});

test('a condition that both hosts saw is not over because one of two that do not hear each other says so', (t) => {
	fc.assert(
		fc.property(fc.constantFrom(0, 1), fc.constantFrom(0, 1), (one, ends) => {
			const model = new Model();
			model.see(one, 'a', 'critical');
			model.rest(1000);
			model.see(1 - one, 'a', 'critical');
			model.rest(3 * firstTellsMs);
			model.joined = false;
			model.see(ends, 'a', null);
			model.rest(60_000);
			t.deepEqual([...model.known], ['pair/a']);
			// It begins anew there: the receiver hears of both, and knows it as open.
			model.see(ends, 'a', 'critical');
			model.rest(1000);
			t.deepEqual([...model.known], ['pair/a']);
			t.is(model.told.at(-1)?.split(' ')[1], 'condition.fired');
			model.see(ends, 'a', null);
			model.see(1 - ends, 'a', null);
			model.joined = true;
			model.rest(3 * firstTellsMs);
			t.deepEqual([...model.known], []);
		}),
		{ numRuns: 8 },
	);
});

test('a host that is known to be out sees nothing any more: the other one says that it is over', (t) => {
	for (const first of [0, 1]) {
		const model = new Model();
		model.see(first, 'a', 'critical');
		model.rest(1000);
		model.see(1 - first, 'a', 'critical');
		model.rest(3 * firstTellsMs);
		model.joined = false;
		model.see(1 - first, 'a', null);
		model.rest(5000);
		t.deepEqual([...model.known], ['pair/a']);
		model.out = first;
		model.rest(1000);
		t.deepEqual([...model.known], []);
	}
});

test('one host alone is told at once, and the second one waits for the first within a second', (t) => {
	const alone = new Model();
	alone.joined = false;
	alone.see(1, 'a', 'critical');
	alone.step();
	t.deepEqual(alone.told, ['beta condition.fired pair/a']);
	const second = new Model();
	second.see(1, 'a', 'critical');
	second.rest(firstSeesMs);
	t.deepEqual(second.told, ['beta condition.fired pair/a']);
	t.true(firstSeesMs < 1000);
});

test('a telling of another severity, or of another receiver, keeps nobody from telling', (t) => {
	const message = conditionMessage(
		{ pairId: 'pair', host: 'alpha' },
		{
			kind: 'fired',
			incident: {
				incident: 'i',
				since: '',
				condition: condition({
					name: 'a',
					subject: null,
					pairId: 'pair',
					severity: 'critical',
					summary: '',
					next: '',
				}),
			},
			at: '',
			sequence: 1,
		},
	);
	const telling = (severity: Severity, told: string[]): ReadonlyMap<string, Telling> =>
		new Map([['a', { key: 'a', open: true, severity, told, acknowledged: null }]]);
	const turn = (peer: ReadonlyMap<string, Telling>) =>
		turnOf(message, { sink: 'pager', peer, heard: true, first: true, ageMs: 0, left: false });
	t.is(turn(telling('critical', ['pager'])), null);
	t.is(turn(telling('warning', ['pager'])), 0);
	t.is(turn(telling('critical', ['other'])), 0);
});
