import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { createIdentity, type Identity } from '#src/heartbeat/driver-identity.ts';
import type { MigrationPlan } from '#src/xen/migration.ts';
import { freeEndpoint } from '#test/heartbeat/peers.ts';
import type { Sshd } from '#test/migrate/sshd.ts';

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

type Host = 'alpha' | 'beta';

/** A running transport process with what it wrote. */
export interface Running {
	readonly child: ChildProcess;
	readonly said: () => string;
	/** Its exit code, or the signal that ended it. */
	readonly ended: Promise<number | NodeJS.Signals | null>;
}

export interface TransportStage {
	readonly folder: string;
	readonly identities: Readonly<Record<Host | 'other', Identity>>;
	readonly address: Readonly<Record<Host, string>>;
	readonly port: number;
	/** What beta's `xl` does: a shell script; `$here` is the folder. */
	xl(script: string): Promise<void>;
	/** Has both hosts carry the stream through ssh. */
	overSsh(sshd: Sshd, port: number): Promise<void>;
	/** Gives a host another certificate than the one that its peer expects. */
	impostor(host: Host): Promise<void>;
	/** As xl starts it: a command line for a shell, with the words that xl appends. */
	sendByShell(commandOf: (plan: MigrationPlan) => readonly string[]): Running;
	receive(...more: readonly string[]): Running;
	send(vm: string): Running;
	/** Waits until a file in the folder of a host has these words. */
	says(host: Host, end: string, state: string): Promise<void>;
}

/** Waits for a condition; fails with its description. */
export const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
	const endMs = performance.now() + 30_000;
	while (!(await holds())) {
		if (performance.now() > endMs) throw new Error(`not in time: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
};

const hostText = (name: Host, address: string, certificate: string): string =>
	`  ${name}:\n    certificate: '${certificate}'\n    links: {lan: {address: ${address}}}\n`;

/** What a pair's hosts have on loopback. */
interface Pair {
	readonly folder: string;
	readonly identities: TransportStage['identities'];
	readonly address: Readonly<Record<Host, string>>;
	readonly port: number;
}

const configText = ({ folder, identities, address, port }: Pair, host: Host, ssh = ''): string =>
	`pair: p
host: ${host}
arbiter: person
links:
  lan: {switched: true}
hosts:
${(['alpha', 'beta'] as const).map((each) => hostText(each, address[each], identities[each].fingerprint256)).join('')}migration: {port: ${port}${ssh}}
tls: {certificate: ${identities[host].certificatePath}, key: ${identities[host].keyPath}}
runtimeDirectory: ${join(folder, host)}
vms:
  ldap: {resource: ldap, config: /etc/xen/ldap.cfg}
  web: {resource: web, config: /etc/xen/web.cfg}
`;

/** Two hosts with certificates, configurations and nothing else, in a folder. */
const createPair = async (folder: string): Promise<Pair> => {
	const [alpha, beta, other] = await Promise.all(
		['alpha', 'beta', 'other'].map((host) => createIdentity(join(folder, host), host)),
	);
	if (alpha === undefined || beta === undefined || other === undefined) throw new Error('three');
	const address = { alpha: freeEndpoint().address, beta: freeEndpoint().address };
	const { port } = freeEndpoint();
	const pair = { folder, identities: { alpha, beta, other }, address, port };
	for (const host of ['alpha', 'beta'] as const) {
		await writeFile(join(folder, host, 'vmpair.yaml'), configText(pair, host));
	}
	await mkdir(join(folder, 'bin'));
	return pair;
};

/** Two hosts on loopback with real certificates; `xl` on them is a script. */
export const transportStage = async (t: ExecutionContext): Promise<TransportStage> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-migrate-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const pair = await createPair(folder);
	const { identities, address, port } = pair;
	const run = (file: string, args: readonly string[]): Running => {
		const child = spawn(file, args, {
			env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}` },
		});
		t.teardown(() => child.kill('SIGKILL'));
		let text = '';
		child.stderr.setEncoding('utf8').on('data', (words: string) => (text += words));
		const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
			child.once('exit', (code, signal) => resolve(code ?? signal));
		});
		return { child, said: () => text, ended };
	};
	const start = (host: Host, verb: string, args: readonly string[]): Running =>
		run(process.execPath, [program, verb, '--config', join(folder, host, 'vmpair.yaml'), ...args]);
	return {
		folder,
		identities,
		address,
		port,
		xl: async (script) => {
			const file = join(folder, 'bin', 'xl');
			await writeFile(file, `#!/bin/sh\nhere=${folder}\necho "$*" >"$here/xl.args"\n${script}\n`);
			await chmod(file, 0o755);
		},
		overSsh: async ({ user, identityFile, knownHostsFile }, sshPort) => {
			const files = `identity: ${identityFile}, knownHosts: ${knownHostsFile}`;
			const ssh = `, ssh: {user: ${user}, port: ${sshPort}, ${files}}`;
			for (const host of ['alpha', 'beta'] as const) {
				await writeFile(join(folder, host, 'vmpair.yaml'), configText(pair, host, ssh));
			}
		},
		impostor: async (host) => {
			await writeFile(identities[host].certificatePath, identities.other.certificatePem);
			await writeFile(identities[host].keyPath, identities.other.keyPem);
		},
		sendByShell: (commandOf) => {
			const args = commandOf({
				peer: 'beta',
				program: [process.execPath, program],
				configurationFile: join(folder, 'alpha/vmpair.yaml'),
				runtimeDirectory: join(folder, 'alpha'),
			});
			const [host, , command] = [...args].reverse();
			return run('sh', ['-c', `exec ${command} ${host} xl migrate-receive -p`]);
		},
		receive: (...more) => start('beta', 'migrate-receive', ['--vm', 'ldap', ...more]),
		send: (vm) => start('alpha', 'migrate-send', ['--vm', vm]),
		says: (host, end, state) =>
			until(`${host} ${end}s ${state}`, async () => {
				const file = join(folder, host, `migrate-${end}-ldap.json`);
				const text = await readFile(file, 'utf8').catch(() => '');
				return text.includes(`"${state}"`);
			}),
	};
};
