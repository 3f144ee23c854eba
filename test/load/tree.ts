import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** Files of the kernel by path: their text, or what a link points to. A path that ends with a slash is a folder. */
export type Tree = Readonly<Record<string, string | { readonly to: string }>>;

/** Writes files as /proc and /sys hold them. */
export const plant = async (folder: string, tree: Tree): Promise<void> => {
	for (const [path, content] of Object.entries(tree)) {
		const file = join(folder, path);
		await mkdir(path.endsWith('/') ? file : dirname(file), { recursive: true });
		if (path.endsWith('/')) continue;
		if (typeof content === 'string') await writeFile(file, content);
		else await symlink(content.to, file);
	}
};

/** A folder of its own with such files. */
export const planted = async (t: ExecutionContext, tree: Tree): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'kernel-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	await plant(folder, tree);
	return folder;
};

/** `/sys/class/block` of two DRBD devices: one on LVM on a RAID of two partitions, one diskless. `busyMs` by disk. */
export const disks = (busyMs: Readonly<Record<'sda' | 'sdb', number>>): Tree => ({
	'sys/devices/pci/sda/stat': `  103365    24140  2762586    34886    95306    98925 10955000    63308        0 ${busyMs.sda}   106541    47670       48  4393696     7104    20584     1242\n`,
	'sys/devices/pci/sda/sda2/partition': '2\n',
	'sys/devices/pci/sdb/stat': `  1 2 3 4 5 6 7 8 0 ${busyMs.sdb} 106541\n`,
	'sys/devices/pci/sdb/sdb2/partition': '2\n',
	'sys/class/block/sda': { to: '../../devices/pci/sda' },
	'sys/class/block/sda2': { to: '../../devices/pci/sda/sda2' },
	'sys/class/block/sdb': { to: '../../devices/pci/sdb' },
	'sys/class/block/sdb2': { to: '../../devices/pci/sdb/sdb2' },
	'sys/class/block/md0/slaves/sda2/': '',
	'sys/class/block/md0/slaves/sdb2/': '',
	'sys/class/block/dm-3/slaves/md0/': '',
	'sys/class/block/drbd1/slaves/dm-3/': '',
	'sys/class/block/drbd2/slaves/': '',
	'sys/class/block/sr0/stat': '0 0 0 0 0 0 0 0 0 0 0\n',
});

interface Port {
	readonly speed: string;
	readonly rx: number;
	readonly tx: number;
	readonly carrier?: string;
}

/** A physical network device. */
export const port = (name: string, { speed, rx, tx, carrier = '1' }: Port): Tree => ({
	[`sys/class/net/${name}/device/subsystem`]: { to: '../../../../../bus/pci' },
	[`sys/class/net/${name}/speed`]: `${speed}\n`,
	[`sys/class/net/${name}/carrier`]: `${carrier}\n`,
	[`sys/class/net/${name}/statistics/rx_bytes`]: `${rx}\n`,
	[`sys/class/net/${name}/statistics/tx_bytes`]: `${tx}\n`,
});

/** A bridge with these members. */
export const bridge = (name: string, ...members: readonly string[]): Tree => ({
	[`sys/class/net/${name}/bridge/bridge_id`]: '8000.525400123456\n',
	[`sys/class/net/${name}/carrier`]: '1\n',
	...Object.fromEntries(
		members.map((each) => [`sys/class/net/${name}/lower_${each}`, { to: `../${each}` }]),
	),
});

/** The back ends of a domain: a disk and a network device, as the kernel names them. */
export const backends = (domid: number, readSectors: number, sentBytes: number): Tree => ({
	[`backends/vbd-${domid}-51712/statistics/rd_sect`]: `${readSectors}\n`,
	[`backends/vif-${domid}-0/net/vif${domid}.0/statistics/tx_bytes`]: `${sentBytes}\n`,
	[`sys/class/net/vif${domid}.0/device/subsystem`]: { to: '../../../../../bus/xen-backend' },
});
