import type { AlertList, AlertTrials } from '#src/api/alert.ts';
import { paint, wrap } from '#src/cli/text.ts';
import { span } from '#src/std/span.ts';

interface Look {
	readonly columns: number;
	readonly colour: boolean;
}

type Open = AlertList['open'][number];
type Receiver = AlertList['receivers'][number];
type Message = AlertList['kept'][number];

/** More is in the JSON: at night nobody reads it all. */
const waitingMax = 5;

const openLines = (open: Open, look: Look): string[] => {
	const tone = open.severity === 'critical' ? 'bad' : 'warn';
	const { acknowledged } = open;
	const lines = [
		`${paint(open.severity, tone, look.colour)} ${open.key} since ${open.since}`,
		...wrap(open.summary, look.columns, '  ').map((line) => `  ${line.trimStart()}`),
	];
	if (acknowledged !== null) {
		const reason = acknowledged.reason === '' ? '' : `: ${acknowledged.reason}`;
		lines.push(`  acknowledged by ${acknowledged.by} at ${acknowledged.at}${reason}`);
	}
	if (open.next !== '') lines.push(...wrap(`next: ${open.next}`, look.columns, '  '));
	return lines;
};

const messageLine = ({ id, type, at, severity, summary }: Message): string =>
	`  ${at} ${severity} ${type}: ${summary} (${id})`;

const receiverLines = (receiver: Receiver, look: Look): string[] => {
	const { name, waiting, failures, lastError, lastDeliveredAt } = receiver;
	const last =
		lastDeliveredAt === null ? 'nothing delivered yet' : `last delivery ${lastDeliveredAt}`;
	const trouble = failures === 0 ? '' : `; ${failures} attempts failed: ${lastError}`;
	const head = `${name}: ${waiting.length === 0 ? 'nothing waits' : `${waiting.length} wait`}, ${last}${trouble}`;
	const more = waiting.length - waitingMax;
	return [
		...wrap(paint(head, failures === 0 ? 'plain' : 'warn', look.colour), look.columns, '  '),
		...waiting.slice(0, waitingMax).map(messageLine),
		...(more > 0 ? [`  and ${more} more: vmpair alert list --json`] : []),
	];
};

/** What is open, what waits for whom, and on request what is kept. */
export const alertLines = (list: AlertList, kept: boolean, look: Look): string[] => [
	...(list.open.length === 0
		? ['nothing is open']
		: list.open.flatMap((each) => openLines(each, look))),
	'',
	...(list.receivers.length === 0
		? ['no receiver of alerts is configured on this host']
		: list.receivers.flatMap((each) => receiverLines(each, look))),
	...(kept ? ['', 'kept, to be sent again:', ...list.kept.map(messageLine)] : []),
];

const words = {
	delivered: 'has it',
	failed: 'does not take it',
	waiting: 'has not got it yet',
} as const;

/** How each receiver took a trial. */
export const trialLines = ({ trials }: AlertTrials, look: Look): string[] =>
	trials.flatMap(({ receiver, result, detail, tookMs }) => {
		const line = `${receiver} ${words[result]}, after ${span(tookMs)}${detail === '' ? '' : `: ${detail}`}`;
		const tone = result === 'delivered' ? 'good' : 'bad';
		return wrap(line, look.columns, '  ').map((each) => paint(each, tone, look.colour));
	});
