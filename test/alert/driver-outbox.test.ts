import { once } from 'node:events';
import { appendFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { condition } from '#src/alert/condition.ts';
import type { Condition } from '#src/alert/condition.ts';
import type { Sink } from '#src/alert/driver-delivery.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import type { OutboxOptions } from '#src/alert/driver-outbox.ts';
import { webhookSender } from '#src/alert/driver-webhook.ts';
import { startChild } from '#test/alert/child.ts';
import type { ChildNews } from '#test/alert/outbox-child.ts';
import { startReceiver } from '#test/alert/receiver.ts';
import type { Receiver } from '#test/alert/receiver.ts';

const folder = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'vmpair-alert-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};

const wrong = (name: string, severity: Condition['severity'] = 'critical'): Condition =>
	condition({ name, subject: 'ldap', pairId: 'pair', severity, summary: name, next: 'look' });

const receive = async (t: ExecutionContext): Promise<Receiver> => {
	const receiver = await startReceiver();
	t.teardown(() => receiver.close());
	return receiver;
};

const sinkTo = async (
	receiver: Receiver,
	directory: string,
	more: Partial<Sink> & { limitMs?: number } = {},
): Promise<Sink> => {
	const name = more.name ?? 'on-call';
	const secretFile = join(directory, `${name}.secret`);
	await writeFile(secretFile, `${receiver.secret}\n`, { mode: 0o600 });
	const { url } = receiver;
	const send = webhookSender({ url, secretFile, limitMs: more.limitMs ?? 5000 });
	return { name, minimum: more.minimum ?? 'info', send };
};

const openOutbox = async (
	t: ExecutionContext,
	directory: string,
	sinks: readonly Sink[],
	more: Partial<OutboxOptions> = {},
): Promise<Outbox> => {
	const outbox = await Outbox.open({
		directory: join(directory, 'state'),
		pairId: 'pair',
		host: 'alpha',
		sinks,
		first: true,
		problem: () => {},
		settleMs: 0,
		resolveHoldMs: 0,
		...more,
	});
	t.teardown(() => outbox.close());
	return outbox;
};

const told = (receiver: Receiver): readonly string[] =>
	receiver.accepted.map(({ body }) => `${body.type} ${String(body.data['condition'])}`);

test('a condition is told at once, signed, and told again when it is over', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	const outbox = await openOutbox(t, directory, [await sinkTo(receiver, directory)]);
	const firedMs = performance.now();
	outbox.conditions([wrong('split-brain')]);
	outbox.conditions([wrong('split-brain')]);
	await receiver.until(() => receiver.accepted.length === 1);
	// The bound is one second; it is generous here because a busy machine runs many tests at a time.
	t.true((receiver.seen[0]?.atMs ?? Infinity) - firedMs < 10_000);
	outbox.conditions([]);
	await receiver.until(() => receiver.accepted.length === 2);
	t.deepEqual(told(receiver), ['condition.fired split-brain', 'condition.resolved split-brain']);
	t.is(receiver.accepted[0]?.body.data['incident'], receiver.accepted[1]?.body.data['incident']);
	t.deepEqual(receiver.unverified, []);
	t.is((await stat(join(directory, 'state', 'alerts.jsonl'))).mode & 0o777, 0o600);
});

test('a receiver that fails is tried again under the same id and gets everything in order', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	let failures = 2;
	receiver.answer = () => {
		failures -= 1;
		return { status: failures >= 0 ? 503 : 200 };
	};
	const outbox = await openOutbox(t, directory, [await sinkTo(receiver, directory)]);
	outbox.conditions([wrong('one')]);
	outbox.conditions([wrong('one'), wrong('two')]);
	outbox.conditions([wrong('two')]);
	await receiver.until(() => receiver.accepted.length === 3);
	t.deepEqual(told(receiver), [
		'condition.fired one',
		'condition.fired two',
		'condition.resolved one',
	]);
	t.is(new Set(receiver.seen.slice(0, 3).map(({ id }) => id)).size, 1, 'one message three times');
	t.is(outbox.view()[0]?.failures, 0);
});

test('a receiver that never answers holds up no other one and not the caller', async (t) => {
	const directory = await folder(t);
	const [slow, quick] = [await receive(t), await receive(t)];
	slow.answer = () => new Promise(() => {});
	const outbox = await openOutbox(t, directory, [
		await sinkTo(slow, directory, { name: 'slow', limitMs: 100 }),
		await sinkTo(quick, directory, { name: 'quick' }),
	]);
	outbox.conditions([wrong('one')]);
	await quick.until(() => quick.accepted.length === 1);
	await slow.until(() => slow.seen.length === 2);
	t.like(outbox.view()[0], { name: 'slow', pending: 1 });
	t.regex(outbox.view()[0]?.lastError ?? '', /timeout/i);
});

test('a receiver that asks to wait is left alone for so long', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	receiver.answer = () =>
		receiver.seen.length === 1 ? { status: 429, headers: { 'retry-after': '2' } } : { status: 200 };
	const outbox = await openOutbox(t, directory, [await sinkTo(receiver, directory)]);
	outbox.conditions([wrong('one')]);
	await receiver.until(() => receiver.seen.length === 1);
	outbox.conditions([wrong('one'), wrong('two')]);
	await receiver.until(() => receiver.accepted.length === 2);
	const [first, second] = receiver.seen;
	t.true((second?.atMs ?? 0) - (first?.atMs ?? 0) >= 1950);
});

test('a redirect is not followed and a message that is refused holds up the next one three times', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	const told: string[] = [];
	receiver.answer = ({ body }) => {
		if (body.data['condition'] === 'other') return { status: 200 };
		return receiver.seen.length === 1
			? { status: 307, headers: { location: receiver.url } }
			: { status: 422 };
	};
	const outbox = await openOutbox(t, directory, [await sinkTo(receiver, directory)], {
		problem: (code) => told.push(code),
	});
	outbox.conditions([wrong('bad')]);
	outbox.conditions([wrong('bad'), wrong('other')]);
	const speedUp = setInterval(
		() => outbox.event({ type: 'tick.tock', severity: 'info', summary: '', next: '' }),
		300,
	);
	await receiver.until(() => receiver.accepted.length > 0);
	clearInterval(speedUp);
	t.is(receiver.seen.filter(({ body }) => body.data['condition'] === 'bad').length, 4);
	t.deepEqual(told, ['alert-given-up']);
});

test('a receiver gets only what is severe enough for it', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	const sink = await sinkTo(receiver, directory, { minimum: 'critical' });
	const outbox = await openOutbox(t, directory, [sink]);
	outbox.conditions([wrong('small', 'info'), wrong('large', 'critical')]);
	await receiver.until(() => receiver.accepted.length === 1);
	t.deepEqual(told(receiver), ['condition.fired large']);
	outbox.conditions([wrong('small', 'critical'), wrong('large', 'critical')]);
	await receiver.until(() => receiver.accepted.length === 2);
	t.is(told(receiver)[1], 'condition.changed small');
});

test('after a restart an open condition is not told again, and one that is over is', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	const sink = await sinkTo(receiver, directory);
	const first = await openOutbox(t, directory, [sink]);
	first.conditions([wrong('stays'), wrong('ends')]);
	while (first.view()[0]?.pending !== 0) await new Promise(setImmediate);
	await first.close();
	const second = await openOutbox(t, directory, [sink], { settleMs: 3_600_000 });
	second.conditions([]);
	second.conditions([wrong('stays')]);
	t.is(second.view()[0]?.pending, 0, 'nothing resolves before the world was observed');
	await second.close();
	const third = await openOutbox(t, directory, [sink], { settleMs: 20 });
	const observing = setInterval(() => third.conditions([wrong('stays')]), 20);
	await receiver.until(() => receiver.accepted.length === 3);
	clearInterval(observing);
	t.is(told(receiver)[2], 'condition.resolved ends');
});

test('what was taken survives kill -9 and a line that is torn, and is told by the next run under the same ids', async (t) => {
	const directory = await folder(t);
	const away = await startReceiver();
	const secretFile = join(directory, 'away.secret');
	await writeFile(secretFile, `${away.secret}\n`, { mode: 0o600 });
	const { url } = away;
	await away.close();
	const child = startChild({
		directory: join(directory, 'state'),
		receivers: [
			{ kind: 'webhook', name: 'on-call', minimum: 'info', limitMs: 1000, url, secretFile },
		],
		begin: 0,
		end: null,
		open: 1000,
	});
	const durable: string[] = [];
	child.on('message', (news: ChildNews) => {
		if ('durable' in news) durable.push(`c${news.durable}`);
		// In the middle of the next one.
		if (durable.length === 20) child.kill('SIGKILL');
	});
	const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
	t.is(signal, 'SIGKILL');
	await appendFile(join(directory, 'state', 'alerts.jsonl'), '{"op":"message","mess');
	const receiver = await receive(t);
	const problems: string[] = [];
	await openOutbox(t, directory, [await sinkTo(receiver, directory)], {
		problem: (code) => problems.push(code),
	});
	await receiver.until(() => receiver.accepted.length >= durable.length);
	const names = receiver.accepted.map(({ body }) => body.data['condition']);
	t.deepEqual(names.slice(0, durable.length), durable, 'in order and without a gap');
	t.is(new Set(receiver.accepted.map(({ id }) => id)).size, receiver.accepted.length);
	t.deepEqual(problems, ['alert-outbox-damaged']);
});

test('alerts are told also when the disk cannot be written, and that is reported', async (t) => {
	const directory = await folder(t);
	await writeFile(join(directory, 'state'), 'a file in the place of the folder');
	const receiver = await receive(t);
	const problems: string[] = [];
	const outbox = await openOutbox(t, directory, [await sinkTo(receiver, directory)], {
		problem: (code) => problems.push(code),
	});
	outbox.conditions([wrong('one')]);
	await receiver.until(() => receiver.accepted.length === 1);
	t.deepEqual(problems, ['alert-outbox-write-failed']);
});

// Serial: its clock is that of the whole process.
test.serial(
	'an outbox that is closed while the disk fails writes nothing afterwards',
	async (t) => {
		mock.timers.enable({ apis: ['setTimeout'] });
		t.teardown(() => mock.timers.reset());
		const directory = await folder(t);
		await writeFile(join(directory, 'state'), 'a file in the place of the folder');
		const failed = Promise.withResolvers<void>();
		const outbox = await openOutbox(t, directory, [], { problem: () => failed.resolve() });
		await failed.promise;
		await outbox.close();
		await rm(join(directory, 'state'));
		mock.timers.tick(60_000);
		await outbox.durable();
		await t.throwsAsync(stat(join(directory, 'state')), { code: 'ENOENT' });
	},
);

test('the outbox stays small when nobody takes its messages', async (t) => {
	const directory = await folder(t);
	const problems: string[] = [];
	const away: Sink = {
		name: 'away',
		minimum: 'info',
		send: () => Promise.resolve({ result: 'failed', detail: 'away', retryAfterMs: 60_000 }),
	};
	const outbox = await openOutbox(t, directory, [away], {
		messagesMax: 10,
		fileBytesMax: 5000,
		problem: (code) => problems.push(code),
	});
	for (let index = 0; index < 100; index += 1) {
		outbox.conditions(index % 2 === 0 ? [wrong('flickers')] : []);
		if (index % 10 === 0) await outbox.durable();
	}
	await outbox.durable();
	t.is(outbox.view()[0]?.pending, 10);
	t.true((await stat(join(directory, 'state', 'alerts.jsonl'))).size < 15_000);
	t.true(problems.includes('alerts-dropped'));
});

test('a receiver that is taken out by a reload is forgotten, a new one gets what comes', async (t) => {
	const directory = await folder(t);
	const [first, second] = [await receive(t), await receive(t)];
	const outbox = await openOutbox(t, directory, [
		await sinkTo(first, directory, { name: 'first' }),
	]);
	outbox.conditions([wrong('one')]);
	await first.until(() => first.accepted.length === 1);
	outbox.reload([await sinkTo(second, directory, { name: 'second' })]);
	outbox.conditions([wrong('one'), wrong('two')]);
	await second.until(() => second.accepted.length === 1);
	t.deepEqual(told(second), ['condition.fired two']);
	t.deepEqual(
		outbox.view().map(({ name }) => name),
		['second'],
	);
});

test('a secret file that is missing or wrong is an error of the receiver, told in words', async (t) => {
	const directory = await folder(t);
	const receiver = await receive(t);
	const target = { url: receiver.url, secretFile: join(directory, 'missing'), limitMs: 1000 };
	const outbox = await openOutbox(t, directory, [
		{ name: 'no-secret', minimum: 'info', send: webhookSender(target) },
	]);
	outbox.conditions([wrong('one')]);
	while (outbox.view()[0]?.failures === 0) await new Promise(setImmediate);
	t.regex(outbox.view()[0]?.lastError ?? '', /no such file/);
	await writeFile(target.secretFile, receiver.secret);
	await receiver.until(() => receiver.accepted.length === 1);
	t.deepEqual(receiver.unverified, []);
});
