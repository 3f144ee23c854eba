/** The report as people read it. Pure. */
import type { VmVerdict } from './ledger.ts';
import type { Played } from './play.ts';
import type { Cost, Line, Milestones } from './timeline.ts';

export type Report = {
	readonly scenario: string;
	readonly passed: boolean;
	readonly failures: readonly string[];
	readonly milestones: Milestones;
	readonly expectations: Played['met'];
	readonly cost: Cost;
	readonly ledger: readonly VmVerdict[];
	readonly timeline: readonly Line[];
	/** Where logs and event files are, when something failed. */
	readonly bundle: string | undefined;
};

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const stamp = (ms: number): string => `${ms < 0 ? '-' : '+'}${(Math.abs(ms) / 1000).toFixed(2)}`;

function milestoneLines({ milestones }: Report): string[] {
	const named: [string, number | undefined][] = [
		['suspect', milestones.suspect],
		['proof', milestones.proof],
		['takeover decided', milestones.takeover],
		['promoted', milestones.promoted],
		['start issued', milestones.startIssued],
		...Object.entries(milestones.firstWrite).map(([vm, ms]): [string, number] => [
			`first write of ${vm}`,
			ms,
		]),
		['first alert', milestones.alert],
	];
	return named
		.filter((each): each is [string, number] => each[1] !== undefined)
		.map(([name, ms]) => `  ${name.padEnd(24)} ${seconds(ms).padStart(8)}`);
}

function ledgerLines({ ledger }: Report): string[] {
	return ledger.map((verdict) => {
		const { vm, acknowledged, boots, gapMs, onDisk, violations } = verdict;
		const disk = onDisk === undefined ? 'disk not read back' : `${onDisk} on disk`;
		const word = violations.length === 0 ? 'intact' : `${violations.length} VIOLATIONS`;
		const counts = `${acknowledged} acknowledged, ${disk}, ${boots.length} boots`;
		return `  ${vm.padEnd(12)} ${word}: ${counts}, longest silence ${seconds(gapMs)}`;
	});
}

/** The whole report, for a terminal. */
export function reportText(report: Report): string {
	const lines = report.timeline.map(
		({ ms, who, text }) => `  ${stamp(ms).padStart(8)}  ${who.padEnd(9)} ${text}`,
	);
	const met = report.expectations.map(
		({ text, afterMs, limitMs }) => `  ${seconds(afterMs)} of ${seconds(limitMs)}  ${text}`,
	);
	return [
		`Timeline of ${report.scenario}, in seconds since the first step:`,
		...lines,
		'',
		'Milestones since the first step:',
		...milestoneLines(report),
		'',
		'Expectations:',
		...met,
		'',
		`Cost: ${report.cost.exclusions} exclusions; writes held back ${report.cost.freezes} times, ${seconds(report.cost.frozenMs)} in all, ${seconds(report.cost.longestMs)} at most`,
		'',
		'Ledger:',
		...ledgerLines(report),
		'',
		...report.failures.map((failure) => `FAILED  ${failure}`),
		...(report.bundle === undefined ? [] : [`Logs and event files: ${report.bundle}`]),
		`${report.scenario}: ${report.passed ? 'passed' : 'FAILED'}`,
	].join('\n');
}
