import type { VolumeEvidence, VolumeGeneration } from '#src/ports.ts';

/** The lowest bit of a current UUID only says that the host was Primary (drbd.h, UUID_PRIMARY). */
const roleBit = 1n;

/** Places of the flags after the four UUIDs in `get-gi`: 8.4 prints 7, 9 prints 7 of its own and 5 of the peer. */
const flagsOf = new Map([
	[7, { connected: 3, peerOutdated: 5 }],
	[12, { connected: 7, peerOutdated: 8 }],
]);

/** The fields of the one tuple in the output of `get-gi`; null when there is none, or more than one. */
const tupleOf = (text: string): string[] | null => {
	const tuples = text.split('\n').filter((line) => /^[0-9A-F]{16}(:[0-9A-F]{16}){3}:/.test(line));
	const [tuple] = tuples;
	return tuple === undefined || tuples.length > 1 ? null : tuple.trim().split(':');
};

const masked = (uuid: string | undefined): string =>
	(BigInt(`0x${uuid ?? '0'}`) & ~roleBit).toString(16).toUpperCase().padStart(16, '0');

/**
 * Reads `drbdsetup get-gi` (or the tuple inside of `show-gi`): the volume's data generation, null
 * when there is no such tuple, more than one, or one of an unknown shape.
 */
export const parseGeneration = (text: string, volume: number): VolumeGeneration | null => {
	const fields = tupleOf(text);
	if (fields === null) return null;
	const flags = fields.slice(4);
	const places = flagsOf.get(flags.length);
	if (places === undefined || !flags.every((flag) => flag === '0' || flag === '1')) return null;
	return {
		volume,
		uuid: masked(fields[0]),
		// The bitmap's base UUID; the end of the resync that makes the copies equal clears it.
		alone: BigInt(`0x${fields[1] ?? ''}`) !== 0n,
		connected: flags[places.connected] === '1',
		peerOutdated: flags[places.peerOutdated] === '1',
	};
};

const none = '0'.repeat(16);

/** Reads the generations of one volume from `get-gi`; null when it is not understood. */
export const parseEvidence = (
	text: string,
	volume: number,
	outOfSyncKib: number | null,
): VolumeEvidence | null => {
	const fields = tupleOf(text);
	if (fields === null) return null;
	const [current, bitmap, ...history] = fields.slice(0, 4).map(masked);
	return {
		volume,
		current: current ?? none,
		bitmap: bitmap === undefined || bitmap === none ? null : bitmap,
		history: history.filter((uuid) => uuid !== none),
		outOfSyncKib,
	};
};

/**
 * KiB out of sync of one minor in `/proc/drbd` of DRBD 8.4, which alone says it while StandAlone; null
 * when the file does not (DRBD 9 has only a version there).
 */
export const parseOutOfSync = (text: string, minor: number): number | null => {
	const lines = text.split('\n');
	const at = lines.findIndex((line) => new RegExp(`^ *${minor}: cs:`).test(line));
	const found = /\boos:(\d{1,15})\b/.exec(at === -1 ? '' : lines.slice(at, at + 2).join(' '));
	return found === null ? null : Number(found[1]);
};

/** What two copies are to each other, seen from the first. `unrelated`: nothing in common that DRBD remembers. */
export type Kinship = 'equal' | 'newer' | 'older' | 'split-brain' | 'unrelated';

/** The current UUID of metadata that was just created (drbd.h, UUID_JUST_CREATED): a new disk, nothing written yet. */
const justCreated = '4'.padStart(16, '0');

const kinshipOf = (mine: VolumeEvidence, theirs: VolumeEvidence): Kinship => {
	if (mine.current === theirs.current) return 'equal';
	if (mine.current === justCreated) return 'older';
	if (theirs.current === justCreated) return 'newer';
	if (mine.current === theirs.bitmap) return 'older';
	if (mine.bitmap === theirs.current) return 'newer';
	if (mine.bitmap !== null && mine.bitmap === theirs.bitmap) return 'split-brain';
	if (theirs.history.includes(mine.current)) return 'older';
	if (mine.history.includes(theirs.current)) return 'newer';
	return 'unrelated';
};

/**
 * Compares two copies as DRBD would when they meet (drbd_uuid_compare: rules 10 to 100), over all volumes;
 * volumes that differ in their answer make a split brain. Null when the volumes are not the same ones.
 */
export const kinship = (
	mine: readonly VolumeEvidence[],
	theirs: readonly VolumeEvidence[],
): Kinship | null => {
	const all = mine.map((volume) => {
		const other = theirs.find((each) => each.volume === volume.volume);
		return other === undefined ? null : kinshipOf(volume, other);
	});
	const [first = null] = all;
	if (first === null || all.includes(null) || mine.length !== theirs.length) return null;
	const told = new Set(all.filter((each) => each !== 'equal'));
	if (told.size === 0) return 'equal';
	const [only = null] = told;
	return told.size === 1 ? only : 'split-brain';
};
