import type { VmName } from '#src/ports.ts';
import type { Tools } from '#src/std/tool.ts';

const limitMs = 5000;

/** `vmpair-create-<vm>-<pid>-<number>.service`, as the driver names them. */
const unitName = /^vmpair-create-(.+)-\d+-\d+\.service$/;

/**
 * The VMs whose create is under way in a unit of its own, also one that an earlier run of the agent
 * began; null when systemd does not say. xl lists such a domain as paused long before it is whole.
 */
export const createsUnderWay = async (tools: Tools): Promise<ReadonlySet<VmName> | null> => {
	const ended = await tools.run({
		file: 'systemctl',
		args: [
			'list-units',
			'vmpair-create-*.service',
			'--state=active,activating,deactivating,reloading',
			'--plain',
			'--no-legend',
			'--no-pager',
		],
		limitMs,
	});
	if (ended.end !== 'exited' || ended.exitCode !== 0) return null;
	const names = ended.stdout.split('\n').map((line) => line.trim().split(/\s+/)[0] ?? '');
	return new Set(names.flatMap((name) => unitName.exec(name)?.[1] ?? []));
};
