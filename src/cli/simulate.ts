import { readFile, rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parse } from 'yaml';
import * as z from 'zod';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { playSlices } from '#src/cli/simulate-jobs.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { addTally, emptyTally, reportLines, reproduce, type Tally } from '#src/sim/report.ts';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import type { Slice } from '#src/sim/slice.ts';
import { type SwarmClass, swarmClasses } from '#src/sim/swarm-world.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** What a thread plays at a time, seeds. */
const sliceSeeds = 100;
/** The sums are written down this often, ms: what was played since is lost when a run is interrupted. */
const saveEveryMs = 2000;
const jobsMax = 256;
const seedsDefault = 1000;

const sums = z.record(z.string(), z.number());
const tallySchema = z.strictObject({
	format: z.literal(1),
	class: z.enum(swarmClasses),
	firstSeed: z.int().min(0),
	seeds: z.int().min(0),
	wallMs: z.number(),
	simulatedMs: z.number(),
	faults: sums,
	decisions: sums,
	actions: sums,
	outcomes: sums,
	violations: z.array(
		z.strictObject({
			seed: z.int(),
			checker: z.string(),
			atMs: z.number(),
			message: z.string(),
		}),
	),
});

const wholeNumber = (name: string, text: string | undefined, fallback: number): number => {
	if (text === undefined) return fallback;
	if (/^\d{1,15}$/.test(text)) return Number(text);
	throw usageError(`--${name} must be a whole number, not "${text}"`, 'simulate');
};

/**
 * `vmpair simulate [--seeds N] [--seed S] [--class CLASS] [--jobs N] [--resume FILE] [--trace] [--json]`
 * or `vmpair simulate --scenario FILE [--json]`: exit 1 when a promise is broken or an expectation fails.
 */
export const simulate = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('simulate', argv, {
		seeds: { type: 'string' },
		seed: { type: 'string' },
		class: { type: 'string' },
		scenario: { type: 'string' },
		jobs: { type: 'string' },
		resume: { type: 'string' },
		trace: { type: 'boolean', default: false },
		json: { type: 'boolean', default: false },
	});
	if (values.scenario !== undefined) {
		return await playScenario(values.scenario, values.json, around);
	}
	const swarmClass = classNamed(values.class);
	const first = wholeNumber('seed', values.seed, 1);
	const seeds = wholeNumber('seeds', values.seeds, seedsDefault);
	const jobs = wholeNumber('jobs', values.jobs, availableParallelism());
	if (jobs < 1 || jobs > jobsMax) throw usageError(`--jobs is 1 to ${jobsMax}`, 'simulate');
	const tally =
		(values.resume === undefined ? null : await readTally(values.resume)) ??
		emptyTally(swarmClass, first);
	if (tally.class !== swarmClass || tally.firstSeed !== first) {
		throw usageError(
			`${values.resume ?? ''} belongs to a run of --class ${tally.class} --seed ${tally.firstSeed}`,
			'simulate',
		);
	}
	await playSeeds(tally, { seeds, jobs, resume: values.resume, trace: values.trace }, around);
	const done = {
		...tally,
		violations: tally.violations.map((each) => ({ ...each, command: reproduce(tally, each.seed) })),
	};
	if (values.json) around.print(JSON.stringify(done));
	else for (const line of reportLines(tally)) around.print(line);
	return tally.violations.length === 0 ? exit.done : exit.failed;
};

const classNamed = (name = 'honest'): SwarmClass => {
	const known = swarmClasses.find((each) => each === name);
	if (known !== undefined) return known;
	throw usageError(`--class is ${swarmClasses.join(', ')}, not "${name}"`, 'simulate');
};

const playSeeds = async (
	tally: Tally,
	options: { seeds: number; jobs: number; resume: string | undefined; trace: boolean },
	around: Surroundings,
): Promise<void> => {
	const { seeds, jobs, resume, trace: traced } = options;
	const { class: swarmClass, seeds: done, wallMs: beforeMs } = tally;
	const sliceAt = (index: number): Slice | null => {
		const from = done + index * sliceSeeds;
		if (from >= seeds) return null;
		const firstSeed = tally.firstSeed + from;
		return { swarmClass, firstSeed, seeds: Math.min(sliceSeeds, seeds - from), traced };
	};
	const startedMs = performance.now();
	let savedMs = startedMs;
	await playSlices(sliceAt, jobs, async (played) => {
		for (const line of played.trace) around.warn(line);
		addTally(tally, played.tally);
		const nowMs = performance.now();
		tally.wallMs = beforeMs + (nowMs - startedMs);
		if (resume === undefined || nowMs - savedMs < saveEveryMs) return;
		savedMs = nowMs;
		await saveTally(resume, tally);
	});
	if (resume !== undefined) await saveTally(resume, tally);
};

const readTally = async (file: string): Promise<Tally | null> => {
	let text: string;
	try {
		text = await readFile(file, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw fileError(file, error);
	}
	try {
		return tallySchema.parse(JSON.parse(text));
	} catch (error) {
		throw fileError(file, error);
	}
};

const saveTally = async (file: string, tally: Tally): Promise<void> => {
	await writeFile(`${file}.new`, JSON.stringify(tally));
	await rename(`${file}.new`, file);
};

const fileError = (file: string, cause: unknown): VmpairError =>
	new VmpairError('simulate-file', `${file} cannot be used: ${messageOf(cause)}`, {
		next: 'vmpair help simulate',
		cause,
	});

const playScenario = async (file: string, json: boolean, around: Surroundings): Promise<number> => {
	let scenario;
	try {
		scenario = parseScenario(parse(await readFile(file, 'utf8')));
	} catch (error) {
		const problems = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
		throw new VmpairError('scenario-invalid', `${file} is no scenario:\n${problems}`, {
			next: `the format is described in ${around.documents}/scenario-format.md`,
			cause: error,
		});
	}
	const result = runScenario(scenario);
	const passed = result.failures.length === 0 && result.violations.length === 0;
	if (json) around.print(JSON.stringify({ name: scenario.name, passed, ...result }));
	else {
		for (const line of result.trace) around.print(line);
		for (const failure of result.failures) around.print(`failed: ${failure}`);
		for (const each of result.violations) around.print(`broken: ${each.checker}: ${each.message}`);
		around.print(`${scenario.name}: ${passed ? 'passed' : 'failed'}`);
	}
	return passed ? exit.done : exit.failed;
};
