import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Alerts } from '#src/agent-alerts.ts';
import { condition } from '#src/alert/condition.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import type { Telling } from '#src/alert/turn.ts';
import type { AlertList, AlertTrials } from '#src/api/alert.ts';
import { alertLines, trialLines } from '#src/cli/alert-text.ts';
import { tools } from '#src/std/driver-tool.ts';
import { listen } from '#test/alert/listener.ts';
import type { Listener } from '#test/alert/listener.ts';

const wrong = (name: string) =>
	condition({
		name,
		subject: 'ldap',
		pairId: 'pair',
		severity: 'warning',
		summary: `${name} is wrong`,
		next: 'look',
	});

const open = async (
	t: ExecutionContext,
	directory: string,
	receivers: Record<string, Listener>,
) => {
	const list = await Promise.all(
		Object.entries(receivers).map(async ([name, { url }]) => {
			const urlFile = join(directory, name);
			await writeFile(urlFile, `${url}/${name}`);
			return { kind: 'slack', name, minimum: 'warning', limitMs: 5000, urlFile } as const;
		}),
	);
	const outbox = await Outbox.open({
		directory: join(directory, 'state'),
		pairId: 'pair',
		host: 'alpha',
		first: true,
		sinks: sinksTo(list, tools),
		problem: () => {},
		settleMs: 0,
		resolveHoldMs: 0,
	});
	t.teardown(() => outbox.close());
	return { outbox, alerts: new Alerts(outbox, { receivers: list, deadman: null }) };
};

const folder = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'vmpair-people-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};

const idle = async (outbox: Outbox): Promise<void> => {
	while (outbox.view().some(({ pending }) => pending > 0))
		await new Promise((resolve) => setTimeout(resolve, 5));
};

const look = { columns: 100, colour: false };

test('a trial goes to every receiver or to one, says how each took it, and leaves nothing behind', async (t) => {
	const [well, broken] = [await listen(t), await listen(t)];
	broken.answer = () => [503, 'closed'];
	const { outbox, alerts } = await open(t, await folder(t), { well, broken });
	const all = (await alerts.answer({ verb: 'test', receiver: null, by: 'anna' })) as AlertTrials;
	t.like(all.trials[0], { receiver: 'well', result: 'delivered', detail: '' });
	t.like(all.trials[1], { receiver: 'broken', result: 'failed' });
	t.true(all.trials.every(({ tookMs }) => tookMs > 0));
	const text = trialLines(all, look).join('\n');
	t.regex(text, /^ *well has it, after \d/);
	t.regex(text, /^ *broken does not take it, after .*HTTP status 503: closed$/m);
	t.regex(well.heard[0]?.body ?? '', /a test by anna: nothing is wrong/);
	t.is(outbox.state.messages.length, 0);
	t.is(outbox.state.kept.length, 0);
	const one = (await alerts.answer({ verb: 'test', receiver: 'well', by: 'a' })) as AlertTrials;
	t.deepEqual(
		one.trials.map(({ receiver }) => receiver),
		['well'],
	);
	await t.throwsAsync(alerts.answer({ verb: 'test', receiver: 'pager', by: 'a' }), {
		code: 'unknown-receiver',
	});
});

test('what was told is kept and sent again to the receiver that asks, under its id and in order', async (t) => {
	const [one, other] = [await listen(t), await listen(t)];
	const directory = await folder(t);
	const { outbox, alerts } = await open(t, directory, { one, other });
	outbox.conditions([wrong('a')]);
	outbox.conditions([wrong('a'), wrong('b')]);
	outbox.conditions([wrong('b')]);
	await idle(outbox);
	const list = (await alerts.answer({ verb: 'list' })) as AlertList;
	t.deepEqual(
		list.kept.map(({ type, summary }) => `${type} ${summary}`),
		['condition.fired a is wrong', 'condition.fired b is wrong', 'condition.resolved a is wrong'],
	);
	const text = alertLines(list, true, look).join('\n');
	t.regex(text, /^warning b\/ldap since /);
	t.regex(text, /^ *one: nothing waits, last delivery /m);
	await outbox.close();
	const again = await open(t, directory, { one, other });
	const since = new Date(Date.now() - 3_600_000).toISOString();
	await again.alerts.answer({ verb: 'replay', receiver: 'other', which: { since } });
	await idle(again.outbox);
	const bodies = other.heard.map(({ body }) => body);
	t.is(bodies.length, 6);
	t.deepEqual(bodies.slice(3), bodies.slice(0, 3));
	t.is(one.heard.length, 3);
	const [first] = list.kept;
	await again.alerts.answer({ verb: 'replay', receiver: 'one', which: { id: first?.id ?? '' } });
	await idle(again.outbox);
	t.is(one.heard.length, 4);
	t.is(again.outbox.state.kept.length, 3);
	await t.throwsAsync(
		again.alerts.answer({ verb: 'replay', receiver: 'one', which: { id: 'msg_x' } }),
		{
			code: 'nothing-kept',
		},
	);
});

test('an acknowledgement is told, survives a restart, reaches the peer and ends with the incident', async (t) => {
	const channel = await listen(t);
	const directory = await folder(t);
	const { outbox, alerts } = await open(t, directory, { channel });
	outbox.conditions([wrong('a')]);
	const ack = { verb: 'ack', by: 'anna', reason: 'on the way' } as const;
	await t.throwsAsync(alerts.answer({ ...ack, key: 'b/ldap' }), { code: 'unknown-incident' });
	await alerts.answer({ ...ack, key: 'pair/a/ldap' });
	await idle(outbox);
	t.regex(channel.heard[1]?.body ?? '', /ACKNOWLEDGED by anna\* \(on the way\)/);
	const again = await alerts.answer({ ...ack, key: 'a/ldap' });
	t.regex((again as { message: string }).message, /was acknowledged by anna at .* already/);
	await outbox.close();
	const second = await open(t, directory, { channel });
	t.like(second.outbox.state.incidents.get('a/ldap')?.acknowledged, { by: 'anna' });
	let said: readonly Telling[] = [];
	second.outbox.onTellings((tellings) => (said = tellings));
	t.like(said[0], { key: 'a/ldap', open: true, told: ['channel'], acknowledged: { by: 'anna' } });
	const peer = await open(t, await folder(t), { channel });
	peer.outbox.heard(said);
	peer.outbox.conditions([wrong('a')]);
	peer.outbox.heard(said);
	t.like(peer.outbox.state.incidents.get('a/ldap')?.acknowledged, { by: 'anna' });
	second.outbox.conditions([]);
	second.outbox.conditions([wrong('a')]);
	t.is(second.outbox.state.incidents.get('a/ldap')?.acknowledged, undefined);
});

test('two agents tell a receiver once of what both see, and once of its end', async (t) => {
	const channel = await listen(t);
	const directory = await folder(t);
	const first = await open(t, directory, { channel });
	const folderOfSecond = await folder(t);
	const urlFile = join(folderOfSecond, 'channel');
	await writeFile(urlFile, `${channel.url}/channel`);
	const second = await Outbox.open({
		directory: folderOfSecond,
		pairId: 'pair',
		host: 'beta',
		first: false,
		sinks: sinksTo(
			[{ kind: 'slack', name: 'channel', minimum: 'warning', limitMs: 5000, urlFile }],
			tools,
		),
		problem: () => {},
		settleMs: 0,
		resolveHoldMs: 0,
	});
	t.teardown(() => second.close());
	first.outbox.onTellings((tellings) => second.heard(tellings));
	second.onTellings((tellings) => first.outbox.heard(tellings));
	first.outbox.heard([]);
	second.heard([]);
	first.outbox.conditions([wrong('a')]);
	second.conditions([wrong('a')]);
	await idle(first.outbox);
	await idle(second);
	t.is(channel.heard.length, 1);
	first.outbox.conditions([]);
	second.conditions([]);
	await idle(first.outbox);
	await idle(second);
	t.deepEqual(
		channel.heard.map(({ body }) => /WARNING|RESOLVED/.exec(body)?.[0]),
		['WARNING', 'RESOLVED'],
	);
});

test('what is told of many conditions is said to the peer a few times, the conditions themselves at once', async (t) => {
	const receivers = { channel: await listen(t), pager: await listen(t) };
	const { outbox } = await open(t, await folder(t), receivers);
	const said: (readonly Telling[])[] = [];
	outbox.onTellings((tellings) => said.push(tellings));
	const names = ['a', 'b', 'c', 'd', 'e', 'f'];
	outbox.conditions(names.map(wrong));
	t.is(said.length, 1, 'six conditions of one step are one piece of news');
	t.deepEqual(
		said[0]?.map(({ key, open: sees, told }) => ({ key, sees, told })),
		names.map((name) => ({ key: `${name}/ldap`, sees: true, told: [] })),
	);
	const startMs = performance.now();
	await idle(outbox);
	const all = new Set(Object.keys(receivers));
	const knowAll = () => said.at(-1)?.every(({ told }) => all.isSubsetOf(new Set(told)));
	while (knowAll() !== true) await new Promise((resolve) => setTimeout(resolve, 20));
	const tookMs = performance.now() - startMs;
	t.true(said.length <= 2 + tookMs / 500, `said ${said.length} times in ${Math.round(tookMs)} ms`);
	const before = said.length;
	outbox.conditions([]);
	t.is(said.length, before + 1);
	t.true(said.at(-1)?.every((each) => !each.open));
});
