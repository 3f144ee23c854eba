import { readFileSync } from 'node:fs';
import test from 'ava';
import { execa } from 'execa';
import { statusSchema } from '#src/api/view.ts';
import { whatIfSchema } from '#src/api/what-if.ts';
import type { Report } from '#src/demo/report.ts';
import {
	allProtected,
	places,
	program,
	promisesHold,
	setStage,
	until,
	vmpair,
} from '#test/process/stage.ts';

test('a person looks, stops, starts and moves VMs from either host', async (t) => {
	const stage = await setStage(t);
	const { exitCode, stdout } = await vmpair(stage, 'south', 'status', '--json');
	t.is(exitCode, 0);
	t.is(statusSchema.parse(JSON.parse(stdout)).verdict, 'protected');
	const text = await vmpair(stage, 'north', 'status');
	t.regex(text.stdout, /^PROTECTED/);
	t.true(text.stdout.split('\n').length <= 15, text.stdout);

	t.is((await vmpair(stage, 'south', 'stop', 'batch')).exitCode, 0);
	await until('batch is stopped', () => places(stage).includes('batch@ '));
	t.is((await vmpair(stage, 'south', 'start', 'batch')).exitCode, 0);
	t.true(places(stage).includes('batch@north'));

	const moved = await vmpair(stage, 'south', 'move', 'batch', '--json');
	t.is(moved.exitCode, 0, moved.stdout + moved.stderr);
	t.true(places(stage).includes('batch@south'));

	const history = await vmpair(stage, 'south', 'history', '--json');
	t.true(history.stdout.split('\n').length > 5);
	promisesHold(t, stage);
});

test('a person asks every fence device of both hosts', async (t) => {
	const stage = await setStage(t);
	const { exitCode, stdout, stderr } = await vmpair(stage, 'north', 'fence', 'check');
	t.is(exitCode, 0, stdout + stderr);
	t.regex(stdout, /north \(this host\) +1 +bmc-of-north +ipmi +on +\d+\.\d s +this host's own BMC/);
	t.regex(stdout, /south +1 +bmc-of-south +ipmi +on/);
	t.regex(stdout, /^Every level can be used\.$/m);
	t.is((await vmpair(stage, 'north', 'fence', 'reset')).exitCode, 64);
});

test('what a death, a cut and a migration would do is told, and nothing of it is done', async (t) => {
	const stage = await setStage(t);
	const records = (): string[] =>
		['north', 'south'].map((host) =>
			readFileSync(`${stage.host(host).files.folder}/state/state.json`, 'utf8'),
		);
	const before = { records: records(), places: places(stage) };
	const { exitCode, stdout, stderr } = await vmpair(
		stage,
		'south',
		'what-if',
		'north',
		'dead',
		'--json',
	);
	t.is(exitCode, 0, stdout + stderr);
	const { courses } = whatIfSchema.parse(JSON.parse(stdout));
	t.deepEqual(
		courses[0]?.vms.map(({ vm, from, fate, to }) => [vm, from, fate, to]),
		[
			['ldap', 'north', 'taken-over', 'south'],
			['samba', 'north', 'taken-over', 'south'],
			['batch', 'north', 'taken-over', 'south'],
			['ui', 'south', 'stays', 'south'],
			['ce', 'south', 'stays', 'south'],
		],
	);
	const own = await vmpair(stage, 'north', 'what-if', 'north', 'dead');
	t.regex(own.stdout, /^If north died now: every VM that runs now would run in the end$/m);
	t.regex(own.stdout, /^ldap +north +south +taken over +1 +power-off +\d/m);
	t.regex(own.stdout, /on south: vmpair what-if north dead/);
	const cut = await vmpair(stage, 'south', 'what-if', 'replication', 'cut');
	t.regex(cut.stdout, /^ldap +north +north +stays/m, cut.stdout + cut.stderr);
	const migrate = await vmpair(stage, 'south', 'what-if', 'migrate', 'ldap');
	t.regex(
		migrate.stdout,
		/^If somebody typed "vmpair migrate ldap" now: it would go live to south$/m,
	);
	for (const words of [
		['nort', 'dead'],
		['replicatoin', 'cut'],
		['migrate', 'lap'],
		['north', 'asleep'],
		['north'],
	]) {
		const wrong = await vmpair(stage, 'south', 'what-if', ...words);
		t.is(wrong.exitCode, 64, words.join(' '));
		t.not(wrong.stderr, '');
	}
	t.deepEqual({ records: records(), places: places(stage) }, before);
	t.is(stage.simulation.counts.get('fences sent') ?? 0, 0);
	promisesHold(t, stage);
});

test('a person rehearses a failover from either host, and sees what it took and when it was', async (t) => {
	const stage = await setStage(t);
	const asked = await vmpair(stage, 'north', 'drill', 'batch');
	t.is(asked.exitCode, 64, asked.stdout);
	t.regex(asked.stderr, /A drill takes batch down on north .*nobody can be asked/s);
	t.true(places(stage).includes('batch@north'));

	const gone = await vmpair(stage, 'south', 'drill', 'batch', '--yes');
	t.is(gone.exitCode, 0, gone.stdout + gone.stderr);
	t.true(places(stage).includes('batch@south'));
	t.regex(gone.stdout, /drill begins {2}vm=batch from=north to=south stop=shutdown/);
	t.regex(gone.stdout, /guest shut down on north +\d+\.\d s +-/);
	t.regex(gone.stdout, /running on south +\d+\.\d s +as here/);
	t.regex(gone.stdout, /protected again +\d+\.\d s/);
	t.regex(gone.stdout, /batch was away for \d+\.\d s\./);

	const hard = ['drill', 'batch', '--hard', '--return', '--yes', '--json'];
	const ridden = await vmpair(stage, 'south', ...hard);
	t.is(ridden.exitCode, 0, ridden.stdout + ridden.stderr);
	const { status, legs } = JSON.parse(ridden.stdout) as {
		status: string;
		legs: { from: string; to: string; hard: boolean; tookMs: Record<string, number> }[];
	};
	t.is(status, 'done');
	t.deepEqual(
		legs.map(({ from, to }) => `${from}>${to}`),
		['south>north', 'north>south'],
	);
	for (const { tookMs } of legs)
		t.true(
			Object.values(tookMs).every((ms) => ms >= 0 && ms < 60_000),
			ridden.stdout,
		);
	t.true(places(stage).includes('batch@south'));

	for (const host of ['north', 'south']) {
		const { stdout } = await vmpair(stage, host, 'explain', 'batch');
		t.regex(stdout, /Last drill: .*from north to south; it ran there\s+after \d/);
		t.regex(stdout, /drill ended/);
	}
	t.is((await vmpair(stage, 'north', 'disarm', '--reason', 'x')).exitCode, 0);
	const refused = await vmpair(stage, 'north', 'drill', 'batch', '--yes', '--json');
	t.is(refused.exitCode, 2, refused.stdout);
	t.regex(refused.stdout, /no drill of batch now: .*the pair is disarmed/);
	promisesHold(t, stage);
});

test('what is refused for safety has code 2 and says why', async (t) => {
	const stage = await setStage(t);
	const takeover = await vmpair(stage, 'south', 'takeover', '--confirm-dead', 'north', '--json');
	t.is(takeover.exitCode, 2);
	t.is((JSON.parse(takeover.stdout) as { status: string }).status, 'refused');
	t.regex(takeover.stderr, /What south knows of north/);
	const stale = await vmpair(
		stage,
		'south',
		'start',
		'ldap',
		'--accept-stale',
		'--confirm',
		'ldap',
	);
	t.is(stale.exitCode, 2, stale.stdout + stale.stderr);
	promisesHold(t, stage);
});

test('a host in standby is given nothing, and says so', async (t) => {
	const stage = await setStage(t);
	t.is((await vmpair(stage, 'south', 'standby', 'on')).exitCode, 64);
	for (const vm of ['ui', 'ce']) {
		const away = await vmpair(stage, 'south', 'move', vm);
		t.is(away.exitCode, 0, away.stdout + away.stderr);
	}
	const on = await vmpair(stage, 'south', 'standby', 'on', '--reason', 'a new fan');
	t.is(on.exitCode, 0, on.stdout + on.stderr);
	t.regex(on.stdout, /south is in standby: nothing runs here/);
	const { stdout } = await vmpair(stage, 'north', 'status');
	t.regex(stdout, /south +online.*in standby: takes no VMs/);
	t.regex(
		stdout,
		/^DEGRADED.*\n +ldap, samba, batch, ui, ce: south is in standby: it takes nothing/,
	);
	const moved = await vmpair(stage, 'north', 'move', 'batch');
	t.is(moved.exitCode, 2);
	t.regex(moved.stderr, /south is in standby: it takes no VMs/);
	const dry = await vmpair(stage, 'north', 'evacuate', 'north', '--dry-run');
	t.is(dry.exitCode, 0);
	t.regex(dry.stdout, /batch: stays: south is in standby/);
	const refused = await vmpair(stage, 'south', 'evacuate', 'north', '--json');
	t.is(refused.exitCode, 2, refused.stdout);
	t.regex(refused.stdout, /north can't be emptied: south is in standby/);
	t.is((await vmpair(stage, 'north', 'standby', 'on', '--reason', 'x')).exitCode, 2);
	t.is((await vmpair(stage, 'south', 'standby', 'off')).exitCode, 0);
	await allProtected(stage);
	promisesHold(t, stage);
});

test('a host that leaves with its VMs stopped starts them when it is back', async (t) => {
	const stage = await setStage(t);
	stage.host('north').restartMs = null;
	const left = await vmpair(stage, 'north', 'leave', '--stop');
	t.is(left.exitCode, 0, left.stdout + left.stderr);
	t.regex(places(stage), /batch@ /);
	await until('the other host says so', async () => {
		const { stdout } = await vmpair(stage, 'south', 'status', '--json');
		return stdout.includes('away on purpose');
	});
	stage.startAgent('north');
	await until('they run again', () => places(stage).includes('batch@north'));
	await allProtected(stage);
	promisesHold(t, stage);
});

test('disarm and arm hold for both hosts', async (t) => {
	const stage = await setStage(t);
	t.is((await vmpair(stage, 'north', 'disarm', '--reason', 'switch firmware')).exitCode, 0);
	const { stdout } = await vmpair(stage, 'south', 'status');
	t.regex(stdout, /^DISARMED/);
	t.regex(stdout, /switch firmware/);
	const armed = await vmpair(stage, 'south', 'arm');
	t.is(armed.exitCode, 0, armed.stdout + armed.stderr);
	await allProtected(stage);
});

test('without an agent the last record is told with its age, and the code is 69', async (t) => {
	const stage = await setStage(t);
	stage.killAgent('south', null);
	await until('the agent has ended', () => stage.host('south').agent === null);
	const { exitCode, stdout, stderr } = await vmpair(stage, 'south', 'status');
	t.is(exitCode, 69);
	t.regex(stderr, /is not running/);
	t.regex(stdout, /last record of this host \(south\), written .* ago/);
	t.regex(stdout, /ldap: owner north, wanted running/);
	const history = await vmpair(stage, 'south', 'history');
	t.is(history.exitCode, 69);
	t.regex(history.stdout, /the agent starts/);
	t.is((await vmpair(stage, 'south', 'stop', 'ldap')).exitCode, 69);
});

test('wrong usage has code 64 and names the help', async (t) => {
	for (const words of [
		['nonsense'],
		['stop'],
		['stop', 'a', 'b'],
		['status', '--colour'],
		['disarm'],
	]) {
		const { exitCode, stderr } = await vmpair(null, '', ...words);
		t.is(exitCode, 64, words.join(' '));
		t.regex(stderr, /next: vmpair help/);
	}
	t.is((await vmpair(null, '', 'help', 'takeover')).exitCode, 0);
});

test('the demo plays a power cut by itself, and leaves nothing behind', async (t) => {
	const words = [program, 'demo', '--script', 'power-cut', '--json'];
	const { exitCode, stdout } = await execa(process.execPath, words, { reject: false });
	const report = JSON.parse(stdout) as Report;
	t.is(exitCode, 0, report.failure);
	t.true(report.held);
	t.deepEqual(Object.keys(report.recoveryMs).toSorted(), ['batch', 'ldap', 'samba']);
	t.true(report.timeline.some(({ source, what }) => source === 'agent' && what === 'takeover'));
});
