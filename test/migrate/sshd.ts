import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';

/** An sshd of its own on loopback, with throwaway keys, that lets the user of this process in. */
export interface Sshd {
	readonly user: string;
	readonly identityFile: string;
	readonly knownHostsFile: string;
	/** What stands before the key in authorized_keys; nothing at first. */
	restrict(options: string): Promise<void>;
	stop(): void;
}

const program = '/usr/sbin/sshd';
const startMs = 10_000;

/** What it needs; null when it is here. */
export const sshdMissing = (): string | null =>
	existsSync(program) && existsSync('/usr/bin/ssh')
		? null
		: 'ssh is not on this machine: apt-get install openssh-server openssh-client';

const listening = async (child: ChildProcess): Promise<void> => {
	let said = '';
	await new Promise<void>((resolve, reject) => {
		const limit = setTimeout(() => reject(new Error(`sshd does not listen: ${said}`)), startMs);
		child.once('close', () => reject(new Error(`sshd ended: ${said}`)));
		child.stderr?.setEncoding('utf8').on('data', (text: string) => {
			said += text;
			if (!said.includes('Server listening')) return;
			clearTimeout(limit);
			resolve();
		});
	});
};

/** Starts it; `folder` is there and empty of the files that it makes. */
export const startSshd = async (folder: string, address: string, port: number): Promise<Sshd> => {
	const missing = sshdMissing();
	if (missing !== null) throw new Error(missing);
	const at = (name: string): string => join(folder, name);
	for (const key of ['ssh-host-key', 'ssh-key']) {
		execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
	}
	const publicKey = await readFile(at('ssh-key.pub'), 'utf8');
	const restrict = (options: string): Promise<void> =>
		writeFile(at('authorized_keys'), `${options} ${publicKey}`.trimStart());
	await restrict('');
	const text = `ListenAddress ${address}
Port ${port}
HostKey ${at('ssh-host-key')}
AuthorizedKeysFile ${at('authorized_keys')}
PidFile none
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
`;
	await writeFile(at('sshd_config'), text);
	const [type = '', key = ''] = (await readFile(at('ssh-host-key.pub'), 'utf8')).split(' ');
	await writeFile(at('known_hosts'), `[${address}]:${port} ${type} ${key}\n`);
	// As root it wants its folder, which the unit of its package makes.
	if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
	const child = spawn(program, ['-D', '-e', '-f', at('sshd_config')], {
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	await listening(child);
	return {
		user: userInfo().username,
		identityFile: at('ssh-key'),
		knownHostsFile: at('known_hosts'),
		restrict,
		stop: () => void child.kill(),
	};
};
