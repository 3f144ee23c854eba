import type { VolumeGeneration } from '#src/ports.ts';

/** The lowest bit of a current UUID only says that the host was Primary (drbd.h, UUID_PRIMARY). */
const roleBit = 1n;

/** Places of the flags after the four UUIDs in `get-gi`: 8.4 prints 7, 9 prints 7 of its own and 5 of the peer. */
const flagsOf = new Map([
	[7, { connected: 3, peerOutdated: 5 }],
	[12, { connected: 7, peerOutdated: 8 }],
]);

/**
 * Reads `drbdsetup get-gi` (or the tuple inside of `show-gi`): the volume's data generation, null
 * when there is no such tuple, more than one, or one of an unknown shape.
 */
export const parseGeneration = (text: string, volume: number): VolumeGeneration | null => {
	const tuples = text.split('\n').filter((line) => /^[0-9A-F]{16}(:[0-9A-F]{16}){3}:/.test(line));
	const [tuple] = tuples;
	if (tuple === undefined || tuples.length > 1) return null;
	const fields = tuple.trim().split(':');
	const flags = fields.slice(4);
	const places = flagsOf.get(flags.length);
	if (places === undefined || !flags.every((flag) => flag === '0' || flag === '1')) return null;
	const current = BigInt(`0x${fields[0] ?? ''}`) & ~roleBit;
	return {
		volume,
		uuid: current.toString(16).toUpperCase().padStart(16, '0'),
		// The bitmap's base UUID; the end of the resync that makes the copies equal clears it.
		alone: BigInt(`0x${fields[1] ?? ''}`) !== 0n,
		connected: flags[places.connected] === '1',
		peerOutdated: flags[places.peerOutdated] === '1',
	};
};
