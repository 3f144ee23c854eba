/** The dom0 image: built once by mmdebstrap, kept outside the repository under a hash of its inputs. */
import { chmod, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { aptOptions, debianSources, suite } from './apt.ts';
import { drbdFiles } from './drbd.ts';
import { buildGuest } from './guest.ts';
import { keyOf, progress, run } from './tool.ts';
import { hosts, vms } from './world.ts';

const packages = [
	'xen-hypervisor-4.17-amd64 xen-utils-4.17 xen-utils-common xenstore-utils linux-image-amd64',
	'drbd-utils ipmitool fence-agents openssh-server iproute2 bridge-utils nftables tcpdump',
	'systemd systemd-sysv libpam-systemd udev dbus kmod procps psmisc util-linux e2fsprogs',
	'python3 perl-base initramfs-tools zstd socat curl openssl ca-certificates iputils-ping',
	'less strace busybox-static lvm2 iptables',
].flatMap((line) => line.split(' '));

const services = ['lab-network.service', 'lab-weight.service', 'ssh.service'];
const masked = [
	'xendomains.service drbd.service ipmievd.service hwclock.service hwclock-save.service',
	'apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer',
	'e2scrub_all.timer e2scrub_reap.service systemd-update-utmp.service',
	'serial-getty@hvc0.service getty@tty1.service getty-static.service',
].flatMap((line) => line.split(' '));

export type Image = {
	/** The folder in the cache; snapshots of booted hosts live beside the image. */
	readonly folder: string;
	readonly disk: string;
	readonly xen: string;
	readonly kernel: string;
	readonly initrd: string;
	readonly sshKey: string;
};

export const cacheFolder = (): string => process.env['VMPAIR_LAB_CACHE'] ?? '/var/cache/vmpair-lab';

const here = import.meta.dirname;

async function imageKey(): Promise<string> {
	const overlay = join(here, 'image');
	const names = await readdir(overlay, { recursive: true, withFileTypes: true });
	const files = names
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
	const sources = ['image.ts', 'guest.ts', 'ledger.c'].map((name) => join(here, name));
	const texts = await Promise.all([...files, ...sources].map((file) => readFile(file, 'utf8')));
	return keyOf(JSON.stringify([hosts, drbdFiles()]), ...texts);
}

const imageAt = (folder: string): Image => ({
	folder,
	disk: join(folder, 'dom0.raw'),
	xen: join(folder, 'xen'),
	kernel: join(folder, 'vmlinuz'),
	initrd: join(folder, 'initrd'),
	sshKey: join(folder, 'ssh_key'),
});

/** The early hook: settings that must be there before the kernel package makes its initrd. */
const earlyHook = `#!/bin/sh
set -e
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' > "$1/etc/initramfs-tools/modules"
printf 'MODULES=list\\nCOMPRESS=gzip\\n' > "$1/etc/initramfs-tools/conf.d/lab"
printf '#!/bin/sh\\nexit 101\\n' > "$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
`;

async function bootstrap(root: string, work: string): Promise<void> {
	const sources = await debianSources();
	if (sources.length === 0) throw new Error(`no apt source of Debian ${suite} on this machine`);
	await writeFile(join(work, 'sources.list'), `${sources.join('\n')}\n`);
	await writeFile(join(work, 'early.sh'), earlyHook, { mode: 0o755 });
	const args = [
		'--mode=root',
		'--variant=minbase',
		`--include=${packages.join(',')}`,
		'--aptopt=APT::Install-Recommends "false"',
		'--aptopt=Acquire::Languages "none"',
		...(await aptOptions()),
		...['man', 'doc', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
		`--essential-hook=${join(work, 'early.sh')}`,
		suite,
	];
	// The packages come first and alone: a change of the lab's own files need not fetch them again.
	const base = join(cacheFolder(), `base-${keyOf(earlyHook, ...packages, ...sources)}.tar`);
	if (!existsSync(base)) {
		progress('fetching and installing the dom0 packages (1 to 2 minutes)');
		const partial = `${base}.partial.tar`;
		const rest = [partial, join(work, 'sources.list')];
		await run('mmdebstrap', [...args, ...rest], { timeoutMs: 1_200_000 });
		await rename(partial, base);
	}
	await mkdir(root, { recursive: true });
	await run('tar', ['-xf', base, '-C', root, '--numeric-owner', '--xattrs'], {
		timeoutMs: 300_000,
	});
}

async function configure(root: string, publicKey: string): Promise<void> {
	await cp(join(here, 'image'), root, { recursive: true });
	const names = hosts.map((host) => `${host.management} ${host.name}`).join('\n');
	const files: Record<string, string> = {
		...drbdFiles(),
		'/etc/hosts': `127.0.0.1 localhost\n${names}\n`,
		'/etc/fstab': '/dev/vda / ext4 noatime,errors=remount-ro 0 1\n',
		'/etc/modules-load.d/lab.conf': 'drbd\nxen-blkback\nxen-netback\nxen-gntalloc\ni6300esb\n',
		'/etc/xen/xl.conf': 'autoballoon="off"\n',
		'/root/.ssh/authorized_keys': publicKey,
	};
	for (const [path, text] of Object.entries(files)) {
		await mkdir(join(root, path, '..'), { recursive: true });
		await writeFile(join(root, path), text);
	}
	await chmod(join(root, 'root/.ssh'), 0o700);
	await mkdir(join(root, 'var/log/journal'), { recursive: true });
	await rm(join(root, 'etc/hostname'), { force: true });
	await rm(join(root, 'usr/sbin/policy-rc.d'), { force: true });
	await run('systemctl', ['--root', root, 'mask', ...masked]);
	await run('systemctl', ['--root', root, 'enable', ...services]);
	await run('systemctl', ['--root', root, 'set-default', 'multi-user.target']);
}

async function extractBoot(root: string, image: Image): Promise<void> {
	const names = await readdir(join(root, 'boot'));
	const one = (start: string): string => {
		const name = names
			.filter((candidate) => candidate.startsWith(start))
			.sort()
			.at(-1);
		if (name === undefined) throw new Error(`the image has no /boot/${start}*`);
		return join(root, 'boot', name);
	};
	const gzip = names.find((name) => /^xen-4.*\.gz$/u.test(name)) ?? '';
	await run('sh', ['-c', 'gzip -dc "$1" > "$2"', 'sh', join(root, 'boot', gzip), image.xen]);
	await cp(one('vmlinuz-'), image.kernel);
	await cp(one('initrd.img-'), image.initrd);
}

async function build(image: Image): Promise<void> {
	const work = join(image.folder, 'work');
	const root = join(work, 'root');
	await mkdir(work, { recursive: true });
	await rm(image.sshKey, { force: true });
	await run('ssh-keygen', [
		'-q',
		'-t',
		'ed25519',
		'-N',
		'',
		'-C',
		'vmpair-lab',
		'-f',
		image.sshKey,
	]);
	progress('building the dom0 image');
	await bootstrap(root, work);
	await configure(root, await readFile(`${image.sshKey}.pub`, 'utf8'));
	await buildGuest(root, join(here, 'ledger.c'), work);
	await extractBoot(root, image);
	await rm(image.disk, { force: true });
	await run('mke2fs', ['-q', '-t', 'ext4', '-d', root, '-L', 'dom0', image.disk, '3G'], {
		timeoutMs: 300_000,
	});
	await rm(work, { recursive: true, force: true });
	progress(`image with ${vms.length} ledger guests is in ${image.folder}`);
}

/** The image for the present inputs; built when it is not in the cache yet. */
export async function ensureImage(): Promise<Image> {
	const folder = join(cacheFolder(), await imageKey());
	if (existsSync(join(folder, 'dom0.raw'))) return imageAt(folder);
	const partial = `${folder}.partial`;
	await rm(partial, { recursive: true, force: true });
	await mkdir(partial, { recursive: true });
	await build(imageAt(partial));
	await rm(folder, { recursive: true, force: true });
	await rename(partial, folder);
	return imageAt(folder);
}
