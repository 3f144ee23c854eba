import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ReceiverConfig } from '#src/config/alerts.ts';
import type { Stage, StageHost } from '#src/demo/stage.ts';
import { startFive } from '#test/alert/five.ts';
import { places, promisesHold, setStage, until } from '#test/process/stage.ts';

/** Writes the receivers into the configuration of a host, as its file wants them. */
const setReceivers = ({ files }: StageHost, receivers: readonly ReceiverConfig[]): void => {
	const sections: Record<string, unknown[]> = {};
	const add = (section: string, each: object): void => {
		sections[section] = [...(sections[section] ?? []), each];
	};
	for (const each of receivers) {
		const { name } = each;
		if (each.kind === 'webhook')
			add('webhooks', { name, url: each.url, secretFile: each.secretFile });
		else if (each.kind === 'slack') add('slack', { name, urlFile: each.urlFile });
		else if (each.kind === 'pagerduty')
			add('pagerduty', { name, url: each.url, routingKeyFile: each.routingKeyFile });
		else if (each.kind === 'alertmanager') add('alertmanager', { name, urls: each.urls });
		else add('commands', { name, command: each.file });
	}
	const config = JSON.parse(readFileSync(files.configFile, 'utf8')) as object;
	writeFileSync(files.configFile, JSON.stringify({ ...config, alerts: sections }));
};

/** Cuts the power of north and returns how long it took until its VMs ran on south, ms. */
const failover = async (stage: Stage): Promise<number> => {
	const beganMs = performance.now();
	stage.powerCut('north');
	await until('every VM runs on south', () =>
		places(stage)
			.split(' ')
			.every((place) => place.endsWith('@south')),
	);
	return performance.now() - beganMs;
};

const undisturbed = async (t: ExecutionContext): Promise<number> => {
	const stage = await setStage(t);
	const tookMs = await failover(stage);
	await stage.close(false);
	return tookMs;
};

/** A receiver that held the failover up would do so for the limit of an attempt, which is 15 s. */
const noticeableMs = 7500;

test('receivers that hang or fail delay no failover, and hear of it after kill -9 of the agent', async (t) => {
	t.timeout(400_000);
	const usualMs = await undisturbed(t);
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-alerts-'));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const five = await startFive(t, directory, { limitMs: 15_000, repeatMs: 60_000 });
	const [hangs, ...fail] = five.listeners;
	await five.take(() => [500, ''], false);
	if (hangs !== undefined) hangs.answer = () => new Promise(() => {});
	const stage = await setStage(t, {
		prepare: async (host) =>
			setReceivers(
				host,
				five.all.map(({ config }) => config),
			),
	});
	const tookMs = await failover(stage);
	t.log(`${Math.round(usualMs)} ms without receivers, ${Math.round(tookMs)} ms with bad ones`);
	t.true(tookMs < usualMs + noticeableMs, `${tookMs} ms, usually ${usualMs} ms`);
	await until('every receiver was tried', () =>
		[hangs, ...fail].every((each) => (each?.heard.length ?? 0) > 0),
	);
	stage.killAgent('south', 200);
	await five.take(() => [200, 'ok'], true);
	await until('every receiver knows that north is out', () =>
		five.all.every(({ words }) => words().some(({ name }) => name === 'peer-out')),
	);
	for (const { kind, words } of five.all)
		t.is(words().find(({ name }) => name === 'peer-out')?.state, 'fired', kind);
	promisesHold(t, stage);
});
