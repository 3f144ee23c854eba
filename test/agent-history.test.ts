import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { monotonicMs } from '#src/agent-drivers.ts';
import { History } from '#src/agent-history.ts';
import { readHistory } from '#src/store/driver-history.ts';
import { Journal } from '#src/store/driver-journal.ts';
import { peerJournalFolder } from '#src/store/journal.ts';
import { engineConfig, Host, vmConfig } from '#test/engine/_pair.ts';

test('a post-mortem that cannot be written is told by the clock of the other entries', async (t) => {
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-history-'));
	t.teardown(() => rm(directory, { recursive: true }));
	const open = (folder: string): Promise<Journal> =>
		Journal.open({ directory: folder, bootId: 'boot-1', problem: () => {} });
	const journal = await open(directory);
	const peerJournal = await open(join(directory, peerJournalFolder));
	// The folder of the post-mortems cannot be made where a file is.
	await writeFile(join(directory, 'post-mortem'), '');
	const history = new History({ journal, peerJournal }, directory);
	const { state } = new Host(engineConfig('a', 'b', [vmConfig('ldap')]));
	const beganMs = monotonicMs();
	for (const to of ['suspect', 'lost', 'out', 'online']) {
		const fields = { host: 'b', to, ...(to === 'out' ? { proof: 'power-off' } : {}) };
		history.note({ level: 'warn', message: 'peer status change', fields }, state, monotonicMs());
	}
	await history.close();
	const told = (await readHistory(directory, { afterSeq: 0, since: null, limit: 10 })).at(-1);
	t.regex(told?.message ?? '', /^the post-mortem could not be written/);
	t.true(told !== undefined && told.ms >= beganMs && told.ms <= monotonicMs());
});
