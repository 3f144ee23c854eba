/** What `memory` and `maxmem` look like in the configuration of a VM: `memory = 512` or `memory="512"`, in MiB. */
const setting = /^[ \t]*(memory|maxmem)[ \t]*=[ \t]*(["']?)([0-9]{1,7})\2[ \t]*(?:;|#|$)/gm;

/**
 * Memory in MiB that a VM takes on a host, from the text of its configuration for xl; null when it does
 * not say. `maxmem` counts where it is larger: the guest may grow to it.
 */
export const guestMemoryMib = (text: string): number | null => {
	const values = new Map<string, number>();
	// As for xl, the last of several settings counts.
	for (const match of text.matchAll(setting)) values.set(match[1] ?? '', Number(match[3]));
	const memory = values.get('memory');
	if (memory === undefined || memory < 1) return null;
	return Math.max(memory, values.get('maxmem') ?? 0);
};
