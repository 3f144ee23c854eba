import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { simulate } from '#src/cli/simulate.ts';
import { createAround } from '#test/cli/around.ts';

const around = () => {
	const { around: silent, printed } = createAround();
	const surroundings = { ...silent, warn: silent.print };
	return { printed, surroundings };
};

const inFolder = async (work: (folder: string) => Promise<void>): Promise<void> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-simulate-'));
	try {
		await work(folder);
	} finally {
		await rm(folder, { recursive: true });
	}
};

test('a few seeds are reported as sentences and as JSON', async (t) => {
	const text = around();
	t.is(await simulate(['--seeds', '3', '--seed', '7'], text.surroundings), 0);
	t.regex(text.printed.join('\n'), /^3 seeds from 7 [\s\S]*no promise was broken$/);
	const json = around();
	t.is(await simulate(['--seeds', '3', '--seed', '7', '--json'], json.surroundings), 0);
	const report = JSON.parse(json.printed.join('')) as Record<string, unknown>;
	t.like(report, { seeds: 3, firstSeed: 7, class: 'honest', violations: [] });
});

test('a run is taken up where it was left', async (t) => {
	await inFolder(async (folder) => {
		const file = join(folder, 'progress.json');
		await simulate(['--seeds', '2', '--resume', file, '--json'], around().surroundings);
		const { printed, surroundings } = around();
		await simulate(['--seeds', '4', '--resume', file, '--json'], surroundings);
		t.like(JSON.parse(printed.join('')), { seeds: 4, firstSeed: 1 });
		t.like(JSON.parse(await readFile(file, 'utf8')), { seeds: 4 });
		await t.throwsAsync(
			simulate(['--seeds', '4', '--seed', '9', '--resume', file], around().surroundings),
			{ message: /belongs to a run of --class honest --seed 1/ },
		);
		await writeFile(file, '{"format":1}');
		await t.throwsAsync(simulate(['--resume', file], around().surroundings), {
			message: /cannot be used/,
		});
	});
});

test('the report is the same whatever the number of threads', async (t) => {
	const report = async (jobs: string): Promise<unknown> => {
		const { printed, surroundings } = around();
		const argv = ['--seeds', '110', '--seed', '5', '--jobs', jobs, '--json'];
		t.is(await simulate(argv, surroundings), 0);
		const { wallMs, ...rest } = JSON.parse(printed.join('')) as Record<string, unknown>;
		t.is(typeof wallMs, 'number');
		// As text: the order of the sums is part of the report.
		return JSON.stringify(rest);
	};
	t.is(await report('2'), await report('1'));
});

test('a scenario that fails ends with exit code 1 and says what was not seen', async (t) => {
	await inFolder(async (folder) => {
		const file = join(folder, 'scenario.yaml');
		const scenario = (sight: string): string => `
format: 1
name: nothing
story: nothing happens
world:
  hosts: [left, right]
  vms: [{ name: ldap, host: left }]
steps: [{ do: nothing, at: 1s }]
expect: [{ finally: ${sight} }]
ends: 3s
`;
		await writeFile(file, scenario('{ vm: ldap, runsOn: left }'));
		t.is(await simulate(['--scenario', file], around().surroundings), 0);
		await writeFile(file, scenario('{ vm: ldap, runsOn: right }'));
		const { printed, surroundings } = around();
		t.is(await simulate(['--scenario', file, '--json'], surroundings), 1);
		const result = JSON.parse(printed.join('')) as { passed: boolean; failures: string[] };
		t.false(result.passed);
		t.regex(result.failures[0] ?? '', /does not hold at the end/);
		await writeFile(file, 'format: 2');
		await t.throwsAsync(simulate(['--scenario', file], around().surroundings), {
			message: /is no scenario/,
		});
	});
});

test('wrong numbers and classes are refused', async (t) => {
	for (const argv of [
		['--seeds', 'many'],
		['--class', 'evil'],
		['--seeds', '-1'],
		['--jobs', '0'],
		['--what'],
	]) {
		await t.throwsAsync(simulate(argv, around().surroundings), { code: 'usage' });
	}
});
