import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { setLoad } from '#test/lab/load.ts';
import { run, until } from '#test/lab/tool.ts';

const source = fileURLToPath(new URL('../lab/ledger.c', import.meta.url));

/** CPU time that a process has used so far, in ticks of 10 ms. */
const ticksOf = async (pid: number): Promise<number> => {
	const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ');
	return Number(fields[13]) + Number(fields[14]);
};

test('a lab guest uses CPU when it is told to, and stops when it is told to', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-load-'));
	const program = join(folder, 'ledger');
	await run('gcc', ['-O2', '-o', program, source]);
	const guest = spawn(program, { argv0: 'load', stdio: 'ignore' });
	t.teardown(async () => {
		guest.kill();
		await rm(folder, { recursive: true });
	});
	const pid = guest.pid ?? 0;
	const order = (percent: number): Promise<void> =>
		setLoad((file, ...args) => [file ?? '', args], '127.0.0.1', percent);
	const used = async (ticks: number): Promise<true | undefined> =>
		(await ticksOf(pid)) >= ticks ? true : undefined;

	await order(80);
	await until(() => used(20), { what: 'CPU time to be used', timeoutMs: 20_000 });
	await order(0);
	// It answers at the end of the slice that is under way; the next answer is of a guest at rest.
	await order(0);
	const [before, beganMs] = [await ticksOf(pid), performance.now()];
	while (performance.now() - beganMs < 1000) await order(0);
	t.true((await ticksOf(pid)) - before < 10);
});
