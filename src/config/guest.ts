/** What vmpair's own configuration needs to know of a VM from its configuration for xl. */

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

/** Lists of devices of a host that a guest gets as they are (xl.cfg(5)); an empty list gives it none. */
const devices = /^[ \t]*(pci|usbdev|dtdev|rdm)[ \t]*=[ \t]*(?:\[[ \t\r\n]*[^\]\s]|["'][^"'\s])/m;
const forbidden = /^[ \t]*nomigrate[ \t]*=[ \t]*(["']?)0*[1-9][0-9]*\1[ \t]*(?:;|#|$)/m;

const type = /^[ \t]*(type|builder)[ \t]*=[ \t]*(["'])(\w+)\2[ \t]*(?:;|#|$)/gm;

/** True for a guest of type PV, from the text of its configuration for xl, which takes PV when it does not say. */
export const isParavirtual = (text: string): boolean => {
	const values = new Map<string, string>();
	for (const match of text.matchAll(type)) values.set(match[1] ?? '', match[3] ?? '');
	// "builder" is the older word: hvm or generic.
	const builder = values.get('builder') === 'hvm' ? 'hvm' : 'pv';
	return (values.get('type') ?? builder) === 'pv';
};

/** Why a VM can never be moved while it runs, from the text of its configuration for xl; null: nothing says so. */
export const liveBlocker = (text: string): string | null => {
	const device = devices.exec(text)?.[1];
	if (device !== undefined)
		return `its configuration gives it a device of the host (${device}), which cannot go along`;
	return forbidden.test(text) ? 'its configuration says nomigrate' : null;
};
