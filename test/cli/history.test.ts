import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { history } from '#src/cli/history.ts';
import { Journal } from '#src/store/driver-journal.ts';
import { createAround } from '#test/cli/around.ts';

/** A state folder with a note, an input that is repeated, and a torn line. */
const written = async (t: ExecutionContext): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-history-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const journal = await Journal.open({ directory: folder, bootId: 'boot-1', problem: () => {} });
	const seen = { type: 'replication-observed', resources: null };
	journal.start({ record: null }, 1);
	journal.input(seen, 2, true);
	journal.note({ level: 'warn', message: 'DRBD does not answer', fields: {} }, 2);
	journal.input(seen, 3, true);
	await journal.close();
	await appendFile(join(folder, 'events.jsonl'), '{"seq":9,');
	return folder;
};

test('--inputs tells what the agent was told, from the files and without an agent', async (t) => {
	const { around, printed, warned } = createAround({ stateFolder: await written(t) });
	t.is(await history(['--inputs'], around), 0);
	t.deepEqual(
		printed.map((line) => line.slice('2026-01-01 00:00:00.000  '.length)),
		[
			'a run of the agent begins',
			'told replication-observed  {"resources":null}',
			'DRBD does not answer',
			'told replication-observed  {"resources":null}',
		],
	);
	t.regex(warned.join('\n'), /^vmpair: 1 line in .* could not be read/);
});

test('--inputs with --json gives every repeated input in full', async (t) => {
	const { around, printed } = createAround({ stateFolder: await written(t) });
	t.is(await history(['--inputs', '--json'], around), 0);
	const entries = printed.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
	t.like(entries[1], { seq: 2, type: 'input', event: { type: 'replication-observed' } });
	t.like(entries[3], { seq: 4, same: 2, event: { type: 'replication-observed' } });
});

test('--peer tells what the other host said of itself, by its own clock, also without an agent', async (t) => {
	const folder = await written(t);
	const journal = await Journal.open({
		directory: join(folder, 'peer'),
		bootId: 'boot-1',
		problem: () => {},
	});
	const of = { host: 'south', at: '2026-01-01T00:00:01.500Z', boot: 'boot-of-south' };
	journal.note({ level: 'warn', message: 'a VM vanished without a reason', fields: {}, of }, 5);
	await journal.close();
	const { around, printed } = createAround({ stateFolder: folder });
	t.is(await history(['--peer', '--json'], around), 69);
	t.is(printed.length, 1);
	t.like(JSON.parse(printed[0] ?? ''), {
		at: of.at,
		boot: of.boot,
		message: 'a VM vanished without a reason',
		of: { host: 'south' },
	});
	await t.throwsAsync(history(['--peer', '--inputs'], around), { code: 'usage' });
});

test('--inputs says when there is nothing, and does not follow', async (t) => {
	const { around, printed, warned } = createAround();
	t.is(await history(['--inputs', '--since', '1h'], around), 0);
	t.deepEqual(printed, []);
	t.regex(warned.join('\n'), /no such entries in \/nonexistent/);
	await t.throwsAsync(history(['--inputs', '-f'], around), { code: 'usage' });
});
