/** The ledger guest: its initramfs and its unpacked kernel. */
import { mkdir, readFile, readdir, writeFile, chmod, copyFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './tool.ts';

export const guestFolder = '/var/lib/lab-guest';
const elfMagic = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const xzMagic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

/** The ELF kernel inside a bzImage: libxl would unpack it at every start otherwise, which is the slowest step. */
async function unpackKernel(bzImage: string, target: string): Promise<void> {
	const image = await readFile(bzImage);
	const at = image.indexOf(xzMagic);
	if (at < 0) throw new Error(`${bzImage}: no xz payload`);
	await writeFile(`${target}.xz`, image.subarray(at));
	// The payload is followed by other bytes: xz complains about them after having written everything.
	const unpack = 'xz -dc --single-stream "$1.xz" > "$1" 2>/dev/null || true; rm "$1.xz"';
	await run('sh', ['-c', unpack, 'sh', target], { timeoutMs: 300_000 });
	const kernel = await readFile(target);
	if (!kernel.subarray(0, 4).equals(elfMagic))
		throw new Error(`${bzImage}: the payload is no ELF file`);
}

/** Puts the guest's kernel and initramfs into the dom0 tree at `root`. */
export async function buildGuest(root: string, source: string, work: string): Promise<void> {
	const target = join(root, guestFolder);
	const tree = join(work, 'guest');
	await mkdir(join(tree, 'lib'), { recursive: true });
	await mkdir(join(tree, 'dev'), { recursive: true });
	await mkdir(target, { recursive: true });
	const [version] = await readdir(join(root, 'lib/modules'));
	if (version === undefined) throw new Error('the image has no kernel modules');
	const modules = join(root, 'lib/modules', version, 'kernel/drivers');
	await copyFile(join(modules, 'block/xen-blkfront.ko'), join(tree, 'lib/xen-blkfront.ko'));
	await copyFile(join(modules, 'net/xen-netfront.ko'), join(tree, 'lib/xen-netfront.ko'));
	await run('gcc', ['-O2', '-static', '-o', join(tree, 'init'), source]);
	await chmod(join(tree, 'init'), 0o755);
	await mkdir(join(tree, 'sbin'), { recursive: true });
	for (const name of ['poweroff', 'reboot']) await symlink('/init', join(tree, 'sbin', name));
	await run('mknod', [join(tree, 'dev/console'), 'c', '5', '1'], { anyCode: true });
	await run('sh', [
		'-c',
		'cd "$1" && find . | cpio -o -H newc --quiet > "$2"',
		'sh',
		tree,
		join(target, 'ledger.img'),
	]);
	await unpackKernel(join(root, 'boot', `vmlinuz-${version}`), join(target, 'vmlinux'));
}
