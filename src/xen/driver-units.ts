import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome } from '#src/ports.ts';
import type { ToolEnd, Tools } from '#src/std/tool.ts';
import { createArguments, createFailure, wordsOf } from '#src/xen/outcome.ts';
import { listArguments, unitNames, type Units } from '#src/xen/units.ts';

const limitMs = 5000;

/** `vmpair-create-<vm>-<pid>-<number>.service`, as they are named below. */
const unitName = /^vmpair-create-(.+)-\d+-\d+\.service$/;

/** `systemd-run` also ends when it loses systemd, while the unit goes on: that is unknown. */
const createFailed = async (
	tools: Tools,
	unit: string,
	ended: ToolEnd & { end: 'exited' },
): Promise<Outcome<null>> => {
	const [active, journal] = await Promise.all([
		tools.run({ file: 'systemctl', args: ['is-active', unit], limitMs }),
		tools.run({
			file: 'journalctl',
			args: [`--unit=${unit}`, '--output=cat', '--no-pager', '--lines=20'],
			limitMs,
		}),
	]);
	const state = active.end === 'exited' ? active.stdout.trim() : 'unknown';
	if (state !== 'inactive' && state !== 'failed') {
		return unknown(`systemd-run ended, the unit ${unit} did not: ${wordsOf(ended)}`);
	}
	const written = journal.end === 'exited' ? journal.stdout : '';
	const { code, detail } = createFailure(`${ended.stderr}\n${written}`);
	return failed(code, `xl create ended with exit code ${ended.exitCode}: ${detail}`);
};

/**
 * Starts VMs in units of their own. xl lists such a domain as paused long before it is whole, hence the question what
 * is under way.
 */
export const unitsBy = (tools: Tools): Units => {
	let units = 0;
	return {
		async createsUnderWay() {
			const args = listArguments('vmpair-create-*.service');
			const ended = await tools.run({ file: 'systemctl', args, limitMs });
			if (ended.end !== 'exited' || ended.exitCode !== 0) return null;
			return new Set(unitNames(ended.stdout).flatMap((name) => unitName.exec(name)?.[1] ?? []));
		},
		async create(vm, createMs) {
			units += 1;
			const unit = `vmpair-create-${vm.vm}-${process.pid}-${units}`;
			const args = createArguments(unit, vm.configurationFile, createMs);
			const ended = await tools.run({ file: 'systemd-run', args, limitMs: createMs });
			if (ended.end === 'not-started') return failed('create-failed', ended.detail);
			if (ended.end === 'unknown') return unknown(`${ended.detail}; unit ${unit}`);
			return ended.exitCode === 0 ? succeeded(null) : await createFailed(tools, unit, ended);
		},
	};
};
