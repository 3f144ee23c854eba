/** Reading LVM's answers about a backing device: whether a snapshot of it can be made, and how. */

/** A logical volume as `lvs` shows it, with what its volume group has left. Bytes. */
interface LogicalVolume {
	/** `group/volume`. */
	readonly path: string;
	readonly name: string;
	readonly bytes: number;
	readonly freeBytes: number;
	/** Of a thin pool: its snapshots need no room of their own. */
	readonly thin: boolean;
}

/** Columns that `parseLogicalVolume` reads. */
export const lvsArguments: readonly string[] = [
	'--noheadings',
	'--nosuffix',
	'--units=b',
	'--separator=|',
	'--options=vg_name,lv_name,lv_size,vg_free,segtype',
];

/** The one volume of an `lvs` call; null when there is none, several, or the answer is not understood. */
export const parseLogicalVolume = (text: string): LogicalVolume | null => {
	const lines = text.split('\n').filter((line) => line.trim() !== '');
	const [line] = lines;
	if (line === undefined || lines.length > 1) return null;
	const [group = '', name = '', bytes = '', freeBytes = '', type = ''] = line.trim().split('|');
	if (group === '' || name === '' || !/^\d+$/.test(bytes) || !/^\d+$/.test(freeBytes)) return null;
	return {
		path: `${group}/${name}`,
		name,
		bytes: Number(bytes),
		freeBytes: Number(freeBytes),
		thin: type === 'thin',
	};
};

/** Arguments of `lvcreate` for a snapshot that cannot overflow; null when the group has no room for it. */
export const snapshotArguments = (
	volume: LogicalVolume,
	snapshotName: string,
): readonly string[] | null => {
	const common = ['--snapshot', `--name=${snapshotName}`];
	if (volume.thin) return [...common, volume.path];
	// A snapshot smaller than its origin breaks when too much of the origin is overwritten; a resync may overwrite all.
	if (volume.freeBytes < volume.bytes) return null;
	return [...common, '--extents=100%ORIGIN', volume.path];
};
