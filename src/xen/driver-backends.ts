import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backends } from '#src/xen/backends.ts';

/** Back-end devices as the kernel shows them in a folder, which is absent until the first back end is loaded. */
export const backendsIn = (folder: string): Backends => {
	const names = async (): Promise<readonly string[]> => {
		try {
			return await readdir(folder);
		} catch (error) {
			if ((error as { readonly code?: unknown }).code === 'ENOENT') return [];
			throw error;
		}
	};
	const opened = async (name: string): Promise<boolean> => {
		try {
			return (await readFile(join(folder, name, 'physical_device'), 'utf8')) !== '';
		} catch {
			return false;
		}
	};
	return {
		names: async () => await names().catch(() => null),
		async closedDisks(domid) {
			const all = (await names().catch(() => [])).filter((name) =>
				name.startsWith(`vbd-${domid}-`),
			);
			if (all.length === 0) return null;
			const open = await Promise.all(all.map(opened));
			return all.filter((_, index) => open[index] !== true);
		},
	};
};
