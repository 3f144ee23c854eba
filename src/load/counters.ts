import * as z from 'zod';

/** Readers of what the kernel of dom0 shows in /proc and /sys. Null: not understood, so unknown. */

/** A file that holds one count. */
const countText = z
	.string()
	.regex(/^\s*\d{1,20}\s*$/)
	.transform(Number);

/** The count in a file of its own, such as `rd_sect` or `rx_bytes`. */
export const parseCount = (text: string): number | null => countText.safeParse(text).data ?? null;

/** Time of dom0's virtual CPUs since its boot, in the ticks of /proc/stat. */
export interface Dom0Ticks {
	/** They ran, or waited for a physical CPU. */
	readonly busy: number;
	readonly idle: number;
}

const statLine = z.tuple(
	[countText, countText, countText, countText, countText, countText, countText, countText],
	countText,
);

/**
 * The first line of /proc/stat, proc(5): user, nice, system, idle, iowait, irq, softirq, steal, then guest time, which
 * is in the others. Stolen time counts as busy: a virtual CPU wanted to run and Xen ran another one. Without it dom0
 * would look the idler the less of the host it gets. Time in which only a disk was waited for is idle.
 */
export const parseDom0Ticks = (text: string): Dom0Ticks | null => {
	const [name, ...fields] = (text.split('\n', 1)[0] ?? '').trim().split(/\s+/);
	const read = name === 'cpu' ? statLine.safeParse(fields).data : undefined;
	if (read === undefined) return null;
	const [user, nice, system, idle, iowait, irq, softirq, steal] = read;
	return { busy: user + nice + system + irq + softirq + steal, idle: idle + iowait };
};

const kib = (text: string, key: string): number | null => {
	const found = new RegExp(String.raw`^${key}:\s+(\d{1,15}) kB$`, 'm').exec(text)?.[1];
	return found === undefined ? null : Number(found);
};

/** From /proc/meminfo: the share of dom0's memory that its programs could not get any more, 0 to 1. */
export const parseMemoryUse = (text: string): number | null => {
	const total = kib(text, 'MemTotal');
	const available = kib(text, 'MemAvailable');
	if (total === null || available === null || total === 0 || available > total) return null;
	return 1 - available / total;
};

const blockLine = z.array(countText).min(11);

/**
 * How long a disk had work since it appeared, ms: the tenth field of /sys/block/DISK/stat
 * (https://docs.kernel.org/block/stat.html, "io_ticks"). It begins anew at 2^32, every 50 days of work.
 */
export const parseBusyMs = (text: string): number | null =>
	blockLine.safeParse(text.trim().split(/\s+/)).data?.[9] ?? null;

/**
 * What a network device can carry in one direction, bytes a second, from its file `speed` in Mbit/s. Null when the
 * kernel does not know it (-1: most devices of virtual machines).
 */
export const parseCapacity = (text: string): number | null => {
	const megabits = parseCount(text);
	// Drivers also show "unknown" as the largest number of 32 bits.
	return megabits === null || megabits === 0 || megabits >= 2 ** 32 - 1 ? null : megabits * 125_000;
};
