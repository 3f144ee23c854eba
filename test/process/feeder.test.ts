import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { monotonicMs } from '#src/cli/board-at.ts';
import type { Proof } from '#src/watchdog/board.ts';
import type { FeederAnswer } from '#src/watchdog/line.ts';
import { FakeBoard } from '#test/process/fake-board.ts';
import { until } from '#test/process/stage.ts';

const settings = {
	device: '/dev/watchdog0',
	parameter: null,
	timeoutMs: 5000,
	grantMaxMs: 7000,
	softdog: false,
	sysrq: false,
};

class FakeAgent {
	readonly socket: Socket;
	readonly answers: FeederAnswer[] = [];

	constructor(socket: Socket) {
		this.socket = socket;
		let text = '';
		socket.on('error', () => {});
		socket.on('data', (chunk: Buffer) => {
			text += chunk.toString();
			const lines = text.split('\n');
			text = lines.pop() ?? '';
			for (const line of lines) this.answers.push(JSON.parse(line) as FeederAnswer);
		});
	}

	async send(order: object): Promise<FeederAnswer> {
		const count = this.answers.length;
		this.socket.write(`${JSON.stringify(order)}\n`);
		await until('the feeder answers', () => this.answers.length > count);
		const answer = this.answers[count];
		if (answer === undefined) throw new Error('no answer');
		return answer;
	}

	async grant(aheadMs: number): Promise<FeederAnswer> {
		return await this.send({ grantUntilMs: monotonicMs() + aheadMs });
	}
}

/** The agent's end of the socket. */
const agentOf = async (host: FakeBoard): Promise<FakeAgent> => {
	const socket = connect(host.at('feeder.sock'));
	await new Promise<void>((resolve, reject) => {
		socket.once('connect', resolve);
		socket.once('error', reject);
	});
	return new FakeAgent(socket);
};

const fakeHost = (t: ExecutionContext): FakeBoard => {
	const host = new FakeBoard();
	t.teardown(() => host.close());
	return host;
};

const held = async (host: FakeBoard, changes: object = {}): Promise<FakeAgent> => {
	const agent = await agentOf(host);
	await agent.send({ hold: { ...settings, ...changes } });
	return agent;
};

const exitOf = async (child: ChildProcess): Promise<number | null> =>
	child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)));

test('the board is opened at the first grant, fed up to the deadline, and never after it', async (t) => {
	const host = fakeHost(t);
	host.prove();
	await host.feeder();
	const agent = await agentOf(host);
	t.like(await agent.grant(3000), { device: null, armed: false, code: 'idle' });
	const ready = await agent.send({ hold: { ...settings, sysrq: true } });
	// The time-out was set by wdctl and read back.
	t.like(ready, { timeoutMs: 5000, armed: false, board: 'tested', code: 'ready' });
	t.is(host.fed, '');
	t.like(await agent.grant(3000), { armed: true, device: '/dev/watchdog0' });
	await until('it is fed again and again', () => host.fed.length > 4);
	const lastMs = monotonicMs() + 1200;
	await agent.send({ grantUntilMs: lastMs });
	await until('the kernel is told', () => host.read('sysrq') === 'b');
	// 1.5 s before the board fires.
	t.true(monotonicMs() >= lastMs + 3500);
	t.regex(host.fed, /^\0+$/);
	const fed = host.fed.length;
	t.like(await agent.grant(3000), { armed: false, code: 'missed' });
	await new Promise((resolve) => setTimeout(resolve, 600));
	t.is(host.fed.length, fed);
	t.is(host.read('sysrq'), 'b');
});

test('a dead or stopped agent lets the grant run out; the next one goes on in time', async (t) => {
	const host = fakeHost(t);
	host.prove();
	await host.feeder();
	const first = await held(host);
	t.true((await first.grant(4000)).armed);
	first.socket.destroy();
	const before = host.fed.length;
	await until('it feeds on without an agent', () => host.fed.length > before + 2);
	const second = await held(host);
	t.true((await second.grant(1500)).armed);
	// Nothing comes any more, although the connection stands: the agent was stopped.
	await until('the grant has run out', async () => {
		await new Promise((resolve) => setTimeout(resolve, 1600));
		return true;
	});
	const missed = host.fed.length;
	await new Promise((resolve) => setTimeout(resolve, 700));
	t.is(host.fed.length, missed);
	t.like(await second.send({ disarm: true }), { armed: false, code: 'missed' });
	t.false(host.fed.includes('V'));
	// A vote that was got anew before the reset.
	t.like(await second.grant(3000), { armed: true, code: 'ready' });
	await until('it is fed again', () => host.fed.length > missed);
});

test('a feeder that is killed stops nothing, and its next run takes the board over', async (t) => {
	const host = fakeHost(t);
	host.prove();
	const feeder = await host.feeder();
	await (await held(host)).grant(5000);
	await until('it is fed', () => host.fed.length > 1);
	feeder.kill('SIGKILL');
	await exitOf(feeder);
	t.false(host.fed.includes('V'));
	host.show({ state: 'active' });
	const before = host.fed.length;
	await host.feeder();
	const agent = await held(host);
	t.true((await agent.grant(3000)).armed);
	t.true(host.fed.length > before);
});

test('a board that a killed feeder left is stopped by its next run, when that is told to', async (t) => {
	const host = fakeHost(t);
	host.prove();
	const feeder = await host.feeder();
	await (await held(host)).grant(5000);
	await until('it is fed', () => host.fed.length > 1);
	feeder.kill('SIGKILL');
	await exitOf(feeder);
	host.show({ state: 'active' });
	await host.feeder();
	const agent = await held(host);
	t.false((await agent.send({ disarm: true })).armed);
	t.regex(host.fed, /^\0+V$/);
});

test('it ends and stops the board only after an orderly disarm', async (t) => {
	const host = fakeHost(t);
	host.prove();
	const feeder = await host.feeder();
	const agent = await held(host);
	await agent.grant(6000);
	feeder.kill('SIGTERM');
	await new Promise((resolve) => setTimeout(resolve, 500));
	t.is(feeder.exitCode, null);
	t.true((await agent.grant(6000)).armed);
	agent.socket.write('{"disarm":true}\n');
	t.is(await exitOf(feeder), 0);
	t.regex(host.fed, /^\0+V$/);
});

test('garbage, floods and grants without measure change nothing', async (t) => {
	const host = fakeHost(t);
	host.prove();
	const feeder = await host.feeder();
	const agent = await held(host);
	t.false((await agent.grant(7500)).armed);
	t.false((await agent.grant(-1)).armed);
	t.false((await agent.send({ grantUntilMs: 1e15 })).armed);
	t.is(host.fed, '');
	const ended = async (bytes: Buffer | string): Promise<void> => {
		const other = await agentOf(host);
		other.socket.write(bytes);
		await until(
			'the connection is ended',
			() => other.socket.destroyed || other.socket.readableEnded,
		);
		t.deepEqual(other.answers, []);
	};
	await ended('hello\n');
	await ended('{"hold":{}}\n');
	await ended(Buffer.concat([randomBytes(200), Buffer.from('\n')]));
	await ended('x'.repeat(20_000));
	// The newest connection is the agent; the one before is ended.
	const one = await held(host);
	const two = await held(host);
	await until('the older one is ended', () => one.socket.readableEnded || one.socket.destroyed);
	t.true((await two.grant(3000)).armed);
	t.is(feeder.exitCode, null);
	// A second feeder is refused and leaves the first one alone.
	const second = host.spawn('feeder', '--listen', host.at('feeder.sock'));
	t.is(await exitOf(second), 1);
	t.true((await (await held(host)).grant(3000)).armed);
});

test('a board that is unproven, too slow, in software or away is not armed, and says why', async (t) => {
	const host = fakeHost(t);
	await host.feeder();
	const agent = await agentOf(host);
	const answer = async (changes: object = {}): Promise<FeederAnswer> =>
		await agent.send({ hold: { ...settings, ...changes } });
	t.like(await answer(), { board: 'untested', code: 'untested', timeoutMs: 5000 });
	host.write('wdctl', '#!/bin/sh\nexit 1\n', 0o755);
	host.show({ timeout: '60' });
	t.like(await answer(), { armed: false, code: 'too-long', timeoutMs: 60_000 });
	t.false((await agent.grant(3000)).armed);
	t.is(host.fed, '');
	host.show({ timeout: '5', nowayout: '1' });
	t.like(await answer(), { code: 'no-way-out' });
	host.show({ nowayout: '0', identity: 'Software Watchdog' });
	t.like(await answer(), { board: 'softdog', code: 'softdog' });
	rmSync(host.at('dev/watchdog0'));
	t.like(await answer(), { code: 'absent' });
	host.write('dev/watchdog0', '');
	t.like(await answer({ softdog: true }), { board: 'softdog', code: 'ready' });
	t.true((await agent.grant(3000)).armed);
	t.like(await answer({ softdog: false }), { armed: false, code: 'other-settings' });
});

test('a reset test is proven by the next boot, and makes the board count', async (t) => {
	const host = fakeHost(t);
	// Not every driver shows it.
	rmSync(host.at('watchdog0/state'));
	const words = ['watchdog', 'test', '--confirm', 'alpha', '--socket', host.at('none.sock')];
	const trial = host.spawn(...words, '--config', configFile(host));
	await until('the board was let go', () => existsSync(host.at('proof')));
	const begun = JSON.parse(host.read('proof')) as Proof;
	t.like(begun, { state: 'open', timeoutMs: 5000, bootId: 'boot-1' });
	await until('it lives for 4 s after that', () => {
		const { closedMs, markMs } = JSON.parse(host.read('proof')) as Proof;
		return markMs - closedMs > 4000;
	});
	trial.kill('SIGKILL');
	await exitOf(trial);
	t.regex(host.fed, /^\0+$/);
	host.write('bootId', 'boot-2\n');
	await host.feeder();
	t.like(JSON.parse(host.read('proof')), { state: 'proven' });
	const agent = await held(host);
	t.like(await agent.grant(3000), { armed: true, board: 'tested' });
});

test('a reset test that leaves the host alive says so, and the board does not count', async (t) => {
	const host = fakeHost(t);
	const config = ['--config', configFile(host), '--socket', host.at('none.sock')];
	const wrong = host.spawn('watchdog', 'test', '--confirm', 'beta', ...config);
	t.is(await exitOf(wrong), 2);
	t.is(host.fed, '');
	// A driver that stops the board at any close: a feeder that dies would end the protection.
	const stopping = host.spawn('watchdog', 'test', '--confirm', 'alpha', ...config);
	t.is(await exitOf(stopping), 1);
	t.like(JSON.parse(host.read('proof')), {
		state: 'failed',
		detail: 'the board stops when the program that feeds it dies',
	});
	rmSync(host.at('watchdog0/state'));
	const trial = host.spawn('watchdog', 'test', '--confirm', 'alpha', ...config);
	t.is(await exitOf(trial), 1);
	t.like(JSON.parse(host.read('proof')), { state: 'failed' });
	t.true(host.fed.endsWith('V'));
	const check = host.spawn('watchdog', 'check', ...config);
	let text = '';
	check.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
	t.is(await exitOf(check), 1);
	t.regex(text, /test +failed/);
	t.regex(text, /does not count \(untested\)/);
});

/** A configuration of the host alpha with a watchdog, and the files that it names. */
const configFile = (host: FakeBoard): string => {
	const print = (digit: string): string => digit.repeat(64);
	for (const name of ['host.crt', 'host.key']) host.write(name, 'x');
	const link = (last: number): string => `{ lan: { address: 192.0.2.${last} } }`;
	host.write(
		'vmpair.yaml',
		[
			'pair: p',
			'host: alpha',
			'arbiter: person',
			'links: { lan: { switched: true } }',
			'hosts:',
			`  alpha: { certificate: '${print('A')}', links: ${link(1)}, watchdog: { device: /dev/watchdog0 } }`,
			`  beta: { certificate: '${print('B')}', links: ${link(2)} }`,
			'vms: {}',
			`tls: { certificate: ${host.at('host.crt')}, key: ${host.at('host.key')} }`,
		].join('\n'),
	);
	return host.at('vmpair.yaml');
};
