import test, { type ExecutionContext } from 'ava';
import type { EngineConfig, EngineVm } from '#src/engine/config.ts';
import { conditions } from '#src/engine/conditions.ts';
import type { Event } from '#src/engine/event.ts';
import { step, unannounced } from '#src/engine/step.ts';
import { statusView } from '#src/engine/view.ts';
import type { HostLoad } from '#src/ports-load.ts';
import { engineConfig, exchange, Host, healthy, pairOf, vmConfig } from '#test/engine/_pair.ts';

const idle: HostLoad = { cpu: 0.1, dom0: 0.1, memory: 0.3, disk: 0, network: 0 };

const balance = { ...engineConfig('left', 'right').balance, mode: 'auto' as const };

const two = [vmConfig('web'), vmConfig('db', { memoryMib: 512 })];

/** Reads the load of both hosts every ten seconds for so long; `left` has 8 CPUs, of which each VM keeps two busy. */
const load = (left: Host, right: Host, cpu: number | null, forMs: number, there = 0.1): void => {
	for (const endMs = left.nowMs + forMs; left.nowMs < endMs;) {
		left.at(left.nowMs + 10_000);
		right.at(right.nowMs + 10_000);
		for (const [host, share] of [
			[right, there],
			[left, cpu],
		] as const) {
			const vms = Object.values(host.state.vms?.value ?? {}).flatMap(({ vm, presence }) =>
				presence === 'running' ? [{ vm, cpus: 2, inflowMibPerS: 1 }] : [],
			);
			const sample = { cpus: 8, host: { ...idle, cpu: share }, vms };
			host.take({ type: 'load-observed', sample });
		}
		exchange(left, right);
	}
};

const pair = (vms: readonly EngineVm[] = two, change: Partial<EngineConfig> = {}): [Host, Host] => {
	const hosts = pairOf(vms, { balance, ...change });
	// The agents have not just started.
	load(...hosts, 0.1, 40_000);
	return hosts;
};

const journalOf = (host: Host, vm = 'web') => host.record(vm)?.journal ?? null;

const overloaded = (host: Host) =>
	conditions(host.state, host.nowMs).find(({ name }) => name === 'host-overloaded');

test('a host that is overloaded for the hold time sends one VM away', (t) => {
	const [left, right] = pair();
	load(left, right, 0.93, 180_000);
	t.is(journalOf(left), null);
	load(left, right, 0.93, 20_000);
	t.like(journalOf(left), { kind: 'migration', to: 'right', cause: 'load' });
	t.is(journalOf(left, 'db'), null);
	t.deepEqual(right.record(), left.record());
	t.like(left.persisted?.loadMoves['web'], { moves: 1, open: true });
	t.like(right.persisted?.loadMoves['web'], { moves: 1, open: true });
	load(left, right, 0.93, 60_000);
	t.is(journalOf(left, 'db'), null);
	t.like(overloaded(left), { severity: 'warning', subject: 'left' });
	t.is(overloaded(right), undefined);
});

test('the status says what each VM uses here, and above what a host is overloaded', (t) => {
	const [left, right] = pair();
	const [mine, theirs] = [left, right].map(({ state, nowMs }) => statusView(state, nowMs));
	t.deepEqual(mine?.balance.limits, balance.limits);
	t.deepEqual(mine?.vms[0]?.load, { cpus: 2, inflowMibPerS: 1 });
	t.is(theirs?.vms[0]?.load, null);
});

test('a spike, a missing reading, mode off and advise move nothing', (t) => {
	for (const [cpu, forMs, mode] of [
		[0.93, 170_000, 'auto'],
		[null, 400_000, 'auto'],
		[0.93, 400_000, 'off'],
		[0.93, 400_000, 'advise'],
	] as const) {
		const [left, right] = pair(two, { balance: { ...balance, mode } });
		load(left, right, cpu, forMs);
		load(left, right, 0.1, 60_000);
		t.is(journalOf(left), null, `${cpu} for ${forMs} in mode ${mode}`);
		t.deepEqual(left.persisted?.loadMoves, {});
		t.is(overloaded(left), undefined);
	}
});

test('a person is told the very command when the pair only advises', (t) => {
	const [left, right] = pair(two, { balance: { ...balance, mode: 'advise' } });
	load(left, right, 0.93, 220_000);
	t.is(overloaded(left)?.next, 'vmpair migrate web');
	t.regex(overloaded(left)?.summary ?? '', /cpu 93 % for 3m; web relieves it: .*35 % on right/);
});

test('why nothing is moved is noted once, and again only when the reason is another one', (t) => {
	const [left, right] = pair();
	load(left, right, 0.93, 300_000, 0.5);
	const said = () => left.notes.filter((each) => each === 'this host is overloaded').length;
	t.is(said(), 1);
	t.regex(overloaded(left)?.summary ?? '', /web is not moved: cpu of right would be at 75 %/);
	t.regex(right.state.peer.document?.load?.verdict ?? '', /db is not moved/);
	left.take({
		type: 'requested',
		id: 'disarm',
		request: { verb: 'disarm', by: 'test', reason: 'work' },
		at: '',
	});
	load(left, right, 0.93, 60_000, 0.5);
	t.is(said(), 2);
	t.regex(overloaded(left)?.summary ?? '', /nothing is moved: the pair is disarmed/);
	load(left, right, 0.5, 60_000, 0.5);
	t.is(overloaded(left), undefined);
	t.is(left.notes.filter((each) => each === 'this host is not overloaded any more').length, 1);
});

test('what is degraded keeps everything where it is, and what ends it is enough', (t) => {
	const broken: [string, (left: Host, right: Host) => void][] = [
		['left is being emptied', (left) => evacuate(left)],
		['right is in standby: it takes no VMs', (_, right) => standby(right)],
		['the disk of the state file on left takes nothing', (left) => noDisk(left)],
		['DRBD on left does not answer', (left) => void noDrbd(left)],
		['the replication of db is not complete', (left) => resync(left)],
		['right is not well: fan critical', (_, right) => fan(right)],
	];
	for (const [why, breaks] of broken) {
		const [left, right] = pair(two, {
			healthChecks: [{ check: 'fan', holdMs: 0, action: 'alert', staleMs: 900_000 }],
		});
		breaks(left, right);
		exchange(left, right);
		load(left, right, 0.93, 220_000);
		t.true(
			overloaded(left)?.summary.endsWith(`nothing is moved: ${why}`),
			overloaded(left)?.summary,
		);
		t.deepEqual(left.persisted?.loadMoves, {});
	}
});

const ask = (host: Host, request: Parameters<typeof requestOf>[0]): void =>
	void host.take({ type: 'requested', ...requestOf(request) });
const requestOf = (
	request: Extract<Parameters<Host['take']>[0], { type: 'requested' }>['request'],
) => ({ id: request.verb, request, at: '' });
const evacuate = (host: Host): void => {
	// Its VMs can only go cold, so that it stays what it is.
	host.state = {
		...host.state,
		config: { ...host.state.config, vms: host.state.config.vms.map(cold) },
	};
	ask(host, { verb: 'standby', on: true, by: 'test', reason: '' });
};
const cold = (vm: EngineVm): EngineVm => ({ ...vm, liveBlocker: 'it has a passed-through device' });
const standby = (host: Host): void =>
	ask(host, { verb: 'standby', on: true, by: 'test', reason: '' });
const noDisk = (host: Host): void => void host.take({ type: 'disk-observed', problem: 'ENOSPC' });
const noDrbd = (host: Host) => host.take({ type: 'replication-observed', resources: null });
const resync = (host: Host): void => {
	const db = healthy('db', true);
	const volumes = db.volumes.map((each) => ({ ...each, replication: 'SyncSource' }) as const);
	host.sees(healthy('web', true), { ...db, volumes });
};
const fan = (host: Host): void => {
	const reading = { check: 'fan', health: 'critical', detail: '0 rpm' } as const;
	host.take({ type: 'health-observed', reading });
};

/** The migration of a VM from `from` to `to`, as both see it. */
const arrives = (t: ExecutionContext, from: Host, to: Host, vm: string, others: string[]): void => {
	const rest = others.map((each) =>
		healthy(each, from.record(each)?.owner === from.state.config.self),
	);
	const restThere = others.map((each) =>
		healthy(each, to.record(each)?.owner === to.state.config.self),
	);
	const stay = others
		.filter((each) => from.record(each)?.owner === from.state.config.self)
		.map((each) => ({ vm: each, presence: 'running' as const }));
	const there = others
		.filter((each) => to.record(each)?.owner === to.state.config.self)
		.map((each) => ({ vm: each, presence: 'running' as const }));
	from.ends('allow-two-primaries');
	exchange(from, to);
	to.ends('allow-two-primaries');
	exchange(from, to);
	to.take({ type: 'tick' });
	to.ends('promote');
	to.sees(healthy(vm, true, true), ...restThere);
	from.sees(healthy(vm, true, true), ...rest);
	exchange(from, to);
	to.ends('receive-vm');
	exchange(from, to);
	from.ends('send-vm');
	from.domains(...stay);
	to.domains({ vm, presence: 'paused' }, ...there);
	exchange(from, to);
	from.ends('demote');
	from.sees(healthy(vm, false, true), ...rest);
	to.sees(healthy(vm, true), ...restThere);
	exchange(from, to);
	for (const host of [from, to])
		for (const action of host.open('forbid-two-primaries'))
			host.take({
				type: 'action-ended',
				id: action.id,
				outcome: { result: 'succeeded', value: null },
			});
	exchange(from, to);
	to.ends('unpause-vm');
	to.domains({ vm, presence: 'running' }, ...there);
	exchange(from, to);
	t.is(from.record(vm)?.owner, to.state.config.self);
	t.is(journalOf(from, vm), null);
};

test('a VM that was moved for load rests on its new host too, and the pair rests', (t) => {
	const [left, right] = pair();
	load(left, right, 0.93, 200_000);
	arrives(t, left, right, 'web', ['db']);
	for (const host of [left, right])
		t.like(host.persisted?.loadMoves['web'], { moves: 1, open: false });
	// The pair rests for a quarter of an hour; then only the other VM could go, and it rests here as well.
	load(left, right, 0.93, 300_000);
	t.is(journalOf(left, 'db'), null);
	t.regex(overloaded(left)?.summary ?? '', /nothing is moved: a VM was moved for load/);
	load(left, right, 0.1, 700_000, 0.93);
	t.is(journalOf(right), null);
	t.regex(
		overloaded(right)?.summary ?? '',
		/web is not moved: it was moved for load and rests for/,
	);
	load(left, right, 0.1, 830_000, 0.93);
	t.like(journalOf(right), { kind: 'migration', to: 'left', cause: 'load' });
	t.like(right.persisted?.loadMoves['web'], { moves: 2, open: true });
});

test('rests outlast a restart of the agent, and of the host', (t) => {
	const [left, right] = pair();
	load(left, right, 0.93, 200_000);
	arrives(t, left, right, 'web', ['db']);
	const { persisted } = right;
	t.not(persisted, null);
	const again = new Host({ ...engineConfig('right', 'left', two), balance }, persisted, 'boot-2');
	t.deepEqual(again.state.persisted.loadMoves, persisted?.loadMoves);
});

test('a person orders the move at once, and what would make things worse is refused', (t) => {
	const [left, right] = pair(two, { balance: { ...balance, mode: 'off' } });
	load(left, right, 0.93, 10_000);
	ask(left, { verb: 'balance', by: 'test' });
	t.like(journalOf(left), { to: 'right', cause: 'load' });
	t.is(left.sent('reply').at(-1)?.reply.status, 'accepted');

	const [here, there] = pair();
	load(here, there, 0.93, 10_000, 0.5);
	ask(here, { verb: 'balance', by: 'test' });
	exchange(here, there);
	const refusal = here.sent('reply').at(-1)?.reply;
	t.like(refusal, { status: 'refused', code: 'nothing-to-balance' });
	t.regex(refusal?.message ?? '', /web is not moved: cpu of right would be at 75 %/);
});

test('an order on the idle host reaches the one that is overloaded', (t) => {
	const [left, right] = pair();
	load(left, right, 0.93, 10_000);
	ask(right, { verb: 'balance', by: 'test' });
	exchange(left, right);
	t.like(journalOf(left), { to: 'right', cause: 'load' });
	t.is(right.sent('reply').at(-1)?.reply.status, 'accepted');
});

test('no rule acts on load or health before the time that was announced, or without news', (t) => {
	const healthChecks = [{ check: 'fan', holdMs: 0, action: 'evacuate', staleMs: 25_000 }] as const;
	const [left] = pair(two, { healthChecks });
	let { state, nowMs } = left;
	let untilMs = 0;
	const said: string[] = [];
	const take = (event: Event): void => {
		const result = step(state, event, nowMs, { untilMs, spared: false });
		state = result.state;
		untilMs = result.restUntilMs;
		said.push(...result.notes.map(({ message }) => message));
	};
	const vms = two.map(({ vm }) => ({ vm, cpus: 2, inflowMibPerS: 1 }));
	const reading = { check: 'fan', health: 'critical', detail: '' } as const;
	for (let second = 0; second < 400; second += 1) {
		nowMs += 1000;
		take({ type: 'tick' });
		const host = { ...idle, cpu: second < 300 ? 0.93 : null };
		const sample = second < 330 ? { cpus: 8, host, vms } : null;
		if (second % 10 === 0) take({ type: 'load-observed', sample });
		if (second % 100 === 0) take({ type: 'health-observed', reading });
	}
	t.false(said.includes(unannounced));
	for (const message of [
		'this host is overloaded',
		'the load of this host is not known any more',
		'a health check is critical',
		'a health check is not critical any more',
	])
		t.true(said.includes(message), message);
});

test('the peer is told of load in steps, and not for every reading', (t) => {
	const [left, right] = pair();
	const before = left.document?.seq ?? 0;
	load(left, right, 0.11, 10_000);
	load(left, right, 0.14, 10_000);
	t.is(left.document?.load?.host['cpu'], 0.15);
	t.is((left.document?.seq ?? 0) - before, 1);
	t.is(right.state.peer.document?.load?.cpus, 8);
	left.take({ type: 'load-observed', sample: null });
	left.at(left.nowMs + 31_000);
	t.is(left.document?.load, null);
	t.true(left.notes.includes('the load of this host is not known any more'));
});
