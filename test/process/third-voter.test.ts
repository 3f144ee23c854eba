import test from 'ava';
import { truths } from '#src/demo/truth.ts';
import { places, statusOf, until, vmpair, writesGoOn } from '#test/process/stage.ts';
import { brokenIn, setTrio, witnessed } from '#test/process/trio.ts';

test('two agents with a witness renew, and hold watchdogs that count', async (t) => {
	const trio = await setTrio(t);
	const { stage, boards, witness } = trio;
	for (const [host, board] of Object.entries(boards)) {
		await until(`the board of ${host} is fed`, () => board.fed.length > 3);
		await until(`nothing is wrong on ${host}`, async () => {
			const status = await statusOf(stage, host);
			const voter = status?.witness ?? null;
			const armed = voter?.watchdogs.every(({ timeoutMs }) => timeoutMs === 5000) === true;
			return status?.conditions.length === 0 && voter?.grants === true && armed;
		});
	}
	await until('each vouches for its watchdog in the witness', async () => {
		const hosts = Object.values((await witnessed(witness))?.hosts ?? {});
		return hosts.length === 2 && hosts.every(({ watchdogMs }) => watchdogMs === 5000);
	});
	t.deepEqual(await brokenIn(trio), []);
});

test('a disarmed pair stops its watchdogs when the witness knows it, and arms them again', async (t) => {
	const { stage, boards, witness } = await setTrio(t);
	const both = Object.values(boards);
	await until('the boards are fed', () => both.every((board) => board.fed.length > 3));
	const disarmed = await vmpair(stage, 'north', 'disarm', '--reason', 'new switch');
	t.is(disarmed.exitCode, 0, disarmed.stdout + disarmed.stderr);
	const hosts = Object.values((await witnessed(witness))?.hosts ?? {});
	t.deepEqual(
		hosts.map(({ watchdogMs }) => watchdogMs),
		[null, null],
	);
	await until('the boards are stopped in order', () =>
		both.every((board) => board.fed.endsWith('V')),
	);
	const armed = await vmpair(stage, 'south', 'arm');
	t.is(armed.exitCode, 0, armed.stdout + armed.stderr);
	await until('the boards are fed again', () => both.every((board) => !board.fed.endsWith('V')));
});

test('two hosts that lose each other and reach the witness go on, and nobody is taken over', async (t) => {
	const trio = await setTrio(t);
	const { stage, witness } = trio;
	const before = places(stage);
	stage.cut('management');
	stage.cut('replication');
	await writesGoOn(stage);
	t.is(places(stage), before);
	const record = await witnessed(witness);
	t.deepEqual(record?.resources['ldap']?.inSync, ['north']);
	t.deepEqual(record?.resources['ui']?.inSync, ['south']);
	t.deepEqual(await brokenIn(trio), []);
	stage.mend('management');
	stage.mend('replication');
	await until('both copies are current again', async () => {
		const resources = Object.values((await witnessed(witness))?.resources ?? {});
		return resources.every(({ inSync }) => inSync.length === 2);
	});
	t.is(places(stage), before);
});

test('with a witness, a host that loses power is taken over under a claim', async (t) => {
	const trio = await setTrio(t);
	const { stage, witness } = trio;
	stage.powerCut('north');
	await until('every VM runs on south', () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.join() === 'south'),
	);
	await until('the witness names south as owner', async () => {
		const resources = Object.values((await witnessed(witness))?.resources ?? {});
		return resources.length === 5 && resources.every(({ owner }) => owner === 'south');
	});
	t.deepEqual(await brokenIn(trio), []);
});

test('hosts that lose each other and the witness pause within the lease, and go on when it is back', async (t) => {
	const trio = await setTrio(t);
	const { stage, witness, boards } = trio;
	const before = places(stage);
	witness.signal('SIGSTOP');
	stage.cut('management');
	stage.cut('replication');
	await until('nothing runs anywhere', () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.length === 0),
	);
	const fed = Object.values(boards).map((board) => board.fed.length);
	await until('a paused host is not reset: its watchdog is fed', () =>
		Object.values(boards).every((board, index) => board.fed.length > (fed[index] ?? 0) + 8),
	);
	witness.signal('SIGCONT');
	await until('every VM runs where it ran', () => places(stage) === before);
	t.deepEqual(await brokenIn(trio), []);
});
