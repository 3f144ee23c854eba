import { createInterface } from 'node:readline';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { demoPair } from '#src/demo/pair.ts';
import { makeReport, type Report } from '#src/demo/report.ts';
import { eventText, play, seconds, viewLines } from '#src/demo/screen.ts';
import { scripts, type Script } from '#src/demo/script.ts';
import { Stage, type StageEvent } from '#src/demo/stage.ts';
import { messageOf } from '#src/std/error.ts';

interface DemoOptions {
	readonly seed: number;
	/** Leaves the folder with the hosts' files and logs. */
	readonly keep: boolean;
}

/** A person or a program that has a command writes it within this time. */
const firstLineMs = 1000;

/** Sets the stage for `work` and clears it away again, also when the demo is ended by a signal. */
const onStage = async <Value>(
	options: DemoOptions & { readonly onEvent: (event: StageEvent) => void },
	around: Surroundings,
	work: (stage: Stage) => Promise<Value>,
): Promise<Value> => {
	const stage = await Stage.set({
		third: null,
		prepare: async () => {},
		world: demoPair,
		program: around.program,
		seed: options.seed,
		onEvent: options.onEvent,
		trace: null,
	});
	let closed = false;
	const close = async (): Promise<void> => {
		if (closed) return;
		closed = true;
		await stage.close(options.keep);
		if (options.keep) around.warn(`kept: ${stage.folder}`);
	};
	const interrupted = (): void => {
		void close().then(() => process.exit(130));
	};
	process.on('SIGINT', interrupted);
	process.on('SIGTERM', interrupted);
	process.on('SIGHUP', interrupted);
	try {
		return await work(stage);
	} finally {
		await close();
		for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, interrupted);
	}
};

/** Plays a script to its end and judges it. Prints lines, or the report as JSON. */
export const runScript = async (
	options: DemoOptions & { readonly name: string; readonly script: Script; readonly json: boolean },
	around: Surroundings,
): Promise<Report> => {
	const say = (line: string): void => {
		if (!options.json) around.print(line);
	};
	say(
		'Two simulated hosts, two real agents, real TLS between them. Nothing of this machine is touched.',
	);
	const onEvent = (event: StageEvent): void => say(eventText(event));
	const report = await onStage({ ...options, onEvent }, around, async (stage) => {
		let failure = '';
		try {
			await options.script(stage, (line) => say(`${seconds(stage.nowMs())}> ${line}`));
		} catch (error) {
			failure = messageOf(error);
		}
		return await makeReport(stage, options.name, failure);
	});
	if (options.json) around.print(JSON.stringify(report, null, 2));
	else for (const line of reportLines(report)) around.print(line);
	return report;
};

const reportLines = (report: Report): string[] => [
	'',
	...Object.entries({
		'never two copies': report.promises.neverTwoCopies,
		'no acknowledged write lost': report.promises.noAcknowledgedWriteLost,
		'every VM runs': report.promises.everyVmRuns,
		'no other rule broken': report.promises.noOtherViolation,
	}).map(([promise, held]) => `${held ? 'held  ' : 'BROKEN'}  ${promise}`),
	...report.violations,
	...(report.failure === '' ? [] : [`failed: ${report.failure}`]),
	`${report.vms.reduce((sum, { acknowledged }) => sum + acknowledged, 0)} acknowledged writes checked`,
];

/** What a person can do, as a word with its host or network. */
type Command = (stage: Stage, subject: string) => void;

const commands: Readonly<Record<string, Command>> = {
	'power-cut': (stage, host) => stage.powerCut(host),
	'power-on': (stage, host) => stage.powerOn(host),
	cut: (stage, network) => stage.cut(network),
	mend: (stage, network) => stage.mend(network),
	'kill-agent': (stage, host) => stage.killAgent(host, 2000),
};

/** The demo: a live screen on a terminal; without one, lines, and commands from standard input. */
export const runDemo = async (options: DemoOptions, around: Surroundings): Promise<number> => {
	if (around.interactive) {
		const onEvent = (): void => {};
		return await onStage(
			{ ...options, onEvent },
			around,
			async (stage) => await play(stage, around),
		);
	}
	const lines = createInterface({ input: process.stdin });
	const iterator = lines[Symbol.asyncIterator]();
	const first = await Promise.race([
		iterator.next(),
		new Promise<null>((resolve) => setTimeout(() => resolve(null), firstLineMs)),
	]);
	const script = scripts['power-cut'];
	if (script === undefined || (first !== null && first.done !== true)) {
		return await obeyLines(options, around, first?.value ?? '', iterator);
	}
	// Nobody is there to say anything: it plays a story by itself.
	lines.close();
	const report = await runScript({ ...options, name: 'power-cut', script, json: false }, around);
	return report.held ? 0 : 1;
};

/** One command a line, until `quit` or the end of the input. */
const obeyLines = async (
	options: DemoOptions,
	around: Surroundings,
	first: string,
	rest: AsyncIterator<string>,
): Promise<number> => {
	const onEvent = (event: StageEvent): void => around.print(eventText(event));
	await onStage({ ...options, onEvent }, around, async (stage) => {
		for (
			let next: IteratorResult<string> = { value: first };
			next.done !== true;
			next = await rest.next()
		) {
			if (next.value.trim() === 'quit') return;
			await obey(stage, next.value, around);
		}
	});
	return 0;
};

const obey = async (stage: Stage, line: string, around: Surroundings): Promise<void> => {
	const [verb = '', subject = ''] = line.trim().split(/\s+/);
	const command = commands[verb];
	if (verb === 'wait') {
		await new Promise((resolve) => setTimeout(resolve, Number(subject) * 1000));
	} else if (verb === 'status') {
		for (const each of await viewLines(stage, subject || 'south', around)) around.print(each);
	} else if (command === undefined) {
		around.warn(`commands: ${Object.keys(commands).join(', ')}, status HOST, wait SECONDS, quit`);
	} else command(stage, subject);
};
