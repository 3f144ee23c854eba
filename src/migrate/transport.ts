import * as z from 'zod';
import type { VmName } from '#src/ports.ts';

/**
 * A transport over which nothing passes for so long ends itself, ms: xl then lets the guest go on. The longest silence
 * of an xl that is well is the suspend of a guest, for which it waits a minute (libxl_dom_suspend.c, Xen 4.17), and the
 * start of the disks over there.
 */
export const idleMs = 180_000;

/** Which end of a migration's transport a process is. */
export type End = 'send' | 'receive';

/**
 * The file in the runtime directory in which a transport process says what it does.
 * - `waiting`: it listens, the peer can send. `connected`: the stream runs. `cut`: it was told to end, xl ends.
 */
const transportSchema = z.strictObject({
	pid: z.int().min(2),
	state: z.enum(['waiting', 'connected', 'cut']),
	/** What it has carried to the other host so far; told every few seconds. */
	bytes: z.int().min(0).default(0),
});

export type Transport = z.output<typeof transportSchema>;

/** Its name. */
export const transportFile = (end: End, vm: VmName): string => `migrate-${end}-${vm}.json`;

/** Reads the text of the file; null when it is something else. */
export const parseTransport = (text: string): Transport | null => {
	try {
		return transportSchema.parse(JSON.parse(text));
	} catch {
		// What is not understood says nothing of any process.
		return null;
	}
};

/** True when a process's command line is that of a VM's transport: a process id alone may be anybody's. */
export const isTransport = (words: readonly string[], end: End, vm: VmName): boolean => {
	const at = words.indexOf(`migrate-${end}`);
	return at !== -1 && words[words.indexOf('--vm', at) + 1] === vm;
};
