import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { condition } from '#src/alert/condition.ts';
import { Deadman } from '#src/alert/driver-deadman.ts';
import type { Sink } from '#src/alert/driver-delivery.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import { conditionMessage, eventMessage } from '#src/alert/message.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import type { ReceiverConfig } from '#src/config/alerts.ts';
import { tools } from '#src/std/driver-tool.ts';
import { listen } from '#test/alert/listener.ts';
import type { Heard } from '#test/alert/listener.ts';

const folder = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'vmpair-receivers-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};

const common = { name: 'on-call', minimum: 'info', limitMs: 5000 } as const;

const sinkTo = (receiver: ReceiverConfig): Sink => {
	const [sink] = sinksTo([receiver], tools);
	if (sink === undefined) throw new Error('no sink');
	return sink;
};

const peerOut = condition({
	name: 'peer-out',
	subject: 'alpha',
	pairId: 'pair',
	severity: 'critical',
	summary: 'alpha is out <off> & gone',
	next: 'repair alpha',
});
const sender = { pairId: 'pair', host: 'beta' };
const since = '2026-03-01T03:00:00.000Z';

const about = (kind: 'fired' | 'changed' | 'acknowledged' | 'resolved'): AlertMessage =>
	conditionMessage(sender, {
		kind,
		incident: {
			incident: 'abc',
			condition: peerOut,
			since,
			...(kind === 'acknowledged'
				? { acknowledged: { by: 'anna', at: since, reason: 'on the way' } }
				: {}),
		},
		at: '2026-03-01T03:05:00.000Z',
		sequence: 7,
	});

const once = eventMessage(sender, {
	type: 'agent.stalled',
	severity: 'critical',
	summary: 'it decides nothing',
	next: 'dmesg',
	id: 'x',
	at: since,
	sequence: 8,
});

const never = new AbortController().signal;
const parsed = (text: string | undefined): unknown => JSON.parse(text ?? 'null');

test('Slack gets a text that stands alone, with what is its own escaped', async (t) => {
	const urlFile = join(await folder(t), 'slack.url');
	const slack = await listen(t);
	await writeFile(urlFile, `${slack.url}/services/T000/B000/planted-token\n`);
	const { send } = sinkTo({ ...common, kind: 'slack', urlFile });
	for (const message of [about('fired'), about('acknowledged'), about('resolved'), once])
		t.deepEqual(await send(message, never), { result: 'delivered' });
	const texts = slack.heard.map(({ body }) => (parsed(body) as { text: string }).text);
	t.is(
		texts[0],
		':red_circle: *CRITICAL* alpha is out &lt;off&gt; &amp; gone\nnext: repair alpha\n' +
			'_pair pair, told by beta, 2026-03-01T03:05:00.000Z, pair/peer-out/alpha_',
	);
	t.regex(texts[1] ?? '', /ACKNOWLEDGED by anna\* \(on the way\) alpha is out/);
	t.regex(texts[2] ?? '', /^:white_check_mark: \*RESOLVED\* alpha is out[^\n]*\n_pair/);
	t.regex(texts[3] ?? '', /decides nothing\nnext: dmesg\n/);
	t.is(slack.heard[0]?.path, '/services/T000/B000/planted-token');
});

test('what a receiver says against a message is shown without the secret that it repeats', async (t) => {
	const directory = await folder(t);
	const urlFile = join(directory, 'slack.url');
	const routingKeyFile = join(directory, 'pager.key');
	const hostile = await listen(t);
	const key = 'planted0123456789abcdef012345678';
	await writeFile(urlFile, `${hostile.url}/services/T000/planted-token\n`);
	await writeFile(routingKeyFile, `${key}\n`);
	hostile.answer = ({ path, body }) => [404, `no_service at ${path} for ${body}`];
	for (const sink of [
		sinkTo({ ...common, kind: 'slack', urlFile }),
		sinkTo({ ...common, kind: 'pagerduty', routingKeyFile, url: `${hostile.url}/v2/enqueue` }),
	]) {
		const attempt = await sink.send(about('fired'), never);
		if (attempt.result !== 'failed') return t.fail();
		t.regex(attempt.detail, /HTTP status 404: no_service at/);
		t.notRegex(attempt.detail, /planted/);
	}
});

test('a secret file that is missing, empty or holds something else is told without showing it', async (t) => {
	const urlFile = join(await folder(t), 'slack.url');
	const { send } = sinkTo({ ...common, kind: 'slack', urlFile });
	const detail = async (): Promise<string> => {
		const attempt = await send(about('fired'), never);
		return attempt.result === 'delivered' ? '' : attempt.detail;
	};
	t.regex(await detail(), /no such file/);
	for (const wrong of [
		'',
		'planted',
		'https://me:planted@hooks.slack.com/a',
		'https://a/b\nhttps://c/d',
	]) {
		await writeFile(urlFile, wrong);
		const told = await detail();
		t.regex(told, /expected a URL with https:\/\/ or http:\/\/ on its one line/);
		t.notRegex(told, /planted/);
	}
});

test('PagerDuty gets one incident for a condition, whichever host tells, from its trigger to its end', async (t) => {
	const routingKeyFile = join(await folder(t), 'pager.key');
	const pager = await listen(t);
	pager.answer = () => [202, '{"status":"success"}'];
	await writeFile(routingKeyFile, 'R0123456789abcdef0123456789abcde\n');
	const url = `${pager.url}/v2/enqueue`;
	const { send } = sinkTo({ ...common, kind: 'pagerduty', routingKeyFile, url });
	for (const message of [about('fired'), about('acknowledged'), about('resolved'), once])
		t.deepEqual(await send(message, never), { result: 'delivered' });
	const [fired, acknowledged, resolved, event] = pager.heard.map(({ body }) => parsed(body));
	const base = {
		routing_key: 'R0123456789abcdef0123456789abcde',
		dedup_key: 'pair/peer-out/alpha',
	};
	t.like(fired, {
		...base,
		event_action: 'trigger',
		payload: {
			summary: 'alpha is out <off> & gone',
			source: 'beta',
			severity: 'critical',
			timestamp: '2026-03-01T03:05:00.000Z',
			component: 'alpha',
			group: 'pair',
			class: 'peer-out',
		},
	});
	t.deepEqual(acknowledged, { ...base, event_action: 'acknowledge' });
	t.deepEqual(resolved, { ...base, event_action: 'resolve' });
	t.like(event, { event_action: 'trigger', dedup_key: 'msg_x_8' });
});

interface Alert {
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	readonly startsAt: string;
	readonly endsAt: string;
}

test('Alertmanager gets labels that are the same from both hosts, and an end that is moved on while it is open', async (t) => {
	const [member, dead] = [await listen(t), await listen(t)];
	dead.answer = () => [500, ''];
	const urls = [`${dead.url}/`, member.url];
	const { send, repeat } = sinkTo({ ...common, kind: 'alertmanager', urls, repeatMs: 60_000 });
	t.deepEqual(await send(about('fired'), never), { result: 'delivered' });
	await send(about('changed'), never);
	await send(about('resolved'), never);
	await repeat?.send([about('fired')], never);
	t.is(member.heard[0]?.path, '/api/v2/alerts');
	const lists = member.heard.map(({ body }) => parsed(body) as Alert[]);
	t.like(lists[0]?.[0], {
		labels: { alertname: 'VmpairPeerOut', pair: 'pair', subject: 'alpha', severity: 'critical' },
		annotations: { summary: peerOut.summary, next: 'repair alpha', host: 'beta' },
		startsAt: since,
	});
	t.notRegex(JSON.stringify(lists[0]?.[0]?.labels), /beta/);
	const leftMs = lists.map((list) =>
		list.map(
			({ labels, endsAt }) => [labels['severity'], Date.parse(endsAt) - Date.now()] as const,
		),
	);
	const open = (list = leftMs[0] ?? []): readonly (string | undefined)[] =>
		list.filter(([, ms]) => ms > 0 && ms <= 240_000).map(([severity]) => severity);
	t.deepEqual(open(leftMs[0]), ['critical']);
	t.deepEqual(open(leftMs[1]), ['critical']);
	t.is(leftMs[1]?.length, 3, 'what was less severe is over');
	t.deepEqual(open(leftMs[2]), []);
	t.is(leftMs[2]?.length, 3, 'however severe it was');
	t.deepEqual(open(leftMs[3]), ['critical']);
	t.is(repeat?.everyMs, 60_000);
});

test('what is open is told again and again to a receiver that forgets, until it is over', async (t) => {
	const directory = await folder(t);
	const member = await listen(t);
	const [sink] = sinksTo(
		[{ ...common, kind: 'alertmanager', urls: [member.url], repeatMs: 1000 }],
		tools,
	);
	if (sink === undefined) return t.fail();
	const outbox = await Outbox.open({
		directory,
		...sender,
		sinks: [sink],
		first: true,
		problem: () => {},
		settleMs: 0,
		resolveHoldMs: 0,
	});
	t.teardown(() => outbox.close());
	outbox.conditions([peerOut]);
	await member.until(3);
	outbox.conditions([]);
	const isOver = ({ body, atMs }: Heard): boolean =>
		(parsed(body) as Alert[]).every(({ endsAt }) => Date.parse(endsAt) <= atMs);
	while (outbox.view()[0]?.pending !== 0) await new Promise((resolve) => setTimeout(resolve, 5));
	const over = member.heard.findIndex(isOver);
	t.true(over >= 3);
	t.is(member.heard.length, over + 1, 'nothing comes after its end');
});

const program = async (directory: string, ...lines: readonly string[]): Promise<string> => {
	const file = join(directory, 'tell');
	await writeFile(file, ['#!/bin/sh', ...lines, ''].join('\n'));
	await chmod(file, 0o755);
	return file;
};

test('a command gets the alert on its input and nothing of the agent’s environment', async (t) => {
	const directory = await folder(t);
	process.env['PLANTED_FOR_COMMAND'] = 'planted';
	t.teardown(() => delete process.env['PLANTED_FOR_COMMAND']);
	const out = join(directory, 'out');
	const file = await program(directory, `cat >${out}`, `env >>${out}`, `echo "args: $*" >>${out}`);
	const { send } = sinkTo({ ...common, kind: 'command', file, args: ['--to', 'a b; c'] });
	t.deepEqual(await send(about('fired'), never), { result: 'delivered' });
	const [json, ...rest] = (await readFile(out, 'utf8')).trim().split('\n');
	t.like(parsed(json), { id: 'msg_abc_7', type: 'condition.fired' });
	t.is((parsed(json) as { data: { key: string } }).data.key, 'pair/peer-out/alpha');
	t.is(rest.at(-1), 'args: --to a b; c');
	t.notRegex(rest.join('\n'), /PLANTED/);
	t.regex(rest.join('\n'), /^PATH=/m);
});

test('a command that fails, hangs or is not there is tried again, and nothing of it is left running', async (t) => {
	const directory = await folder(t);
	const pid = join(directory, 'pid');
	const failing = await program(directory, 'echo "no modem" >&2', 'exit 3');
	const attempt = (file: string, limitMs = 5000) =>
		sinkTo({ ...common, kind: 'command', file, args: [], limitMs }).send(about('fired'), never);
	t.deepEqual(await attempt(failing), {
		result: 'failed',
		detail: `${failing} ended with 3: no modem`,
		retryAfterMs: null,
	});
	t.like(await attempt('/nonexistent/tell'), { result: 'failed' });
	const hanging = await program(directory, `sleep 600 & echo $! >${pid}`, 'wait');
	// The file of the process id is there long before this limit, also on a busy machine.
	t.regex(JSON.stringify(await attempt(hanging, 5000)), /did not answer within 5000 ms/);
	const child = Number(await readFile(pid, 'utf8'));
	const lives = (): boolean => {
		try {
			process.kill(child, 0);
			return true;
		} catch {
			return false;
		}
	};
	while (lives()) await new Promise((resolve) => setTimeout(resolve, 10));
	t.pass();
});

test('a receiver that hangs and one that answers 500 hold up no other one', async (t) => {
	const directory = await folder(t);
	const [hung, broken, well] = [await listen(t), await listen(t), await listen(t)];
	hung.answer = () => new Promise(() => {});
	broken.answer = () => [500, ''];
	const sinkOf = async (name: string, url: string): Promise<ReceiverConfig> => {
		const urlFile = join(directory, name);
		await writeFile(urlFile, `${url}/x`);
		return { ...common, name, kind: 'slack', urlFile };
	};
	const sleeper = await program(directory, 'exec sleep 600');
	const receivers: ReceiverConfig[] = [
		await sinkOf('hung', hung.url),
		{ ...common, name: 'sleeper', kind: 'command', file: sleeper, args: [] },
		await sinkOf('broken', broken.url),
		await sinkOf('well', well.url),
	];
	const outbox = await Outbox.open({
		directory,
		...sender,
		sinks: sinksTo(receivers, tools),
		first: true,
		problem: () => {},
	});
	t.teardown(() => outbox.close());
	outbox.conditions([peerOut]);
	outbox.conditions([peerOut, { ...peerOut, key: 'two', name: 'two' }]);
	await well.until(2);
	t.deepEqual(
		outbox.view().map(({ name, pending }) => [name, pending > 0]),
		[
			['hung', true],
			['sleeper', true],
			['broken', true],
			['well', outbox.view()[3]?.pending !== 0],
		],
	);
	await broken.until(2);
});

test('the dead-man ping comes as long as the agent moves, and its failure is only shown', async (t) => {
	const directory = await folder(t);
	const urlFile = join(directory, 'deadman.url');
	const service = await listen(t);
	let moving = true;
	let asked = 0;
	const deadman = new Deadman({ urlFile, everyMs: 20, limitMs: 5000 }, () => {
		asked += 1;
		return moving;
	});
	t.teardown(() => deadman.stop());
	const until = async (holds: () => boolean): Promise<void> => {
		while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
	};
	await until(() => deadman.view.failures >= 2);
	t.regex(deadman.view.lastError, /no such file/);
	await writeFile(urlFile, `${service.url}/planted-check\n`);
	await service.until(2);
	t.like(service.heard[0], { method: 'GET', path: '/planted-check' });
	service.answer = ({ path }) => [503, `not now ${path}`];
	await until(() => deadman.view.failures >= 1);
	t.regex(deadman.view.lastError, /HTTP status 503: not now \/\[redacted\]/);
	t.truthy(deadman.view.lastPingAt);
	moving = false;
	const before = asked;
	await until(() => asked >= before + 2);
	const heard = service.heard.length;
	await until(() => asked >= before + 6);
	t.is(service.heard.length, heard);
});
