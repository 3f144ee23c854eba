import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { loadConfig } from '#src/config/driver.ts';
import { sshPreflight } from '#src/migrate/driver-ssh.ts';
import { sshArguments, sshFinding, sshRouteOf, type SshRoute } from '#src/migrate/ssh.ts';
import { tools } from '#src/std/driver-tool.ts';
import { freeEndpoint } from '#test/heartbeat/peers.ts';
import { startSshd, type Sshd } from '#test/migrate/sshd.ts';
import { transportStage, type Running, type TransportStage } from '#test/migrate/stage.ts';

const route: SshRoute = {
	address: '10.0.0.1',
	peerAddress: '10.0.0.2',
	port: 7402,
	ssh: { user: 'mover', port: 22, identityFile: null, knownHostsFile: null },
};

/** Two hosts with a real sshd at beta, whose key may do nothing but reach the port of the migration. */
const sshStage = async (
	t: ExecutionContext,
): Promise<{ stage: TransportStage; sshd: Sshd; permit: string }> => {
	const stage = await transportStage(t);
	const { port } = freeEndpoint();
	const sshd = await startSshd(stage.folder, stage.address.beta, port);
	t.teardown(() => sshd.stop());
	const permit = `restrict,port-forwarding,permitopen="${stage.address.beta}:${stage.port}"`;
	await sshd.restrict(permit);
	await stage.overSsh(sshd, port);
	return { stage, sshd, permit };
};

/** What the agent at alpha finds. */
const found = async ({ folder }: TransportStage): Promise<string | null> => {
	const { config } = await loadConfig(join(folder, 'alpha/vmpair.yaml'), { files: false });
	const way = sshRouteOf(config);
	return way === null ? 'not configured' : sshPreflight(tools, way);
};

const sum = async ({ child }: Running): Promise<string> => {
	const hash = createHash('sha256');
	for await (const chunk of child.stdout ?? []) hash.update(chunk as Buffer);
	return hash.digest('hex');
};

test('the words for ssh ask nobody, trust no unknown key and leave from the address of the link', (t) => {
	t.is(
		sshArguments(route).join(' '),
		'-o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=2 -o ControlPath=none -o Compression=no -b 10.0.0.1 -l mover -p 22 -W 10.0.0.2:7402 10.0.0.2',
	);
	const own = { user: 'mover', port: 2222, identityFile: '/k', knownHostsFile: '/h' };
	const six = sshArguments({ ...route, address: 'fd00::1', peerAddress: 'fd00::2', ssh: own });
	t.regex(
		six.join(' '),
		/ -o UserKnownHostsFile=\/h -o IdentitiesOnly=yes -i \/k -b fd00::1 -l mover -p 2222 -W \[fd00::2\]:7402 fd00::2$/,
	);
});

test('what ssh says is told with the next step', (t) => {
	const said = (stderr: string): string | null =>
		sshFinding(route, { end: 'exited', exitCode: 255, stdout: '', stderr });
	t.is(
		said('channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed'),
		null,
	);
	// Somebody waited for a VM, and the connection was taken back.
	t.is(sshFinding(route, { end: 'exited', exitCode: 0, stdout: '', stderr: '' }), null);
	t.regex(
		said('ssh: connect to host 10.0.0.2 port 22: Connection refused') ?? '',
		/^ssh to mover@10\.0\.0\.2 port 22 does not work, so no VM .* refused\. Look whether sshd answers/,
	);
	t.regex(
		sshFinding(route, { end: 'not-started', detail: 'spawn ssh ENOENT' }) ?? '',
		/Install openssh-client\.$/,
	);
	t.regex(
		sshFinding(route, { end: 'unknown', detail: 'no end within 20000 ms' }) ?? '',
		/no end within 20000 ms\. Look whether/,
	);
});

test('through ssh what xl sends arrives whole, its answer too, and its exit code is kept', async (t) => {
	const { stage } = await sshStage(t);
	await stage.xl('sha256sum; head -c 3000000 /dev/zero; exit 7');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	const bytes = randomBytes(20_000_000);
	const got = sum(send);
	send.child.stdin?.end(bytes);
	t.is(await send.ended, 0, send.said());
	t.is(await receive.ended, 7, receive.said());
	const digest = createHash('sha256').update(bytes).digest('hex');
	const expected = createHash('sha256').update(`${digest}  -\n`).update(Buffer.alloc(3_000_000));
	t.is(await got, expected.digest('hex'));
});

test('when the sender through ssh is killed, xl at the target sees the end of its input', async (t) => {
	const { stage } = await sshStage(t);
	await stage.xl('cat >/dev/null; exit 3');
	const receive = stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	await stage.says('alpha', 'send', 'connected');
	send.child.stdin?.on('error', () => {}).write(randomBytes(1_000_000));
	send.child.kill('SIGKILL');
	t.is(await receive.ended, 3, receive.said());
});

test('inside ssh, too, nothing is given to a target with another certificate', async (t) => {
	const { stage } = await sshStage(t);
	await stage.xl('cat');
	await stage.impostor('beta');
	stage.receive();
	await stage.says('beta', 'receive', 'waiting');
	const send = stage.send('ldap');
	t.is(await send.ended, 1);
	t.regex(send.said(), /the peer presented the certificate .*\n {2}next: compare "certificate"/);
});

test('what is wrong with the way through ssh is found before a VM is sent', async (t) => {
	const { stage, sshd, permit } = await sshStage(t);
	t.is(await found(stage), null);
	await sshd.restrict('restrict');
	t.regex(
		(await found(stage)) ?? '',
		/administratively prohibited.* Allow it over there .*permitopen="127/,
	);
	await sshd.restrict(`restrict,port-forwarding,permitopen="${stage.address.beta}:1"`);
	t.regex((await found(stage)) ?? '', /administratively prohibited/);
	await writeFile(join(stage.folder, 'authorized_keys'), '');
	t.regex((await found(stage)) ?? '', /Permission denied.* Put the public half of .*ssh-key into/);
	await sshd.restrict(permit);
	await writeFile(sshd.knownHostsFile, '');
	t.regex((await found(stage)) ?? '', /Host key verification failed.* Put the key of that host/);
	sshd.stop();
	const send = stage.send('ldap');
	t.is(await send.ended, 1);
	t.regex(send.said(), /does not answer: .*\n {2}next: .* what "vmpair status" advises about ssh/);
});
