import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Persisted } from '#src/store/record.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { messageOf } from '#src/std/error.ts';
import { span } from '#src/std/span.ts';

/** The durable record as the agent wrote it last; enough of it for people, without checking all of it. */
export const readRecord = (folder: string): { record: Persisted; ageMs: number } => {
	const path = join(folder, 'state.json');
	const parsed = JSON.parse(readFileSync(path, 'utf8')) as { record?: Persisted } & Persisted;
	return {
		record: parsed.record ?? parsed,
		ageMs: Math.max(0, Date.now() - statSync(path).mtimeMs),
	};
};

/**
 * Says on stdout what this host's durable record says while its agent is down, and how old that is.
 * It is what was decided last, never what is true now.
 */
export const tellLastKnown = async (around: Surroundings): Promise<void> => {
	try {
		const { record, ageMs } = readRecord(around.stateFolder);
		around.print(
			`last record of this host (${record.host}), written ${span(ageMs)} ago; not the present state:`,
		);
		around.print(
			`  ${record.pair.armed ? 'armed' : `disarmed by ${record.pair.by}: ${record.pair.reason}`}`,
		);
		if (record.pair.pause !== undefined) {
			const { by, until, reason } = record.pair.pause;
			around.print(`  paused by ${by} until ${until}: ${reason}`);
		}
		for (const [resource, { record: each }] of Object.entries(record.resources)) {
			const owner = each.owner ?? 'nobody';
			around.print(
				`  ${resource}: owner ${owner}, wanted ${each.wanted}, current data on ${each.inSync.join(' and ') || 'no host'}`,
			);
		}
		around.print('VMs go on running without their agent; "xl list" shows them.');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			around.warn('  this host has no record yet: its agent never ran, or its state file is gone');
			return;
		}
		around.warn(`  the last record cannot be read either: ${messageOf(error)}`);
	}
};
