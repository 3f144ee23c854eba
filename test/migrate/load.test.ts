import test from 'ava';
import fc from 'fast-check';
import { judgeLoad, type LoadView, type LoadVm } from '#src/migrate/load.ts';
import {
	followLoad,
	movesWith,
	overloadsNow,
	overloadsOf,
	restMs,
	type Sustained,
} from '#src/migrate/sustain.ts';
import { type HostLoad, type LoadKind, loadKinds } from '#src/ports-load.ts';

const settings: LoadView['settings'] = {
	mode: 'auto',
	holdMs: 180_000,
	limits: { cpu: 0.85, dom0: 0.85, memory: 0.95, disk: 0.95, network: 0.9 },
	target: 0.6,
	gain: 0.1,
	vmCooldownMs: 1_800_000,
	pairCooldownMs: 900_000,
	spare: 'required',
};

const idle: HostLoad = { cpu: 0.1, dom0: 0.1, memory: 0.3, disk: 0, network: 0 };

const vmOf = (vm: string, change: Partial<LoadVm> = {}): LoadVm => ({
	vm,
	memoryMib: 1024,
	on: 'alpha',
	pinned: false,
	near: [],
	apart: [],
	load: { vm, cpus: 2, inflowMibPerS: 1 },
	restMs: 0,
	blocker: null,
	...change,
});

/** `alpha` has eight CPUs and is busy; `beta` has as many and is idle. */
const viewOf = (vms: readonly LoadVm[], change: Partial<LoadView> = {}): LoadView => {
	const load = { ...idle, cpu: 0.93 };
	return {
		settings,
		here: { host: 'alpha', load, cpus: 8, freeMib: 16_384 },
		there: { host: 'beta', load: idle, cpus: 8, freeMib: 16_384 },
		overloads: [{ kind: 'cpu', share: 0.93, forMs: 180_000 }],
		pairRestMs: 0,
		blocker: null,
		critical: [],
		vms,
		...change,
	};
};

const busyThere = (cpu: number | null): Partial<LoadView> => ({
	there: { host: 'beta', load: { ...idle, cpu }, cpus: 8, freeMib: 16_384 },
});

test('a VM goes that brings enough, and it is said what for', (t) => {
	const verdict = judgeLoad(viewOf([vmOf('web')]));
	t.is(verdict.kind, 'move');
	t.is(verdict.vm, 'web');
	t.is(verdict.why, 'cpu of alpha at 93 % for 3m');
	t.is(
		verdict.sentence,
		'host alpha is overloaded: cpu 93 % for 3m; web relieves it: about 68 % here and 35 % on beta after the move, 11 s to send',
	);
	t.is(judgeLoad(viewOf([vmOf('web')], { overloads: [] })).kind, 'calm');
});

test('a load that can not be read any more is told as one that was above its limit', (t) => {
	const load = { ...idle, cpu: null };
	const verdict = judgeLoad(
		viewOf([vmOf('web')], {
			here: { host: 'alpha', load, cpus: 8, freeMib: 16_384 },
			overloads: [{ kind: 'cpu', share: null, forMs: 180_000 }],
		}),
	);
	t.is(verdict.kind, 'stay');
	t.true(
		verdict.sentence.startsWith(
			'host alpha is overloaded: cpu above its limit for 3m, unknown now; ',
		),
		verdict.sentence,
	);
});

test('nothing moves where the other host would be above the target', (t) => {
	const verdict = judgeLoad(viewOf([vmOf('web')], busyThere(0.46)));
	t.is(verdict.kind, 'stay');
	t.is(
		verdict.sentence,
		'host alpha is overloaded: cpu 93 % for 3m; web is not moved: cpu of beta would be at 71 %, above 60 %',
	);
});

test('each reason for which a VM stays is told', (t) => {
	const said = (change: Partial<LoadVm>): string =>
		judgeLoad(viewOf([vmOf('web', change)])).sentence.replace(/^.*3m; /, '');
	t.is(said({ pinned: true }), 'web is not moved: it is pinned');
	t.is(said({ blocker: 'its domain is paused' }), 'web is not moved: its domain is paused');
	t.is(said({ restMs: 720_000 }), 'web is not moved: it was moved for load and rests for 12m more');
	t.is(said({ load: null }), 'web is not moved: what it uses is not known');
	t.is(
		said({ load: { vm: 'web', cpus: 2, inflowMibPerS: null } }),
		'web is not moved: its disk and network traffic is not known',
	);
	t.is(
		said({ load: { vm: 'web', cpus: 0.4, inflowMibPerS: 1 } }),
		'web is not moved: that would bring 5 %, less than 10 %',
	);
	t.regex(said({ load: { vm: 'web', cpus: 2, inflowMibPerS: 61 } }), /write 61 MiB\/s .* above 60/);
	t.is(said({ on: 'beta' }), 'no VM runs here');
});

test('each reason for which nothing at all moves is told', (t) => {
	const said = (change: Partial<LoadView>): string =>
		judgeLoad(viewOf([vmOf('web')], change)).sentence.replace(/^.*; nothing is moved: /, '');
	const gone = { host: 'beta', load: null, cpus: null, freeMib: 16_384 };
	t.is(said({ blocker: 'the pair is disarmed' }), 'the pair is disarmed');
	t.is(said({ critical: ['fan'] }), 'beta is not well: fan critical');
	const many = Array.from({ length: 64 }, (_, index) => `check-${index}`.repeat(6));
	t.is(judgeLoad(viewOf([vmOf('web')], { critical: many })).sentence.length, 1000);
	t.is(said({ there: gone }), 'the load of beta is not known');
	t.is(said({ pairRestMs: 660_500 }), 'a VM was moved for load, and the next one may go in 12m');
	t.is(
		said({ there: { host: 'beta', load: idle, cpus: 8, freeMib: 1023 } }),
		'beta alone could not hold the VMs of both hosts',
	);
	t.regex(
		said({ overloads: [{ kind: 'memory', share: 0.97, forMs: 180_000 }] }),
		/no VM uses dom0's memory/,
	);
});

test('a pair whose hosts can not hold all VMs moves some when a person waived that', (t) => {
	const there = { host: 'beta', load: idle, cpus: 8, freeMib: 1023 };
	const waived = { ...settings, spare: 'waived' as const };
	t.is(judgeLoad(viewOf([vmOf('web')], { there, settings: waived })).kind, 'move');
});

test('the quickest to send goes, not the hottest; wishes and names decide among equals', (t) => {
	const big = vmOf('big', { memoryMib: 8192, load: { vm: 'big', cpus: 3, inflowMibPerS: 1 } });
	t.is(judgeLoad(viewOf([big, vmOf('small')])).vm, 'small');
	t.is(judgeLoad(viewOf([vmOf('b'), vmOf('a')])).vm, 'a');
	const beside = vmOf('db', { on: 'beta' });
	t.is(judgeLoad(viewOf([vmOf('a'), vmOf('b', { near: ['db'] }), beside])).vm, 'b');
	t.is(judgeLoad(viewOf([vmOf('a', { apart: ['db'] }), vmOf('b'), beside])).vm, 'b');
	// A wish of the other one holds as well.
	t.is(judgeLoad(viewOf([vmOf('a'), vmOf('b'), { ...beside, apart: ['a'] }])).vm, 'b');
	// A wish is no reason to send four times as much.
	t.is(judgeLoad(viewOf([vmOf('a'), { ...big, near: ['db'] }, beside])).vm, 'a');
});

test('a busy disk is relieved by the VM that has its traffic', (t) => {
	const here = { host: 'alpha', load: { ...idle, disk: 0.98 }, cpus: 8, freeMib: 16_384 };
	const overloads = [{ kind: 'disk' as const, share: 0.98, forMs: 180_000 }];
	const io = (vm: string, inflowMibPerS: number) =>
		vmOf(vm, { load: { vm, cpus: 0.1, inflowMibPerS } });
	t.is(judgeLoad(viewOf([io('a', 1), io('b', 9), io('c', 10)], { here, overloads })).vm, 'b');
	const unread = vmOf('c', { load: { vm: 'c', cpus: 0.1, inflowMibPerS: null } });
	t.is(judgeLoad(viewOf([io('b', 9), unread], { here, overloads })).kind, 'stay');
});

/** Evenly spread, unlike doubles, of which most are next to nothing. */
const numberTo = (max: number, min = 0): fc.Arbitrary<number> =>
	fc.integer({ min: 0, max: 1000 }).map((part) => min + ((max - min) * part) / 1000);
const shareTo = (max: number) => fc.option(numberTo(max), { freq: 30 });
const hostLoad = (max: number): fc.Arbitrary<HostLoad> =>
	fc.record({
		cpu: shareTo(max),
		dom0: shareTo(max),
		memory: shareTo(max),
		disk: shareTo(max),
		network: shareTo(max),
	});
const someVm = (vm: string): fc.Arbitrary<LoadVm> =>
	fc
		.record({
			memoryMib: fc.integer({ min: 64, max: 16_384 }),
			on: fc.constantFrom('alpha', 'beta'),
			pinned: fc.constantFrom(false, false, false, true),
			near: fc.subarray(['a', 'b', 'c']),
			apart: fc.subarray(['a', 'b', 'c']),
			load: fc.option(
				fc.record({
					vm: fc.constant(vm),
					cpus: numberTo(8),
					inflowMibPerS: fc.option(numberTo(70), { freq: 30 }),
				}),
				{ freq: 30 },
			),
			restMs: fc.constantFrom(0, 0, 0, 60_000),
			blocker: fc.constantFrom(null, null, 'no'),
		})
		.map((each) => ({ vm, ...each }));
const host = (name: string, max: number) =>
	fc.record({
		host: fc.constant(name),
		load: fc.option(hostLoad(max), { freq: 30 }),
		cpus: fc.option(fc.integer({ min: 4, max: 64 }), { freq: 30 }),
		freeMib: fc.integer({ min: 0, max: 65_536 }),
	});
const views: fc.Arbitrary<LoadView> = fc
	.record({
		here: host('alpha', 1),
		there: host('beta', 0.4),
		pairRestMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 1000),
		blocker: fc.constantFrom(null, null, null, null, null, 'no'),
		critical: fc.constantFrom([], [], [], [], [], [], ['fan']),
		vms: fc.tuple(someVm('a'), someVm('b'), someVm('c')),
		target: numberTo(1, 0.4),
	})
	.map(({ target, ...each }) => ({
		...each,
		settings: { ...settings, target, spare: 'waived' as const },
		overloads: loadKinds.flatMap((kind) => {
			const value = each.here.load?.[kind] ?? null;
			return value !== null && value > 0.5 ? [{ kind, share: value, forMs: 180_000 }] : [];
		}),
	}));

test('whatever is seen: a move keeps the target below its limit in all, and what is not known moves nothing', (t) => {
	let moves = 0;
	const holds = (view: LoadView): void => {
		const verdict = judgeLoad(view);
		t.is(verdict.kind === 'calm', view.overloads.length === 0);
		t.is(verdict.kind === 'calm', verdict.sentence === '');
		t.true(verdict.sentence.length <= 1024);
		if (verdict.kind !== 'move') return;
		moves += 1;
		for (const kind of loadKinds) {
			const after = verdict.projected?.[kind] ?? null;
			t.true(after !== null && after <= view.settings.target, `${kind}: ${after}`);
			t.true(after !== null && after >= (view.there.load?.[kind] ?? 1), kind);
		}
		const vm = view.vms.find((each) => each.vm === verdict.vm);
		t.like(vm, { on: 'alpha', pinned: false, restMs: 0, blocker: null });
		t.true((vm?.load?.inflowMibPerS ?? 100) <= 60);
		t.is(view.pairRestMs, 0);
		t.is(view.blocker, null);
		t.deepEqual(view.critical, []);
	};
	fc.assert(fc.property(views, holds), { numRuns: 3000, seed: 7 });
	t.true(moves > 50, `only ${moves} moves`);
});

test('the same is decided in whatever order the VMs are listed', (t) => {
	fc.assert(
		fc.property(views, (view) => {
			const turned = judgeLoad({ ...view, vms: view.vms.toReversed() });
			t.is(turned.key, judgeLoad(view).key);
		}),
		{ seed: 8 },
	);
});

const follow = (shares: readonly (number | null)[], everyMs = 10_000): Sustained =>
	shares.reduce<Sustained>(
		(before, cpu, index) => followLoad(before, { ...idle, cpu }, settings.limits, index * everyMs),
		{},
	);

const overloaded = (shares: readonly (number | null)[]): boolean => {
	const last = { ...idle, cpu: shares.at(-1) ?? null };
	return overloadsOf(follow(shares), last, 180_000, (shares.length - 1) * 10_000).length > 0;
};

const high = (count: number): number[] => Array.from({ length: count }, () => 0.9);

test('a host is overloaded only when it was so for all of the hold time', (t) => {
	t.false(overloaded(high(18)));
	t.true(overloaded(high(19)));
	// A dip that stays near the limit, and readings that are missing, do not end it; a real one does.
	t.true(overloaded([...high(9), 0.76, ...high(9)]));
	t.false(overloaded([...high(9), 0.74, ...high(9)]));
	t.true(overloaded([...high(9), null, null, ...high(8)]));
	t.false(overloaded([...high(9), null, null, null, ...high(7)]));
	t.true(overloaded([...high(9), 0.84, 0.84, 0.84, ...high(7)]));
	t.false(overloaded([...high(9), 0.84, 0.84, 0.84, 0.84, ...high(15)]));
	// What is only near the limit never begins it.
	t.false(overloaded(Array.from({ length: 60 }, () => 0.84)));
	t.deepEqual(
		overloadsNow({ ...idle, cpu: 0.86, disk: 0.9 }, settings.limits).map(({ kind }) => kind),
		['cpu'] satisfies LoadKind[],
	);
});

test('rests double with each move that follows soon, up to a day', (t) => {
	const day = 86_400_000;
	t.deepEqual(
		[1, 2, 3, 6, 7, 200].map((moves) => restMs(moves, 1_800_000) / 60_000),
		[30, 60, 120, 960, 1440, 1440],
	);
	t.is(restMs(3, 2 * day), 2 * day);
	t.is(movesWith(4, day - 1), 5);
	t.is(movesWith(4, day), 1);
});
