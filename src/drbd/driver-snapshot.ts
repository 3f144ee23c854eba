import { lvsArguments, parseLogicalVolume, snapshotArguments } from '#src/drbd/snapshot.ts';
import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome, ResourceName } from '#src/ports.ts';
import { lastWords, type ToolEnd, type Tools } from '#src/std/tool.ts';

const usualLimitMs = 60_000;

const said = (end: ToolEnd): string =>
	end.end === 'exited' ? lastWords(end.stdout, end.stderr) : end.detail;

/**
 * Snapshots of the backing volumes of a resource, before a copy is given up. Value of a success: the
 * snapshots' names. `snapshot-not-possible`: a backing device is no LVM volume or its group has no room.
 */
export const snapshotBacking = async (
	tools: Tools,
	resource: ResourceName,
	limitMs = usualLimitMs,
): Promise<Outcome<readonly string[]>> => {
	const deadline = performance.now() + limitMs;
	const run = async (file: string, args: readonly string[]): Promise<ToolEnd> => {
		const leftMs = Math.ceil(deadline - performance.now());
		if (leftMs <= 0) return { end: 'unknown', detail: `no time was left for ${file}` };
		return await tools.run({ file, args, limitMs: leftMs });
	};
	const devices = await run('drbdadm', ['sh-ll-dev', resource]);
	if (devices.end !== 'exited' || devices.exitCode !== 0)
		return failed('snapshot-not-possible', `the backing device is not known: ${said(devices)}`);
	const suffix = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
	const planned: { readonly name: string; readonly args: readonly string[] }[] = [];
	for (const device of devices.stdout.split('\n').filter((line) => line.trim() !== '')) {
		const listed = await run('lvs', [...lvsArguments, device.trim()]);
		const volume =
			listed.end === 'exited' && listed.exitCode === 0 ? parseLogicalVolume(listed.stdout) : null;
		if (volume === null)
			return failed('snapshot-not-possible', `${device} is no LVM volume: ${said(listed)}`);
		const name = `${volume.name}-given-up-${suffix}`;
		const args = snapshotArguments(volume, name);
		if (args === null)
			return failed('snapshot-not-possible', `the group of ${volume.path} has no room for it`);
		planned.push({ name, args });
	}
	for (const { args } of planned) {
		const made = await run('lvcreate', args);
		if (made.end === 'unknown') return unknown(made.detail);
		if (made.end !== 'exited' || made.exitCode !== 0)
			return failed('snapshot-not-possible', `lvcreate: ${said(made)}`);
	}
	return succeeded(planned.map(({ name }) => name));
};
