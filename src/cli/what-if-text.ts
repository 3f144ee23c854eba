import type { Course, CourseVm, WhatIf } from '#src/api/what-if.ts';
import { cell, paint, table, withPages, wrap, type Column, type Tone } from '#src/cli/text.ts';
import type { Look } from '#src/cli/status-text.ts';
import { span } from '#src/std/span.ts';

const questionWords = ({ question }: WhatIf): string => {
	switch (question.kind) {
		case 'dead':
			return `${question.host} died now`;
		case 'cut':
			return `nothing passed on the link ${question.link} from now on`;
		case 'migrate':
			return `somebody typed "vmpair migrate ${question.vm}" now`;
	}
};

const fateWords: Readonly<Record<CourseVm['fate'], { text: string; tone: Tone }>> = {
	stays: { text: 'stays', tone: 'good' },
	moved: { text: 'moves live', tone: 'good' },
	'taken-over': { text: 'taken over', tone: 'good' },
	restarted: { text: 'runs again', tone: 'warn' },
	frozen: { text: 'FROZEN', tone: 'bad' },
	'stays-down': { text: 'STAYS DOWN', tone: 'bad' },
	stopped: { text: 'stopped', tone: 'dim' },
};

const severityTones: Readonly<Record<'critical' | 'warning' | 'info', Tone>> = {
	critical: 'bad',
	warning: 'warn',
	info: 'plain',
};

/** Shorter than this nobody misses it, ms. */
const noticedMs = 50;

const timeCell = (ms: number, lasts: boolean) => {
	if (lasts) return cell('to the end', 'bad');
	return ms < noticedMs ? cell('-') : cell(span(ms));
};

const columns: readonly Column[] = [
	{ title: 'VM', shed: 0 },
	{ title: 'NOW', shed: 2 },
	{ title: 'THEN', shed: 0 },
	{ title: 'WHAT', shed: 0 },
	{ title: 'ORDER', shed: 3 },
	{ title: 'PROOF', shed: 1 },
	{ title: 'DOWN', shed: 0 },
	{ title: 'WRITES HELD', shed: 4 },
];

const vmLines = ({ vms }: Course, look: Look): string[] => {
	const rows = vms.map(({ vm, from, to, fate, order, proof, downMs, heldMs }) => [
		cell(vm, 'strong'),
		cell(from ?? '-'),
		cell(to ?? '-'),
		cell(fateWords[fate].text, fateWords[fate].tone),
		cell(order === null ? '-' : String(order)),
		cell(proof ?? '-'),
		timeCell(downMs, fate === 'stays-down'),
		timeCell(heldMs, fate === 'frozen'),
	]);
	return table(columns, rows, look.columns, look.colour);
};

const next = (text: string, look: Look): string[] => {
	const step = look.documents === undefined ? text : withPages(text, look.documents);
	return step === '' ? [] : wrap(`next: ${step}`, look.columns, '    ');
};

const afterWidth = 9;
const after = (ms: number): string => `+${span(ms)}`.padEnd(afterWidth);

const timed = (ms: number, text: string, look: Look): string[] => {
	const [first = '', ...rest] = wrap(text, look.columns - afterWidth);
	return [after(ms) + first, ...rest.map((line) => ' '.repeat(afterWidth) + line)];
};

const blockedLines = ({ vms }: Course, look: Look): string[] => {
	const told = new Set<string>();
	return vms.flatMap(({ vm, blocker, next: step }) => {
		if (blocker === '') return [];
		const lines = wrap(`${vm}: ${blocker}`, look.columns, '  ').map((line, index) =>
			index === 0 ? `${paint('!', 'bad', look.colour)} ${line.trimStart()}` : line,
		);
		if (told.has(step)) return lines;
		told.add(step);
		return [...lines, ...next(step, look)];
	});
};

const alertLines = ({ alerts }: Course, look: Look): string[] =>
	alerts.flatMap(({ afterMs, key, severity, summary, resolvedMs }) => {
		const over = resolvedMs === null ? '' : ` (over at +${span(resolvedMs)})`;
		const [first = '', ...rest] = timed(afterMs, `${severity} ${key}: ${summary}${over}`, look);
		return [
			first.replace(severity, paint(severity, severityTones[severity], look.colour)),
			...rest,
		];
	});

const section = (title: string, lines: readonly string[]): string[] =>
	lines.length === 0 ? [] : ['', title, ...lines];

const courseLines = (course: Course, look: Look): string[] => {
	const { assuming, reply, moments, quiet, followedMs } = course;
	return [
		...(assuming === '' ? [] : ['', paint(`if ${assuming}`, 'strong', look.colour)]),
		...(reply === null
			? []
			: ['', ...wrap(`the agent: ${reply.status}: ${reply.message}`, look.columns)]),
		...(reply?.status === 'refused' ? next(reply.next, look) : []),
		'',
		...vmLines(course, look),
		...section('', blockedLines(course, look)).slice(1),
		...section(
			'what happens:',
			moments.flatMap(({ afterMs, host, text }) => timed(afterMs, `${host}: ${text}`, look)),
		),
		...section('alerts:', alertLines(course, look)),
		...(quiet
			? []
			: wrap(`It still goes on after ${span(followedMs)}, where this look ends.`, look.columns)),
	];
};

const movedSentence = (vm: string, { reply, vms }: Course): { text: string; tone: Tone } => {
	if (reply?.status === 'refused') return { text: 'it would be refused', tone: 'warn' };
	const found = vms.find((each) => each.vm === vm);
	return found?.fate === 'moved'
		? { text: `it would go live to ${found.to ?? ''}`, tone: 'good' }
		: { text: 'it would not get there', tone: 'warn' };
};

const sentence = ({ courses, question }: WhatIf): { text: string; tone: Tone } => {
	const bad = new Set(
		courses.flatMap(({ vms }) =>
			vms.filter(({ fate }) => fate === 'stays-down' || fate === 'frozen').map(({ vm }) => vm),
		),
	);
	if (bad.size > 0) return { text: `${[...bad].join(', ')} would need a person`, tone: 'bad' };
	const [first] = courses;
	if (question.kind === 'migrate' && first !== undefined) return movedSentence(question.vm, first);
	return { text: 'every VM that runs now would run in the end', tone: 'good' };
};

/** What would happen, for people: what becomes of the VMs first, then how. */
export const whatIfLines = (answer: WhatIf, look: Look): string[] => {
	const { text, tone } = sentence(answer);
	return [
		...wrap(`If ${questionWords(answer)}: ${text}`, look.columns).map((line) =>
			line.replace(text, paint(text, tone, look.colour)),
		),
		...(answer.idle === ''
			? []
			: wrap(`nothing would be done by itself: ${answer.idle}`, look.columns, '  ')),
		...answer.courses.flatMap((course) => courseLines(course, look)),
		...section(
			'taken for granted:',
			answer.assumptions.flatMap((each) => wrap(`- ${each}`, look.columns, '  ')),
		),
		'',
		'Nothing was done: this was the engine in a simulated pair that stands where this one does.',
	];
};
