import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { truths } from '#src/demo/truth.ts';
import { inHeartbeatThread } from '#test/process/debugger.ts';
import { places, statusOf, until, vmpair, writesGoOn } from '#test/process/stage.ts';
import { brokenIn, setTrio, type Trio, witnessed } from '#test/process/trio.ts';

const hosts = ['north', 'south'] as const;

/** A condition that a host's agent tells of now. */
const told = async (trio: Trio, host: string, name: string): Promise<boolean> =>
	(await statusOf(trio.stage, host))?.conditions.some((each) => each.name === name) === true;

const allWell = async (trio: Trio): Promise<void> => {
	for (const host of hosts)
		await until(`nothing is wrong on ${host}`, async () => {
			const status = await statusOf(trio.stage, host);
			return status?.verdict === 'protected' && status.conditions.length === 0;
		});
};

/** The board is fed again and again from now on. */
const feeds = async (trio: Trio, host: string): Promise<void> => {
	const before = trio.boards[host]?.fed.length ?? 0;
	await until(`the board of ${host} is fed`, () => {
		return (trio.boards[host]?.fed.length ?? 0) > before + 4;
	});
};

/** Waits until a board was not fed for as long as its time-out: here its host would be reset. */
const expires = async (trio: Trio, host: string): Promise<void> => {
	let fed = -1;
	let sinceMs = 0;
	await until(`the board of ${host} runs out`, () => {
		const now = trio.boards[host]?.fed.length ?? 0;
		if (now !== fed) {
			fed = now;
			sinceMs = performance.now();
		}
		return performance.now() - sinceMs > 5000;
	});
};

const nothingRuns = (trio: Trio): boolean =>
	truths(trio.stage.simulation).every(({ runsOn }) => runsOn.length === 0);

const severed = (trio: Trio): void => {
	for (const link of ['management', 'replication']) trio.stage.cut(link);
};

const mended = (trio: Trio): void => {
	for (const link of ['management', 'replication']) trio.stage.mend(link);
};

test('an agent or its heartbeat thread that dies leaves the watchdog fed and every VM where it is', async (t) => {
	const trio = await setTrio(t);
	const { stage } = trio;
	await allWell(trio);
	const before = places(stage);
	stage.killAgent('north', 500);
	await feeds(trio, 'north');
	await allWell(trio);
	t.is(places(stage), before);
	await inHeartbeatThread(stage, 'north', 'process.exit(3)');
	await until(
		'the agent has ended again',
		() => stage.events.filter(({ what }) => what === 'agent-ended').length === 2,
	);
	await feeds(trio, 'north');
	await allWell(trio);
	t.is(places(stage), before);
	for (const host of hosts) t.false(trio.boards[host]?.fed.includes('V'));
	t.deepEqual(await brokenIn(trio), []);
});

test('an agent that stands still lets its watchdog run out; only then the other host takes over', async (t) => {
	const trio = await setTrio(t);
	const { stage } = trio;
	await allWell(trio);
	const before = places(stage);
	// For less than the lease: nothing happens.
	stage.host('north').agent?.kill('SIGSTOP');
	await until('south misses its beats', async () => {
		return (await statusOf(stage, 'south'))?.hosts.find(({ self }) => !self)?.state !== 'online';
	});
	stage.host('north').agent?.kill('SIGCONT');
	await feeds(trio, 'north');
	await allWell(trio);
	t.is(places(stage), before);
	// For ever.
	stage.host('north').agent?.kill('SIGSTOP');
	await expires(trio, 'north');
	t.is(places(stage), before);
	t.false(stage.events.some(({ what }) => what === 'powered-off-by-fence'));
	// What the board does then.
	stage.powerCut('north');
	await until('every VM runs on south', () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.join() === 'south'),
	);
	t.deepEqual(await brokenIn(trio), []);
});

test('a feeder that is killed or stands still stops no board and no VM, and its host vouches for nothing', async (t) => {
	const trio = await setTrio(t);
	const { stage, boards, feeders } = trio;
	await allWell(trio);
	const before = places(stage);
	const vouches = async (): Promise<boolean> =>
		((await witnessed(trio.witness))?.hosts['north']?.watchdogMs ?? null) !== null;
	feeders['north']?.kill('SIGSTOP');
	await until('north vouches for no watchdog', async () => !(await vouches()));
	await until('it says so', async () => await told(trio, 'north', 'watchdog-unarmed'));
	feeders['north']?.kill('SIGCONT');
	await until('north vouches again', vouches);
	feeders['north']?.kill('SIGKILL');
	await until('north vouches for none', async () => !(await vouches()));
	t.false(boards['north']?.fed.includes('V'));
	// As systemd would.
	boards['north']?.show({ state: 'active' });
	await boards['north']?.feeder(stage.host('north').files.places.feeder);
	await until('north vouches once more', vouches);
	await feeds(trio, 'north');
	await allWell(trio);
	t.is(places(stage), before);
	t.deepEqual(await brokenIn(trio), []);
});

test('a witness that was killed, restored or emptied grants nothing until both hosts have met', async (t) => {
	const trio = await setTrio(t);
	const { stage, witness } = trio;
	await allWell(trio);
	const data = join(witness.folder, 'data');
	const copy = join(witness.folder, 'copy');
	cpSync(data, copy, { recursive: true });
	// The copy is older than this, so it counts for nothing.
	t.is((await vmpair(stage, 'north', 'stop', 'batch')).exitCode, 0);
	t.is((await vmpair(stage, 'north', 'start', 'batch')).exitCode, 0);
	await allWell(trio);
	const before = places(stage);
	const generations = async () => {
		const record = await witnessed(witness);
		return record === null
			? null
			: Object.entries(record.resources).map(([name, { generation }]) => [name, generation]);
	};
	const good = await generations();
	const faults: readonly (readonly [string, () => Promise<unknown>])[] = [
		['restarted', async () => await witness.start()],
		[
			'restored old',
			async () => {
				rmSync(data, { recursive: true });
				cpSync(copy, data, { recursive: true });
				await witness.start();
			},
		],
		[
			'emptied',
			async () => {
				await witness.start();
				await witness.admin((redis) => redis.flushall());
			},
		],
	];
	for (const [fault, happens] of faults) {
		await witness.kill();
		severed(trio);
		await until(`nothing runs anywhere: ${fault}`, () => nothingRuns(trio));
		await happens();
		for (const host of hosts)
			await until(`${host} hears the witness and does not trust it: ${fault}`, async () => {
				const status = await statusOf(stage, host);
				return (
					status?.conditions.some(
						({ name, summary }) => name === 'witness-unusable' && !/answer/.test(summary),
					) === true
				);
			});
		t.true(nothingRuns(trio), fault);
		mended(trio);
		await until(`every VM runs where it ran: ${fault}`, () => places(stage) === before);
		await until(`the witness holds the record of the hosts: ${fault}`, async () => {
			const now = await generations();
			return now !== null && now.every(([, each = 0], index) => each >= (good?.[index]?.[1] ?? 0));
		});
		await writesGoOn(stage);
		await allWell(trio);
	}
	t.deepEqual(await brokenIn(trio), []);
});

test('a witness that is killed while the hosts hear each other costs nothing, and is confirmed by both', async (t) => {
	const trio = await setTrio(t);
	const { stage, witness } = trio;
	await allWell(trio);
	const before = places(stage);
	await witness.kill();
	for (const host of hosts)
		await until(`${host} misses it`, async () => await told(trio, host, 'witness-unusable'));
	await writesGoOn(stage);
	await witness.start();
	await allWell(trio);
	t.is(places(stage), before);
	await witness.admin((redis) => redis.flushall());
	await until('both have written it anew', async () => {
		const record = await witnessed(witness);
		return record !== null && Object.keys(record.resources).length === 5;
	});
	await allWell(trio);
	t.is(places(stage), before);
	t.deepEqual(await brokenIn(trio), []);
});
