import test from 'ava';
import { type Status, statusSchema } from '#src/api/view.ts';
import type { Stage } from '#src/demo/stage.ts';
import {
	allProtected,
	places,
	promisesHold,
	setStage,
	statusOf,
	until,
	vmpair,
} from '#test/process/stage.ts';

const hosts = ['north', 'south'] as const;

/** What `vmpair status --json` says on a host, checked against the published format. */
const toldBy = async (stage: Stage, host: string): Promise<Status> => {
	const { stdout } = await vmpair(stage, host, 'status', '--json');
	return statusSchema.parse(JSON.parse(stdout));
};

const pausedOn = async (stage: Stage, host: string): Promise<boolean | undefined> => {
	const status = await statusOf(stage, host);
	return status === null ? undefined : status.pause !== null;
};

test('while the pair is paused a dead host is not taken over; resume on the other one does it', async (t) => {
	const stage = await setStage(t);
	const words = ['pause', '--for', '30m', '--reason', 'new switch in rack 4', '--json'];
	const paused = await vmpair(stage, 'north', ...words);
	t.is(paused.exitCode, 0, paused.stdout + paused.stderr);
	t.like(JSON.parse(paused.stdout), { status: 'done', code: 'done', next: '' });
	for (const host of hosts) {
		await until(`${host} is paused`, async () => (await pausedOn(stage, host)) === true);
		const { verdict, pause } = await toldBy(stage, host);
		t.is(verdict, 'paused');
		t.is(pause?.reason, 'new switch in rack 4');
		t.is(pause?.forMs, 1_800_000);
		t.true(pause !== null && pause.leftMs > 1_700_000 && pause.leftMs <= 1_800_000);
		const text = await vmpair(stage, host, 'status');
		t.regex(text.stdout, /^PAUSED/);
		t.regex(text.stdout.replaceAll(/\s+/g, ' '), /min.* left\): new switch in rack 4/);
		const check = await vmpair(stage, host, 'check');
		t.is(check.exitCode, 1, check.stdout);
		t.regex(check.stdout, /^VMPAIR WARNING - .* is paused: .*new switch in rack 4/);
	}

	stage.powerCut('north');
	await until('south knows that north is out, and what to do', async () => {
		const status = await statusOf(stage, 'south');
		const out = status?.hosts.some(({ self, state }) => !self && state === 'out');
		return out === true && status?.conditions.some(({ next }) => next === 'vmpair resume') === true;
	});
	const down = await vmpair(stage, 'south', 'check');
	t.is(down.exitCode, 2, down.stdout);
	const dead = await vmpair(stage, 'south', 'status');
	t.regex(dead.stdout, /vmpair resume/);
	t.regex(places(stage), /ldap@ samba@ batch@ ui@south ce@south/);
	t.is(stage.simulation.counts.get('fences sent') ?? 0, 0);
	t.false(stage.events.some(({ what }) => what === 'vm-runs'));

	const resumed = await vmpair(stage, 'south', 'resume', '--json');
	t.is(resumed.exitCode, 0, resumed.stdout + resumed.stderr);
	t.like(JSON.parse(resumed.stdout), { status: 'done', code: 'done', next: '' });
	await until('every VM runs on south', () =>
		places(stage)
			.split(' ')
			.every((place) => place.endsWith('@south')),
	);
	t.is((await toldBy(stage, 'south')).pause, null);

	// The record with the pause is still on north's disk: it learns that the pause is over.
	stage.powerOn('north');
	await allProtected(stage);
	t.is((await toldBy(stage, 'north')).pause, null);
	promisesHold(t, stage);
});

test('a pause ends by itself on both hosts when its time is over', async (t) => {
	const stage = await setStage(t);
	const paused = await vmpair(stage, 'south', 'pause', '--for', '15s', '--reason', 'a cable');
	t.is(paused.exitCode, 0, paused.stdout + paused.stderr);
	await until('north is paused', async () => (await pausedOn(stage, 'north')) === true);
	await allProtected(stage);
	for (const host of hosts) {
		t.is(await pausedOn(stage, host), false);
		const { stdout } = await vmpair(stage, host, 'history');
		t.regex(stdout, /the pause is over|pair resumed/);
	}
	promisesHold(t, stage);
});
