/** How the ledgers of a session ended. */
import { judge, type VmVerdict } from './ledger.ts';
import { readBack } from './read-back.ts';
import type { Session } from './session.ts';
import { until } from './tool.ts';

/** A host that has just booted is not looked at yet: the end is judged by what is seen of every host. */
export async function untilSeen({ watches }: Session): Promise<void> {
	const sinceMs = Date.now();
	const probe = (): Promise<true | undefined> =>
		Promise.resolve(
			watches.every(({ view }) => !view.powered || view.hung || view.seenMs > sinceMs)
				? true
				: undefined,
		);
	await until(probe, { what: 'a look at every host with power', timeoutMs: 180_000 });
}

/** What the recorder and the disks say of every VM's ledger. */
export async function judgeAll({ place, settings, watches, tape }: Session): Promise<VmVerdict[]> {
	const untilMs = Date.now();
	// The file first, the disks after it: what is acknowledged in between may be on the disk, not the reverse.
	const entries = await tape.entries();
	const verdicts: VmVerdict[] = [];
	for (const vm of settings.vms) {
		const highest = entries.reduce(
			(most, entry) => (entry.vm === vm.name ? Math.max(most, entry.number) : most),
			0,
		);
		const disk = await readBack(place, watches, vm, highest);
		verdicts.push(judge(vm.name, entries, disk, untilMs));
	}
	return verdicts;
}
