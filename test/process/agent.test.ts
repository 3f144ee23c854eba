import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import test from 'ava';
import { execa } from 'execa';
import type { Stage } from '#src/demo/stage.ts';
import {
	allProtected,
	places,
	program,
	promisesHold,
	setStage,
	statusOf,
	until,
	vmpair,
	writesGoOn,
} from '#test/process/stage.ts';

const peerState = async (stage: Stage, host: string): Promise<string | undefined> =>
	(await statusOf(stage, host))?.hosts.find(({ self }) => !self)?.state;

test('kill -9 of an agent: no VM notices, the peer holds, the next agent adopts what runs', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	// Down for clearly longer than the detection time, or the peer may rightly see nothing but missed beats.
	stage.killAgent('north', 8000);
	await until(
		'south sees a dead agent',
		async () => (await peerState(stage, 'south')) === 'agent-down',
	);
	await writesGoOn(stage);
	await allProtected(stage);
	t.is(places(stage), before);
	t.false(stage.events.some(({ what }) => what === 'vm-runs'));
	promisesHold(t, stage);
});

test('a stopped agent is no dead host, and goes on where it was', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	stage.host('north').agent?.kill('SIGSTOP');
	await until(
		'south misses its beats',
		async () => (await peerState(stage, 'south')) === 'agent-down',
	);
	await writesGoOn(stage);
	t.is(places(stage), before);
	stage.host('north').agent?.kill('SIGCONT');
	await allProtected(stage);
	t.is(places(stage), before);
	t.regex((await vmpair(stage, 'north', 'history')).stdout, /this agent was stalled +gapMs=\d+/);
	promisesHold(t, stage);
});

const listeners = (stage: Stage): { port: number }[] => {
	const config = JSON.parse(readFileSync(stage.host('north').files.configFile, 'utf8')) as {
		hosts: Record<string, { links: Record<string, { port: number }> }>;
	};
	return Object.values(config.hosts).flatMap(({ links }) => Object.values(links));
};

const throwAt = async (port: number, bytes: Buffer): Promise<void> =>
	await new Promise((resolve) => {
		const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
		socket.setTimeout(500, () => socket.destroy());
		socket.on('error', () => {});
		socket.on('close', () => resolve());
	});

const strangerAt = async (port: number): Promise<boolean> =>
	await new Promise((resolve) => {
		// No certificate at all: the handshake must not end well for it.
		const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
			socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
		});
		let answered = false;
		socket.on('data', () => {
			answered = true;
		});
		socket.setTimeout(1000, () => socket.destroy());
		socket.on('error', () => {});
		socket.on('close', () => resolve(answered));
	});

test('garbage and strangers on the heartbeat ports change nothing', async (t) => {
	const stage = await setStage(t);
	const agents = stage.hosts.map(({ agent }) => agent?.pid);
	for (const { port } of listeners(stage)) {
		await Promise.all(
			[
				Buffer.alloc(1),
				randomBytes(64),
				randomBytes(65_536),
				Buffer.from('GET / HTTP/1.1\r\n\r\n'),
			].map(async (bytes) => await throwAt(port, bytes)),
		);
		t.false(await strangerAt(port));
	}
	await allProtected(stage);
	t.deepEqual(
		stage.hosts.map(({ agent }) => agent?.pid),
		agents,
	);
	promisesHold(t, stage);
});

const ended = async (stage: Stage, host: string): Promise<void> =>
	await until('the agent has ended', () => stage.host(host).agent === null);

const runAgentAgain = async (stage: Stage, host: string) => {
	const { configFile, places: where } = stage.host(host).files;
	const words = Object.entries(where).flatMap(([name, path]) => ['--place', `${name}=${path}`]);
	return await execa(process.execPath, [program, 'agent', '--config', configFile, ...words], {
		reject: false,
		timeout: 20_000,
	});
};

const damages: readonly (readonly [string, (text: string) => string])[] = [
	['cut short', (text) => text.slice(0, text.length / 2)],
	['changed by hand', (text) => text.replace('"armed":true', '"armed":false')],
	['emptied', () => ''],
];

test('with a damaged state file the agent refuses to start and says what to do', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	stage.killAgent('north', null);
	await ended(stage, 'north');
	const { stateFile } = stage.host('north').files;
	const text = readFileSync(stateFile, 'utf8');
	for (const [damage, how] of damages) {
		t.not(how(text), text);
		writeFileSync(stateFile, how(text));
		const { exitCode, stderr } = await runAgentAgain(stage, 'north');
		t.is(exitCode, 65, damage);
		t.regex(stderr, /is damaged/, damage);
		t.regex(stderr, /next: .*state\.json where it is and see .*state-damaged\.md/, damage);
	}
	t.is(places(stage), before);
});

test('a wrong configuration ends with code 78, all problems told with their lines', async (t) => {
	const stage = await setStage(t);
	const { configFile } = stage.host('north').files;
	const text = readFileSync(configFile, 'utf8');
	writeFileSync(configFile, text.replace('"arbiter": "fencing"', '"arbiter": "guess"'));
	const reloaded = await vmpair(stage, 'north', 'reload');
	t.not(reloaded.exitCode, 0);
	t.regex(reloaded.stderr, /vmpair\.yaml:\d+:\d+: /);
	// The running agent goes on with what it has.
	t.is((await statusOf(stage, 'north'))?.verdict, 'protected');
	stage.killAgent('north', null);
	await ended(stage, 'north');
	const { exitCode, stderr } = await runAgentAgain(stage, 'north');
	t.is(exitCode, 78);
	t.regex(stderr, /vmpair\.yaml:\d+:\d+: /);
});

test('a second agent on a host is refused, and the first one goes on', async (t) => {
	const stage = await setStage(t);
	const { exitCode, stderr } = await runAgentAgain(stage, 'south');
	t.is(exitCode, 1);
	t.regex(stderr, /another agent/);
	t.is((await statusOf(stage, 'south'))?.verdict, 'protected');
});

test('an agent that is told to end does so with code 0 and leaves its VMs running', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	const { agent } = stage.host('north');
	stage.host('north').restartMs = null;
	const exit = new Promise((resolve) => agent?.once('exit', resolve));
	agent?.kill('SIGTERM');
	t.is(await exit, 0);
	t.is(places(stage), before);
	promisesHold(t, stage);
});

test('the agent goes on when the reader of its log goes away', async (t) => {
	const stage = await setStage(t);
	stage.killAgent('north', null);
	await ended(stage, 'north');
	const { configFile, places: where } = stage.host('north').files;
	const words = Object.entries(where).flatMap(([name, path]) => ['--place', `${name}=${path}`]);
	const agent = execa(process.execPath, [program, 'agent', '--config', configFile, ...words], {
		reject: false,
		buffer: false,
		env: { PATH: `${stage.host('north').gate.binFolder}:${process.env['PATH'] ?? ''}` },
	});
	await until('it answers', async () => (await statusOf(stage, 'north')) !== null);
	agent.stdout.destroy();
	// It has something to say to nobody: the other host's agent goes and comes.
	stage.killAgent('south', 500);
	await until('it sees that', async () => (await peerState(stage, 'north')) !== 'online');
	await until('it sees the next one', async () => (await peerState(stage, 'north')) === 'online');
	agent.kill('SIGTERM');
	t.is((await agent).exitCode, 0);
	promisesHold(t, stage);
});
