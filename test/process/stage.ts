import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { execa } from 'execa';
import type { Status } from '#src/api/view.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { demoPair } from '#src/demo/pair.ts';
import { Stage, type StageOptions } from '#src/demo/stage.ts';
import { truths } from '#src/demo/truth.ts';
import { VmpairError } from '#src/std/error.ts';

/** The program as a user starts it. */
export const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

const waitLimitMs = 60_000;
const pollMs = 50;

/** Waits until `seen` holds; fails the test with `what` when it does not come. */
export const until = async (
	what: string,
	seen: () => boolean | Promise<boolean>,
): Promise<void> => {
	const end = performance.now() + waitLimitMs;
	while (!(await seen())) {
		if (performance.now() > end)
			throw new Error(`not seen within ${waitLimitMs / 1000} s: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, pollMs));
	}
};

/** The status of a host's agent; null while it does not answer. */
export const statusOf = async (stage: Stage, host: string): Promise<Status | null> => {
	try {
		return await stage.host(host).client.status();
	} catch (error) {
		if (error instanceof VmpairError) return null;
		throw error;
	}
};

export const allProtected = async (stage: Stage): Promise<void> => {
	let each: (Status | null)[] = [];
	try {
		await until('both agents say protected', async () => {
			each = await Promise.all(stage.hosts.map(({ sim }) => statusOf(stage, sim.name)));
			return each.every((status) => status?.verdict === 'protected');
		});
	} catch (error) {
		const seen = each.map((status) =>
			status === null
				? 'no answer'
				: statusLines(status, { columns: 100, colour: false }).join('\n'),
		);
		const logs = stage.hosts.map(({ files }) => readFileSync(files.logFile, 'utf8').slice(-3000));
		throw new Error([...seen, ...logs].join('\n\n'), { cause: error });
	}
};

/** A file of a process; empty when the process has ended. */
export const ofProcess = (pid: string, file: string): string => {
	try {
		return readFileSync(`/proc/${pid}/${file}`, 'latin1');
	} catch {
		return '';
	}
};

/** The ids of all processes of this machine. */
export const processes = (): readonly string[] =>
	readdirSync('/proc').filter((name) => /^\d+$/.test(name));

const toolsLeft = (folder: string): readonly string[] =>
	processes()
		.map((pid) => ofProcess(pid, 'cmdline').replaceAll('\0', ' '))
		.filter((line) => line.includes(`${folder}/`) && line.includes('/bin/sh '));

/** Two agents that have met, on hosts that are simulated; everything is ended after the test. */
export const setStage = async (
	t: ExecutionContext,
	{ third = null, prepare = async () => {} }: Partial<Pick<StageOptions, 'third' | 'prepare'>> = {},
): Promise<Stage> => {
	const stage = await Stage.set({
		world: demoPair,
		third,
		prepare,
		program,
		seed: 1,
		onEvent: (event) => t.log(JSON.stringify(event)),
		trace: null,
	});
	t.teardown(async () => {
		await stage.close(false);
		await until('no tool is left', () => toolsLeft(stage.folder).length === 0);
	});
	await allProtected(stage);
	return stage;
};

/** Where each VM really runs, as one text. */
export const places = (stage: Stage): string =>
	truths(stage.simulation)
		.map(({ vm, runsOn }) => `${vm}@${runsOn.join('+')}`)
		.join(' ');

/** Guests have new writes acknowledged, all of them. */
export const writesGoOn = async (stage: Stage): Promise<void> => {
	const before = new Map(truths(stage.simulation).map((each) => [each.vm, each.acknowledged]));
	await until('every VM writes', () =>
		truths(stage.simulation).every(
			({ vm, acknowledged }) => acknowledged > (before.get(vm) ?? 0) + 3,
		),
	);
};

/** No promise was broken, and no acknowledged write is missing. */
export const promisesHold = (t: ExecutionContext, stage: Stage): void => {
	t.deepEqual(stage.simulation.violations, []);
	t.true(truths(stage.simulation).every(({ intact, runsOn }) => intact && runsOn.length <= 1));
};

/** A command of a person on one of the hosts. */
export const vmpair = async (stage: Stage | null, host: string, ...words: readonly string[]) => {
	const where =
		stage === null
			? []
			: [
					'--socket',
					`${stage.host(host).files.runFolder}/agent.sock`,
					'--state',
					`${stage.host(host).files.folder}/state`,
				];
	const { exitCode, stdout, stderr } = await execa(
		process.execPath,
		[program, ...words, ...where],
		{
			reject: false,
			timeout: waitLimitMs,
			stdin: 'ignore',
			env: { NO_COLOR: '1' },
		},
	);
	return { exitCode, stdout, stderr };
};
