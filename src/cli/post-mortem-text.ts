import type { PostMortem } from '#src/store/post-mortem.ts';
import { historyLine, localTime } from '#src/cli/history-text.ts';
import { span } from '#src/std/span.ts';

const seconds = (ms: number): string =>
	`${ms < 0 ? '-' : '+'}${(Math.abs(ms) / 1000).toFixed(1)} s`;

/** A post-mortem on paper: the verdict, the phases, the VMs, and what both hosts said. */
export const postMortemLines = (
	{ host, survivor, at, phases, vms, steps }: PostMortem,
	colour: boolean,
): string[] => {
	const width = Math.max(...phases.map(({ ms }) => seconds(ms).length));
	const names = Math.max(0, ...[host, survivor].map((name) => name.length));
	const lasted = phases.at(-1)?.ms ?? 0;
	return [
		`${host} fell silent at ${localTime(at)} and was back after ${span(lasted)}; ${survivor} tells`,
		'',
		...phases.map(({ what, ms }) => `  ${seconds(ms).padStart(width)}  ${what}`),
		'',
		...(vms.length === 0 ? ['No VM was taken over.'] : []),
		...vms.map(({ vm, downMs }) =>
			downMs === null
				? `${vm} did not run again before ${host} was back`
				: `${vm} was down for ${span(downMs)}`,
		),
		'',
		`What both hosts said, each by its own clock (${host} as far as it had arrived):`,
		...steps.map(
			(step) => `  ${step.host.padEnd(names)}  ${historyLine({ ...step, seq: 0, ms: 0 }, colour)}`,
		),
	];
};
