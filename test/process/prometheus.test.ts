import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { execa } from 'execa';
import { fullStatus, metricsOf } from '#test/web/example.ts';

const folder = fileURLToPath(new URL('../../deploy/prometheus', import.meta.url));

/** Runs the tool of Debian's package `prometheus`; on a machine without it the test fails, it does not pass. */
const promtool = async (
	t: ExecutionContext,
	args: readonly string[],
	input = '',
): Promise<void> => {
	const { exitCode, all, failed, code } = await execa('promtool', args, {
		cwd: folder,
		input,
		all: true,
		reject: false,
		timeout: 120_000,
	});
	t.not(code, 'ENOENT', 'promtool is missing: apt-get install --no-install-recommends prometheus');
	t.false(failed, `promtool ${args.join(' ')} ended with ${exitCode}:\n${all}`);
};

test('Prometheus reads the alert rules', async (t) => {
	await promtool(t, ['check', 'rules', '--lint-fatal', 'vmpair.rules.yml']);
});

test('the alert rules fire when they should, and only then', async (t) => {
	t.timeout(150_000);
	await promtool(t, ['test', 'rules', 'vmpair.test.yml']);
});

test('Prometheus reads the metrics and has nothing to say against their names', async (t) => {
	await promtool(t, ['check', 'metrics'], metricsOf(fullStatus()));
});
