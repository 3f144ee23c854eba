import test from 'ava';
import { DrbdWatch, type DrbdWatchOptions } from '#src/drbd/driver-watch.ts';
import { helperNote } from '#src/drbd/watch.ts';
import type { ResourceObservation } from '#src/ports.ts';
import { createFake, type Fake, lines } from '#test/drbd/fake.ts';

type Observed = readonly ResourceObservation[] | null;

interface Watched {
	readonly fake: Fake;
	readonly watch: DrbdWatch;
	readonly notes: string[];
	/** The first observation from now on that fits. */
	readonly next: (fits: (observed: Observed) => boolean) => Promise<Observed>;
	readonly count: () => number;
}

const start = async (
	t: { teardown(fn: () => Promise<void>): void },
	prepare: (fake: Fake) => Promise<void> = () => Promise.resolve(),
	options: Partial<DrbdWatchOptions> = {},
): Promise<Watched> => {
	const fake = await createFake(t);
	await prepare(fake);
	const notes: string[] = [];
	const waiting = new Set<(observed: Observed) => void>();
	let count = 0;
	const watch = new DrbdWatch({
		tools: fake.tools,
		drbdsetup: fake.drbdsetup,
		resources: [{ resource: 'vm1', peer: 'host2' }],
		onObserved: (observed) => {
			count += 1;
			for (const take of waiting) take(observed);
		},
		onNote: (note) => notes.push(note),
		...options,
		timing: {
			snapshotEveryMs: 60_000,
			snapshotRetryMs: 50,
			answerMs: 3000,
			restartMs: 20,
			settleMs: 20,
			...options.timing,
		},
	});
	t.teardown(() => {
		watch.stop();
		return Promise.resolve();
	});
	const next = (fits: (observed: Observed) => boolean): Promise<Observed> =>
		new Promise((resolve) => {
			const take = (observed: Observed): void => {
				if (!fits(observed)) return;
				waiting.delete(take);
				resolve(observed);
			};
			waiting.add(take);
		});
	return { fake, watch, notes, next, count: () => count };
};

const withRole = (role: string) => (observed: Observed) => observed?.[0]?.role === role;
const any = (): boolean => true;

test('the first dump and each change are reported', async (t) => {
	const { fake, watch, next } = await start(t, (fake) => fake.show(lines('vm1')));
	const first = next(any);
	watch.start();
	t.is((await first)?.[0]?.connection, 'Connected');
	const primary = next(withRole('Primary'));
	await fake.tell('2026-11-22T10:17:54.302006+00:00 change resource name:vm1 role:Primary');
	t.truthy(await primary);
});

test('a burst is reported once, and nothing new is not reported', async (t) => {
	const { fake, watch, next, count } = await start(t, (fake) => fake.show(lines('vm1')), {
		timing: { debounceMs: 200 },
	});
	const first = next(any);
	watch.start();
	await first;
	t.is(count(), 1);
	const last = next(withRole('Primary'));
	await fake.tell(
		'change resource name:vm1 suspended:fencing',
		'change connection name:vm1 peer-node-id:0 conn-name:peer connection:NetworkFailure role:Unknown',
		'change resource name:vm1 suspended:no role:Primary',
	);
	await last;
	t.is(count(), 2);
	const other = next(withRole('Secondary'));
	await fake.tell('change connection name:vm1 peer-node-id:0 conn-name:peer');
	await fake.tell('change resource name:vm1 role:Secondary');
	await other;
	t.is(count(), 3);
});

test('a stream that ends is started again, with snapshots meanwhile', async (t) => {
	const { fake, watch, next, notes } = await start(t, (fake) => fake.show(lines('vm1')));
	const first = next(any);
	watch.start();
	await first;
	const byEvents = (role: string): string => `
case " $* " in *' --now '*) cat "$here/state"; echo 'exists -'; exit 0 ;; esac
exit 20 # ${role}`;
	await fake.behave('drbdsetup.events2', byEvents('x'));
	await fake.show(lines('vm1', { role: 'Primary' }));
	const polled = next(withRole('Primary'));
	await fake.tell('- skipped 2');
	t.truthy(await polled);
	t.regex(notes.join('\n'), /the kernel dropped messages/);
	const again = next(withRole('Secondary'));
	await fake.show(lines('vm1', { role: 'Secondary' }));
	t.truthy(await again, 'snapshots go on while the stream does not start');
	t.regex(notes.join('\n'), /ended \(20\)/);
});

test('a difference between stream and snapshot is noticed and corrected', async (t) => {
	const { fake, watch, next, notes } = await start(t, (fake) => fake.show(lines('vm1')));
	const first = next(any);
	watch.start();
	await first;
	await fake.show(lines('vm1', { role: 'Primary' }));
	const corrected = next(withRole('Primary'));
	watch.refresh();
	t.truthy(await corrected);
	t.regex(notes.join('\n'), /a snapshot differs/);
});

test('a check brings fresh statistics and is always reported', async (t) => {
	const withStatistics = (kib: number): string[] =>
		lines('vm1').map((line) =>
			line.startsWith('exists peer-device') ? `${line} out-of-sync:${kib}` : line,
		);
	const { fake, watch, next, notes } = await start(t, (fake) => fake.show(withStatistics(100)));
	const first = next(any);
	watch.start();
	t.is((await first)?.[0]?.volumes[0]?.outOfSyncKib, 100);
	await fake.show(withStatistics(40));
	const second = next(any);
	watch.refresh();
	t.is((await second)?.[0]?.volumes[0]?.outOfSyncKib, 40);
	t.deepEqual(notes, []);
});

test('DRBD that does not answer is null, and is asked again', async (t) => {
	const { fake, watch, next } = await start(t, (fake) =>
		fake.behave('drbdsetup.events2', 'exit 20'),
	);
	const first = next(any);
	watch.start();
	t.is(await first, null);
	const answered = next((observed) => observed !== null);
	await fake.show(lines('vm1'));
	await fake.behave('drbdsetup.events2', 'cat "$here/state"; echo "exists -"; sleep 0.05');
	t.is((await answered)?.length, 1);
});

test('DRBD that hangs is null within the limit', async (t) => {
	const { watch, next, notes } = await start(
		t,
		(fake) => fake.behave('drbdsetup.events2', 'exec sleep 60'),
		{ timing: { answerMs: 100 } },
	);
	const first = next(any);
	watch.start();
	t.is(await first, null);
	t.regex(notes.join('\n'), /no first state within 100 ms/);
});

test('a cut snapshot and an unknown word are null, never "down"', async (t) => {
	const { fake, watch, next, notes } = await start(t, (fake) =>
		fake.behave('drbdsetup.events2', 'cat "$here/state"; exit 0'),
	);
	const first = next(any);
	watch.start();
	t.is(await first, null);
	const odd = next(() => notes.some((note) => note.includes('role is Emperor')));
	await fake.show([...lines('vm1', { role: 'Emperor' }), 'exists -']);
	t.is(await odd, null);
});

test('helper calls of managed resources, findings and a new set of resources are passed on', async (t) => {
	const helpers: string[] = [];
	const findings: string[] = [];
	const two = [
		...lines('vm1'),
		'exists connection name:vm1 peer-node-id:7 conn-name:host7 connection:Connected role:Primary',
		...lines('vm2'),
	];
	const { fake, watch, next } = await start(t, (fake) => fake.show(two), {
		onHelper: ({ helper, phase, exitCode }) => helpers.push(`${helper} ${phase} ${exitCode}`),
		onFindings: (sentences) => findings.push(...sentences),
	});
	const first = next(any);
	watch.start();
	t.is((await first)?.length, 1);
	t.is(findings.length, 1);
	const called = next(withRole('Primary'));
	const connection = 'name:vm1 peer-node-id:0 conn-name:peer';
	await fake.tell(
		`call helper ${connection} helper:fence-peer`,
		'call helper name:other peer-node-id:0 conn-name:peer helper:fence-peer',
		`response helper ${connection} helper:fence-peer status:1024`,
		'change resource name:vm1 role:Primary',
	);
	await called;
	t.deepEqual(helpers, ['fence-peer called null', 'fence-peer answered 4']);
	const both = next((observed) => observed?.length === 2);
	watch.manage([
		{ resource: 'vm1', peer: 'host2' },
		{ resource: 'vm2', peer: 'host2' },
	]);
	t.truthy(await both);
});

test('a line of a DRBD to come is told once and passed over', async (t) => {
	const { fake, watch, next, notes } = await start(t, (fake) => fake.show(lines('vm1')));
	const first = next(any);
	watch.start();
	await first;
	const after = next(withRole('Primary'));
	await fake.tell('exists moon name:vm1', 'rises moon', 'change resource name:vm1 role:Primary');
	t.truthy(await after);
	t.deepEqual(
		notes.filter((note) => note.includes('not understood')),
		["A line of DRBD's events is not understood and passed over: exists moon name:vm1."],
	);
});

test('a split brain by the word of the kernel is a warning in the history', (t) => {
	const event = {
		resource: 'vm1',
		helper: 'split-brain',
		phase: 'called',
		exitCode: null,
	} as const;
	t.deepEqual(helperNote(event), {
		level: 'warn',
		message: 'DRBD called a handler',
		fields: { resource: 'vm1', handler: 'split-brain' },
	});
	t.like(helperNote({ ...event, helper: 'fence-peer', phase: 'answered', exitCode: 7 }), {
		level: 'debug',
		fields: { handler: 'fence-peer', exitCode: 7 },
	});
});
