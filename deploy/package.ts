import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './bundle.ts';
import { asInstalled, configurationFiles, libraryFolder, packagedFiles } from './content.ts';
import { generatedFiles } from './generated.ts';

/**
 * Builds `dist/vmpair_<version>_<arch>.deb`: the bundled program, its own Node, the DRBD handler and
 * the systemd unit. Needs dpkg-deb; uses strip when it is there.
 */

const root = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
	readonly version: string;
	readonly description: string;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

const architecture = (): { readonly debian: string; readonly node: string } => {
	const debian = new Map([
		['x64', 'amd64'],
		['arm64', 'arm64'],
	]).get(process.arch);
	if (debian === undefined) throw new Error(`no package is built on ${process.arch}`);
	const node = join(root, `node_modules/node-linux-${process.arch}/bin/node`);
	if (!existsSync(node)) throw new Error(`there is no Node to ship at ${node}: run "npm ci"`);
	return { debian, node };
};

const install = (from: string, to: string, mode: number): void => {
	mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
	cpSync(from, to);
	chmodSync(to, mode);
};

const runtime = (from: string, to: string): void => {
	install(from, to, 0o755);
	try {
		execFileSync('strip', [to], { stdio: 'ignore' });
	} catch {
		console.error('strip is missing: the package is larger than it needs to be');
	}
};

const sizeKib = (folder: string): number =>
	readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0) >> 10;

const control = (tree: string, debian: string): string =>
	[
		'Package: vmpair',
		`Version: ${manifest.version}`,
		`Architecture: ${debian}`,
		'Maintainer: vmpair developers <vmpair@localhost>',
		`Installed-Size: ${sizeKib(tree)}`,
		'Depends: libc6 (>= 2.28), libstdc++6, openssl, perl-base, systemd',
		'Recommends: drbd-utils, ipmitool',
		'Suggests: fence-agents, openssh-client, smartmontools',
		'Section: admin',
		'Priority: optional',
		`Description: ${manifest.description}`,
		' One agent on each of two Xen hosts. It restarts virtual machines on the surviving',
		' host when the other is proven dead, and never runs two copies of one.',
		'',
	].join('\n');

const assemble = async (tree: string, node: string): Promise<void> => {
	// Before the work of bundling: what is missing is told at once.
	const files = packagedFiles(root);
	await bundle(root, join(tree, libraryFolder), manifest.version);
	runtime(node, join(tree, libraryFolder, 'node'));
	for (const { from, to, mode } of files) install(join(root, from), join(tree, to), mode);
	for (const { to, content } of generatedFiles()) {
		mkdirSync(dirname(join(tree, to)), { recursive: true, mode: 0o755 });
		writeFileSync(join(tree, to), content, { mode: 0o644 });
	}
	for (const file of files.filter(({ to }) => to.endsWith('.md'))) {
		const text = readFileSync(join(root, file.from), 'utf8');
		writeFileSync(join(tree, file.to), asInstalled(text, file, files));
	}
};

const metadata = (tree: string, debian: string): void => {
	const folder = join(tree, 'DEBIAN');
	mkdirSync(folder, { recursive: true, mode: 0o755 });
	writeFileSync(join(folder, 'control'), control(tree, debian));
	writeFileSync(join(folder, 'conffiles'), configurationFiles.map((path) => `/${path}\n`).join(''));
};

const main = async (): Promise<void> => {
	const { debian, node } = architecture();
	const dist = join(root, 'dist');
	const tree = join(dist, 'tree');
	rmSync(tree, { recursive: true, force: true });
	mkdirSync(tree, { recursive: true, mode: 0o755 });
	await assemble(tree, node);
	metadata(tree, debian);
	const target = join(dist, `vmpair_${manifest.version}_${debian}.deb`);
	// A moderate level: the package is built in seconds, and xz is read by every dpkg.
	execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', tree, target], {
		stdio: ['ignore', 'ignore', 'inherit'],
	});
	rmSync(tree, { recursive: true, force: true });
	console.log(target);
};

process.umask(0o022);
await main();
