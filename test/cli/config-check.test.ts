import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { configCheck } from '#src/cli/config-check.ts';
import { createAround } from '#test/cli/around.ts';

const example = fileURLToPath(new URL('../../deploy/vmpair.yaml.example', import.meta.url));

const run = async (...argv: string[]) => {
	const { around, printed, warned } = createAround();
	const code = await configCheck(argv, around);
	return { code, printed: printed.join('\n'), warned: warned.join('\n') };
};

test('the shipped example passes the check and its times are shown with their reasons', async (t) => {
	const { code, printed, warned } = await run('--file', example, '--host', 'beta', '--no-files');
	t.is(code, 0);
	t.is(warned, '');
	t.regex(printed, /is valid\./);
	t.regex(printed, /beta \(this host\): fenced by beta-bmc/);
	t.regex(printed, /take T_take +12s200ms +\(L \+ T_wd \+ 2s\)/);
	t.notRegex(printed, /advice/);
});

test('a file with problems ends with 78 and one line for each', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-check-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const file = join(folder, 'vmpair.yaml');
	await writeFile(file, 'pair: p\narbiter: hope\nhosts: {}\n');
	const { code, printed, warned } = await run('--file', file);
	t.is(code, 78);
	t.is(printed, '');
	const lines = warned.split('\n');
	t.true(
		lines.includes(`${file}:2:10: arbiter: expected witness, fencing or person, found "hope"`),
	);
	t.regex(lines.at(-1) ?? '', /^\d problems; nothing of this file is used\.$/);
});

test('with --json the check is one object with problems, times and digest', async (t) => {
	const good = await run('--json', '--file', example, '--host', 'alpha', '--no-files');
	const parsed = JSON.parse(good.printed) as Readonly<Record<string, unknown>>;
	t.like(parsed, { valid: true, problems: [], advice: [] });
	t.regex(String(parsed['digest']), /^[0-9a-f]{64}$/);
	const bad = await run('--json', '--file', example, '--host', 'nobody', '--no-files');
	t.is(bad.code, 78);
	t.like(JSON.parse(bad.printed), { valid: false, config: null, timing: null });
});

test('a receiver without encryption is advised against', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-check-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const file = join(folder, 'vmpair.yaml');
	await writeFile(file, (await readFile(example, 'utf8')).replace('url: https:', 'url: http:'));
	const { code, printed } = await run('--file', file, '--host', 'beta', '--no-files');
	t.is(code, 0);
	t.regex(printed, /advice: The receiver \S+ has an http:\/\/ URL: what is sent can be read/);
});
