import test from 'ava';
import type { HistoryEntry } from '#src/api/view.ts';
import type { Stage } from '#src/demo/stage.ts';
import { truths } from '#src/demo/truth.ts';
import { postMortemSchema } from '#src/store/post-mortem.ts';
import {
	allProtected,
	places,
	promisesHold,
	setStage,
	statusOf,
	until,
	vmpair,
} from '#test/process/stage.ts';

const entriesOf = (stdout: string): readonly HistoryEntry[] =>
	stdout
		.split('\n')
		.filter((line) => line !== '')
		.map((line) => JSON.parse(line) as HistoryEntry);

const deadOnSouth = async (stage: Stage): Promise<void> => {
	stage.powerCut('north');
	await until('every VM runs on south', () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.join() === 'south'),
	);
	await until('south sees them run', async () => {
		const status = await statusOf(stage, 'south');
		return (
			status?.vms.every(({ state, runsOn }) => state === 'running' && runsOn === 'south') === true
		);
	});
};

/** What north says in the last moments of its life: a VM stops and starts. */
const lastWords = async (t: Parameters<typeof promisesHold>[0], stage: Stage): Promise<void> => {
	for (const verb of ['stop', 'start'])
		t.is((await vmpair(stage, 'north', verb, 'batch')).exitCode, 0);
	await until('south has heard that batch runs again', async () => {
		const { stdout } = await vmpair(stage, 'south', 'history', '--peer', '--json');
		const about = entriesOf(stdout).filter(({ fields }) => fields['vm'] === 'batch');
		return about.at(-1)?.message === 'VM runs';
	});
	await allProtected(stage);
};

test('a dead host is heard on the other one: what it said last is there, also without an agent', async (t) => {
	const stage = await setStage(t);
	await lastWords(t, stage);
	const own = entriesOf((await vmpair(stage, 'north', 'history', '--json')).stdout);
	await deadOnSouth(stage);
	t.is((await vmpair(stage, 'north', 'status')).exitCode, 69);

	const told = await vmpair(stage, 'south', 'history', '--peer', '--json');
	t.is(told.exitCode, 0, told.stderr);
	const heard = entriesOf(told.stdout);
	const of = ({ message, fields }: HistoryEntry): string => JSON.stringify([message, fields]);
	const said = new Set(own.filter(({ level }) => level !== 'debug').map(of));
	const aboutBatch = heard.filter(({ fields }) => fields['vm'] === 'batch').map(of);
	t.true(aboutBatch.length > 1);
	t.deepEqual(
		aboutBatch.filter((line) => !said.has(line)),
		[],
		'every sentence is one that north said',
	);
	const text = await vmpair(stage, 'south', 'history', '--peer');
	t.regex(text.stdout, /VM runs {2}vm=batch/);

	const none = await vmpair(stage, 'south', 'post-mortem');
	t.is(none.exitCode, 0);
	t.regex(none.stderr, /no host was out and came back while this one looked on/);

	stage.killAgent('south', null);
	await until('the agent of south has ended', () => stage.host('south').agent === null);
	const offline = await vmpair(stage, 'south', 'history', '--peer');
	t.is(offline.exitCode, 69);
	t.is(offline.stdout, text.stdout);
	t.regex(offline.stderr, /these entries are from its files/);
	promisesHold(t, stage);
});

test('a host that was dead and is back has a post-mortem on the other one', async (t) => {
	const stage = await setStage(t);
	await lastWords(t, stage);
	const cutMs = stage.nowMs();
	await deadOnSouth(stage);
	const tookMs = stage.nowMs() - cutMs;
	stage.powerOn('north');
	await allProtected(stage);
	const awayMs = stage.nowMs() - cutMs;

	const asked = await vmpair(stage, 'south', 'post-mortem', '--json');
	t.is(asked.exitCode, 0, asked.stderr);
	const found = postMortemSchema.parse(JSON.parse(asked.stdout));
	t.like(found, { host: 'north', survivor: 'south' });
	const at = (what: RegExp): number =>
		found.phases.find((phase) => what.test(phase.what))?.ms ?? Number.NaN;
	t.true(at(/^the last word of it arrives$/) <= 0, asked.stdout);
	t.is(at(/^it is silent/), 0);
	t.true(at(/^it is proven out \(power-off\)$/) > 0, asked.stdout);
	t.true(at(/^it is back$/) > at(/^it is proven out/) && at(/^it is back$/) < awayMs);
	t.deepEqual(found.vms.map(({ vm }) => vm).toSorted(), ['batch', 'ldap', 'samba']);
	for (const { vm, downMs } of found.vms)
		t.true(downMs !== null && downMs > at(/^it is proven out/) && downMs < tookMs, vm);
	t.true(
		found.steps.some(({ host, message, fields }) => {
			return host === 'north' && message === 'VM runs' && fields['vm'] === 'batch';
		}),
		'the last words of north',
	);
	t.true(found.steps.some(({ host, message }) => host === 'south' && message === 'takeover'));

	const { stdout } = await vmpair(stage, 'south', 'post-mortem');
	t.regex(stdout, /^north fell silent at .* and was back after \d.*; south tells$/m);
	t.regex(stdout, /\+\d+\.\d s {2}it is proven out \(power-off\)$/m);
	t.regex(stdout, /^ldap was down for \d/m);
	t.regex((await vmpair(stage, 'north', 'post-mortem')).stderr, /no host was out/);
	t.is((await vmpair(stage, 'south', 'post-mortem', '2')).exitCode, 64);

	stage.killAgent('south', null);
	await until('the agent of south has ended', () => stage.host('south').agent === null);
	const offline = await vmpair(stage, 'south', 'post-mortem', '--json');
	t.deepEqual(postMortemSchema.parse(JSON.parse(offline.stdout)), found);
	promisesHold(t, stage);
});

test('a post-mortem has the whole story, also when the agent that tells it died in the middle', async (t) => {
	const stage = await setStage(t);
	await deadOnSouth(stage);
	t.true(places(stage).includes('ldap@south'));
	stage.killAgent('south', null);
	await until('the agent of south has ended', () => stage.host('south').agent === null);
	stage.startAgent('south');
	await until('the next agent of south answers', async () => {
		const status = await statusOf(stage, 'south');
		return status?.hosts.some(({ self, state }) => !self && state === 'out') === true;
	});
	stage.powerOn('north');
	await allProtected(stage);
	const asked = await vmpair(stage, 'south', 'post-mortem', '--json');
	const found = postMortemSchema.parse(JSON.parse(asked.stdout));
	t.is(found.phases.find(({ what }) => what.startsWith('it is silent'))?.ms, 0);
	t.true(found.phases.some(({ what }) => /^it is proven out \(power-off\)$/.test(what)));
	t.deepEqual(found.vms.map(({ vm }) => vm).toSorted(), ['batch', 'ldap', 'samba']);
	t.true(
		found.vms.every(({ downMs }) => downMs !== null && downMs > 0),
		asked.stdout,
	);
	promisesHold(t, stage);
});
