/** What the lab needs from Debian on the outer machine, and where that machine gets Debian from. */
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { progress, run } from './tool.ts';

export const suite = 'bookworm';

/** A program the lab calls, and the Debian package it is in. */
const tools: Record<string, string> = {
	'qemu-system-x86_64': 'qemu-system-x86',
	'qemu-img': 'qemu-utils',
	mmdebstrap: 'mmdebstrap',
	ipmi_sim: 'openipmi',
	ipmitool: 'ipmitool',
	ip: 'iproute2',
	nft: 'nftables',
	ssh: 'openssh-client',
	mke2fs: 'e2fsprogs',
	gcc: 'gcc',
	cpio: 'cpio',
	xz: 'xz-utils',
	'redis-server': 'redis-server',
	openssl: 'openssl',
};
const headers: Record<string, string> = { '/usr/include/stdlib.h': 'libc6-dev' };

const exists = (path: string): Promise<boolean> =>
	access(path).then(
		() => true,
		() => false,
	);

/** Installs the missing ones; does nothing, and needs no network, when all are there. */
export async function installTools(): Promise<void> {
	const path = (process.env['PATH'] ?? '').split(':').concat('/usr/sbin', '/sbin');
	const missing: string[] = [];
	for (const [tool, name] of Object.entries(tools)) {
		const found = await Promise.all(path.map((folder) => exists(join(folder, tool))));
		if (!found.includes(true)) missing.push(name);
	}
	for (const [file, name] of Object.entries(headers)) if (!(await exists(file))) missing.push(name);
	if (missing.length === 0) return;
	progress(`installing ${missing.join(', ')}`);
	const env = { DEBIAN_FRONTEND: 'noninteractive' };
	await run('apt-get', ['update', '-q'], { timeoutMs: 180_000, env, anyCode: true });
	const install = ['install', '-y', '-q', '--no-install-recommends', ...new Set(missing)];
	await run('apt-get', install, { timeoutMs: 600_000, env });
}

const wanted = (suites: readonly string[], components: readonly string[]): string[] =>
	components.includes('main') ? suites.filter((name) => name.split(/[-/]/u)[0] === suite) : [];

function fromStanza(stanza: string): string[] {
	const field = (name: string): string[] =>
		(new RegExp(`^${name}:(.*)$`, 'imu').exec(stanza)?.[1] ?? '').trim().split(/\s+/u);
	if (!field('Types').includes('deb') || field('Enabled')[0] === 'no') return [];
	const key = /^Signed-By:\s*(\/\S+)/imu.exec(stanza)?.[1];
	const option = key === undefined ? '' : `[signed-by=${key}] `;
	return field('URIs').flatMap((uri) =>
		wanted(field('Suites'), field('Components')).map((name) => `deb ${option}${uri} ${name} main`),
	);
}

function fromLine(line: string): string[] {
	const match = /^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/u.exec(line.replace(/#.*/u, ''));
	if (match === null) return [];
	const [, option = '', uri = '', name = '', components = ''] = match;
	return wanted([name], components.trim().split(/\s+/u)).map(
		(found) => `deb ${option}${uri} ${found} main`,
	);
}

/** The `deb` lines for Debian's own archive among this machine's apt sources (both file formats). */
export async function debianSources(folder = '/etc/apt'): Promise<string[]> {
	const parts = join(folder, 'sources.list.d');
	const names = (await readdir(parts).catch(() => [])).map((name) => join(parts, name));
	const found: string[] = [];
	for (const file of [join(folder, 'sources.list'), ...names]) {
		if (!/\.(?:list|sources)$/u.test(file)) continue;
		const text = await readFile(file, 'utf8').catch(() => '');
		if (file.endsWith('.list')) found.push(...text.split('\n').flatMap(fromLine));
		else found.push(...text.split(/\n\s*\n/u).flatMap(fromStanza));
	}
	return [...new Set(found)];
}

/** The machine's own apt proxy settings, as options for `mmdebstrap`. */
export async function aptOptions(): Promise<string[]> {
	const { stdout } = await run('apt-config', ['dump'], { anyCode: true });
	return stdout
		.split('\n')
		.filter((line) => /^Acquire::(?:https?::|Retries)/u.test(line) && !line.includes('""'))
		.map((line) => `--aptopt=${line.replace(/;$/u, '')}`);
}
