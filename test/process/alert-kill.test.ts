import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { below, prng } from '#src/std/prng.ts';
import { startChild } from '#test/alert/child.ts';
import { startFive, type Word } from '#test/alert/five.ts';
import type { ChildNews, ChildOrder } from '#test/alert/outbox-child.ts';

/** How often the outbox is killed. */
const kills = 24;
/** So many conditions are open at a time: each one resolves when so many newer ones have fired. */
const open = 3;
/** A receiver takes so long to answer, ms. */
const answerMs = 3;
/** A run whose point does not come within so many conditions is killed all the same. */
const conditionsMax = 50;

/** What has happened when a run is killed: a condition is on disk; a receiver has a request, or has answered it. */
const points = ['durable', 'asked', 'answered'] as const;
type Point = (typeof points)[number];

/** Every word once, in the order of the first time. */
const firstWords = (list: readonly Word[]): readonly string[] => [
	...new Set(list.map(({ name, state }) => `${name} ${state}`)),
];

/** Runs the outbox until it is killed so long after the `strike`th time of the point; returns what comes next. */
const runAndKill = async (
	t: ExecutionContext,
	order: ChildOrder,
	heed: (told: (what: Point) => void) => void,
	{ point, strike, delayMs }: { point: Point; strike: number; delayMs: number },
): Promise<number> => {
	const child = startChild(order);
	const kill = (): void => void child.kill('SIGKILL');
	t.teardown(kill);
	let next = order.begin;
	let seen = 0;
	const told = (what: Point): void => {
		if (what !== point) return;
		seen += 1;
		if (seen === strike) setTimeout(kill, delayMs);
	};
	heed(told);
	child.on('message', (news: ChildNews) => {
		if (!('durable' in news)) return;
		next = news.durable + 1;
		told('durable');
		if (next - order.begin >= conditionsMax) kill();
	});
	const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
	t.is(signal, 'SIGKILL');
	return next;
};

/** Each condition began and ended at every receiver, in this order, and they began in theirs. */
const isWhole = (
	t: ExecutionContext,
	heard: readonly Word[],
	total: number,
	kind: string,
): void => {
	const names = Array.from({ length: total }, (_, index) => `c${index}`);
	for (const [index, name] of names.entries()) {
		const whole = [`${name} fired`, ...(index < total - open ? [`${name} resolved`] : [])];
		t.deepEqual(firstWords(heard.filter((each) => each.name === name)), whole, kind);
	}
	for (const [state, count] of [
		['fired', total],
		['resolved', total - open],
	] as const) {
		const told = firstWords(heard.filter((each) => each.state === state));
		t.deepEqual(
			told,
			names.slice(0, count).map((name) => `${name} ${state}`),
			kind,
		);
	}
	t.log(
		`${kind}: ${2 * total - open} alerts, ${heard.length - firstWords(heard).length} words twice`,
	);
};

test('an outbox that is killed at any point loses no alert of any kind of receiver, and keeps their order', async (t) => {
	t.timeout(280_000);
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-kill-'));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const five = await startFive(t, directory, { limitMs: 5000, repeatMs: 3_600_000 });
	let told: (what: Point) => void = () => {};
	await five.take(async () => {
		told('asked');
		await new Promise((resolve) => setTimeout(resolve, answerMs));
		told('answered');
		return [200, 'ok'];
	}, true);
	const random = prng(1);
	const order = {
		directory: join(directory, 'state'),
		receivers: five.all.map(({ config }) => config),
		open,
	};
	let begin = 0;
	for (let count = 0; count < kills; count += 1)
		begin = await runAndKill(
			t,
			{ ...order, begin, end: null },
			(heed) => {
				told = heed;
			},
			{
				point: points[count % points.length] ?? 'durable',
				strike: 1 + below(random, 6),
				delayMs: below(random, 8),
			},
		);
	told = () => {};
	const total = begin + open + 1;
	const last = startChild({ ...order, begin, end: total });
	t.teardown(() => last.kill('SIGKILL'));
	const [code] = (await once(last, 'exit')) as [number | null];
	t.is(code, 0);
	t.true(total > kills, `only ${total} conditions`);
	for (const { kind, words } of five.all) isWhole(t, words(), total, kind);
	t.log(`${kills} kills, ${total} conditions`);
});
