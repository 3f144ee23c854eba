import { pauseText } from '#src/api/words.ts';
import type { Status } from '#src/api/view.ts';
import { paint, withPages, wrap, type Tone } from '#src/cli/text.ts';
import { timingTable } from '#src/config/timing.ts';
import type { FenceCheck } from '#src/fence/check.ts';
import { span } from '#src/std/span.ts';

/** How bad one finding of `vmpair doctor` is. `told`: a fact, with nothing to do. */
export type Grade = 'good' | 'told' | 'worth' | 'wrong';

/** One thing that was looked at. */
export interface Finding {
	readonly grade: Grade;
	readonly what: string;
	/** The next step; empty when nothing has to be done. */
	readonly next: string;
	/** Its page in the runbook; null without one. */
	readonly page: string | null;
}

export const finding = (
	grade: Grade,
	what: string,
	next = '',
	page: string | null = null,
): Finding => ({ grade, what, next, page });

/** What the agent itself says is wrong: the same conditions that are told to the receivers of alerts. */
const conditionFindings = ({ conditions }: Status): Finding[] =>
	conditions.map(({ name, severity, summary, next }) =>
		finding(severity === 'critical' ? 'wrong' : 'worth', summary, next, name),
	);

const hostFindings = ({ hosts, peer }: Status): Finding[] => {
	const [own, other] = hosts;
	if (own === undefined || other === undefined) return [];
	const found: Finding[] = [];
	if (other.version !== null && other.version !== own.version)
		found.push(
			finding(
				'worth',
				`${peer} runs version ${other.version}, this host ${own.version ?? 'an unknown one'}`,
				'install the same version on both',
			),
		);
	if (other.configAgrees === false)
		found.push(
			finding(
				'wrong',
				'the configurations of the two hosts differ',
				'compare vmpair.yaml',
				'config-drift',
			),
		);
	return found.length === 0 && other.state === 'online'
		? [finding('good', `${peer} is heard, with the same configuration and version`)]
		: found;
};

const linkFindings = ({ links }: Status): Finding[] => {
	const up = links.filter(({ state }) => state === 'up');
	const one =
		links.length > 1
			? []
			: [
					finding(
						'worth',
						'there is one link only: its loss silences the peer',
						'add the replication network',
					),
				];
	return up.length === links.length
		? [finding('good', `every link is up (${up.length})`), ...one]
		: one;
};

const vmFindings = ({ vms }: Status): Finding[] => {
	const wanted = vms.filter((vm) => vm.wanted === 'running');
	const bare = wanted.filter(({ failover }) => !failover.ready);
	if (wanted.length === 0) return [finding('worth', 'no VM is to run: nothing is protected')];
	if (bare.length === 0)
		return [
			finding('good', `each of the ${wanted.length} VMs would run again if its host died now`),
		];
	return bare.map(({ vm, failover }) =>
		finding(
			'wrong',
			`${vm} would not run again if its host died now: ${failover.blocker}`,
			failover.next,
		),
	);
};

/** What a running agent knows of its pair. */
export const statusFindings = (status: Status): Finding[] => [
	...hostFindings(status),
	...(status.pause === null
		? []
		: [finding('worth', `the pair is ${pauseText(status.pause)}`, 'vmpair resume')]),
	...(status.armed.armed
		? [finding('good', 'the pair is armed')]
		: [finding('worth', `the pair is disarmed: ${status.armed.reason}`, 'vmpair arm')]),
	...status.preflight.map((text) => finding('wrong', text, '', 'preflight')),
	...conditionFindings(status),
	...linkFindings(status),
	...vmFindings(status),
	...status.advice.map((text) => finding('worth', text)),
];

/** The slowest answer among the devices of a host's first level that answered, ms; null when none did. */
const slowestMs = (check: FenceCheck, host: string): number | null => {
	const devices = check.hosts.find((each) => each.host === host)?.levels[0]?.devices ?? [];
	const took = devices.filter(({ power }) => power !== 'unknown').map(({ tookMs }) => tookMs);
	return took.length === 0 ? null : Math.max(...took);
};

/**
 * How long a failover of the other host's VMs takes from here until they are started, of what was measured just now
 * and of the timing table. A guest's own boot comes on top.
 */
export const budgetFindings = (status: Status, fences: FenceCheck | null): Finding[] => {
	const { peer, timing, witness } = status;
	const table = timingTable(timing.detectionMs);
	const tookMs = fences === null ? null : slowestMs(fences, peer);
	const found: Finding[] = [];
	if (tookMs !== null) {
		found.push(
			finding(
				'told',
				`${peer} loses power and its fence device answers: proof after about ${span(table.suspectMs + tookMs)} (suspect after ${span(table.suspectMs)}, the device took ${span(tookMs)} just now)`,
			),
			finding(
				'told',
				`${peer} hangs: proof after about ${span(table.detectionMs + 2 * tookMs)} (detection ${span(table.detectionMs)}, then "off" and a look, each as slow as just now)`,
			),
		);
	}
	const armed = witness?.watchdogs.some(
		({ host, timeoutMs }) => host === peer && timeoutMs !== null,
	);
	if (witness !== null && armed === true)
		found.push(
			finding(
				'told',
				`${peer} is silent and no fence device answers: proof by its watchdog after ${span(witness.takeMs)}`,
			),
		);
	if (found.length > 0) return found;
	return [
		finding(
			'wrong',
			`nothing can prove that ${peer} is dead: its VMs wait for a person`,
			'vmpair fence check; a fence device, or a witness and a watchdog',
		),
	];
};

const marks: Readonly<Record<Grade, string>> = { good: '+', told: ' ', worth: '?', wrong: '!' };
const tones: Readonly<Record<Grade, Tone>> = {
	good: 'good',
	told: 'plain',
	worth: 'warn',
	wrong: 'bad',
};

/** What was found in one place, as lines: `+` well, `?` worth mending, `!` wrong, each with its next step. */
export const findingLines = (
	title: string,
	findings: readonly Finding[],
	look: { readonly columns: number; readonly colour: boolean; readonly documents: string },
): string[] => [
	paint(title, 'strong', look.colour),
	...findings.flatMap(({ grade, what, next, page }) => {
		const [first = '', ...rest] = wrap(what, look.columns - 2);
		const read = page === null ? [] : [`    read: ${look.documents}/runbook/${page}.md`];
		const step =
			next === '' ? [] : wrap(`next: ${withPages(next, look.documents)}`, look.columns, '    ');
		return [
			`${paint(marks[grade], tones[grade], look.colour)} ${first}`,
			...rest.map((line) => `  ${line}`),
			...step,
			...read,
		];
	}),
];
