import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import tls from 'node:tls';
import test from 'ava';
import { sendArguments } from '#src/xen/migration.ts';
import { transportStage, until, type Running } from '#test/migrate/stage.ts';

/** All that a process writes to its standard output. */
const output = async ({ child }: Running): Promise<Buffer> => {
	const chunks: Buffer[] = [];
	for await (const chunk of child.stdout ?? []) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
};

const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Resident memory of a process, KiB. */
const memoryKib = ({ child }: Running): number =>
	Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);

test('what xl sends arrives whole, its answer too, and its exit code is kept', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('echo banner; sha256sum; head -c 3000000 /dev/zero; echo report; exit 7');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.sendByShell((plan) => sendArguments('u', 'ldap', plan));
	const bytes = randomBytes(20_000_000);
	const got = output(send);
	send.child.stdin?.end(bytes);
	t.is(await send.ended, 0, send.said());
	t.is(await receive.ended, 7, receive.said());
	const expected = Buffer.concat([
		Buffer.from(`banner\n${sum(bytes)}  -\n`),
		Buffer.alloc(3_000_000),
		Buffer.from('report\n'),
	]);
	t.is(sum(await got), sum(expected));
	t.is(readFileSync(join(stage.folder, 'xl.args'), 'utf8'), 'migrate-receive -e -p\n');
	t.false(existsSync(join(stage.folder, 'beta/migrate-receive-ldap.json')));
	t.false(existsSync(join(stage.folder, 'alpha/migrate-send-ldap.json')));
});

test('the last words of a receiver that reads no more arrive, and the sender ends', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('head -c 100 >/dev/null; head -c 500000 /dev/zero; exit 1');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	const got = output(send);
	// It is never told the end of it: like xl in the middle of the memory.
	send.child.stdin?.on('error', () => {}).write(randomBytes(5_000_000));
	t.is((await got).length, 500_000);
	t.is(await send.ended, 0, send.said());
	t.is(await receive.ended, 1, receive.said());
});

test('nobody but the holder of the pinned certificate is let in, and the wait goes on', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('cat');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const { other } = stage.identities;
	for (const identity of [{}, { cert: other.certificatePem, key: other.keyPem }]) {
		const to = { host: stage.address.beta, port: stage.port, rejectUnauthorized: false };
		const stranger = tls.connect({ ...to, ...identity });
		stranger.on('error', () => {});
		stranger.write('{"version":1,"pairId":"p","vm":"ldap"}\n');
		await once(stranger.resume(), 'close');
	}
	await until('both are told', () => Promise.resolve(receive.said().split('refused').length === 3));
	t.regex(receive.said(), /it presented no certificate/);
	t.regex(receive.said(), /it presented the certificate [0-9A-F:]{95}/);
	const send = stage.send('ldap');
	const got = output(send);
	send.child.stdin?.end('memory');
	t.is(String(await got), 'memory');
	t.is(await receive.ended, 0);
});

test('the sender gives nothing to a target with another certificate', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('cat');
	await stage.impostor('beta');
	stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	t.is(await send.ended, 1);
	t.regex(send.said(), /the peer presented the certificate .*\n {2}next: compare "certificate"/);
	t.false(existsSync(join(stage.folder, 'xl.args')));
});

test('another VM than the one that is waited for is refused with the reason', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('cat');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('web');
	t.is(await send.ended, 1);
	t.regex(send.said(), /takes nothing from here: this host waits for ldap, not for web/);
	t.regex(receive.said(), /refused: .*this host waits for ldap/);
	t.false(existsSync(join(stage.folder, 'xl.args')));
});

test('a receiver to whom nobody comes ends by itself', async (t) => {
	const receive = (await transportStage(t)).receive('--wait', '1');
	t.is(await receive.ended, 1);
	t.regex(receive.said(), /nobody came to send ldap within 1000 ms/);
});

test('a second receiver on the same port ends with the reason', async (t) => {
	const stage = await transportStage(t);
	stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const second = stage.receive();
	t.is(await second.ended, 1);
	t.regex(second.said(), /cannot listen on 127\.[\d.]+ port \d+: .*EADDRINUSE/);
});

test('a receiver that does not read makes the sender wait, not grow', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('while [ ! -e "$here/go" ]; do sleep 0.05; done; wc -c');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	const got = output(send);
	await stage.says('alpha', 'send', 'connected');
	const before = [memoryKib(send), memoryKib(receive)];
	const bytes = Buffer.alloc(1_000_000);
	let taken = 0;
	for (let index = 0; index < 200; index += 1) {
		send.child.stdin?.write(bytes, () => (taken += bytes.length));
	}
	let last = -1;
	await until('the sender waits', async () => {
		if (taken === last) return true;
		last = taken;
		await new Promise((resolve) => setTimeout(resolve, 500));
		return false;
	});
	t.true(taken < 50_000_000, `${taken} bytes were taken`);
	const after = [memoryKib(send), memoryKib(receive)];
	after.forEach((kib, index) => t.true(kib - (before[index] ?? 0) < 60_000, `${kib} KiB`));
	send.child.stdin?.end();

	await writeFile(join(stage.folder, 'go'), '');
	t.is(String(await got).trim(), '200000000');
	t.is(await receive.ended, 0);
});

test('when the sender is ended in the middle xl at the target sees the end of its input', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('cat >/dev/null; echo ended >"$here/seen"; exit 3');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	await stage.says('alpha', 'send', 'connected');
	send.child.stdin?.on('error', () => {}).write(randomBytes(1_000_000));
	send.child.kill('SIGTERM');
	t.is(await send.ended, 'SIGTERM');
	t.is(await receive.ended, 3);
	t.is(readFileSync(join(stage.folder, 'seen'), 'utf8'), 'ended\n');
});

test('when the receiver is told to end, xl at both ends sees it, and it stays until its own has ended', async (t) => {
	const stage = await transportStage(t);
	await stage.xl('cat >/dev/null; while [ ! -e "$here/go" ]; do sleep 0.05; done; exit 4');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	const got = output(send);
	await stage.says('alpha', 'send', 'connected');
	await stage.says('beta', 'receive', 'connected');
	send.child.stdin?.on('error', () => {}).write(randomBytes(200_000));
	receive.child.kill('SIGTERM');
	await stage.says('beta', 'receive', 'cut');
	t.is((await got).length, 0);
	t.true([0, 1].includes((await send.ended) as number));
	const broken = await new Promise((resolve) => send.child.stdin?.write('more', resolve));
	t.true(broken instanceof Error);
	t.is(receive.child.exitCode, null);

	await writeFile(join(stage.folder, 'go'), '');
	t.is(await receive.ended, 4);
});
