import { readdirSync, readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import test from 'ava';
import type { Action } from '#src/engine/action.ts';
import type { Event } from '#src/engine/event.ts';
import { initialState, type State } from '#src/engine/state.ts';
import { step } from '#src/engine/step.ts';
import { type PeerDocument, peerDocumentSchema } from '#src/heartbeat/document.ts';
import { decodeEntry, inputReader, type JournalEntry } from '#src/store/journal.ts';
import { persistedSchema } from '#src/store/record.ts';
import { toldAndNew } from '#test/engine/_pair.ts';
import { configOf, type RecordedConfig } from '#test/lab/recorded.ts';

/** What agents on real hosts were told. */
const folder = new URL('../fixture/journal/', import.meta.url);
const recordings = readdirSync(folder).filter((name) => name.endsWith('.jsonl.br'));

const entriesOf = (name: string): JournalEntry[] =>
	brotliDecompressSync(readFileSync(new URL(name, folder)))
		.toString('utf8')
		.split('\n')
		.map(decodeEntry)
		.filter((entry) => entry !== null);

const published = (actions: readonly Action[]): PeerDocument | null =>
	actions.find((action) => action.type === 'publish')?.document ?? null;

for (const name of recordings)
	test(`in ${name} the peer always has what a document written anew would say`, (t) => {
		const inputOf = inputReader();
		let state: State | null = null;
		let last: PeerDocument | null = null;
		let judged = 0;
		for (const entry of entriesOf(name)) {
			if (entry.type === 'start') {
				const { config, record } = entry.from as { config: RecordedConfig; record: unknown };
				const persisted = persistedSchema.nullable().parse(record);
				state = initialState(
					configOf(config),
					persisted,
					{ bootId: 'boot', session: 'session' },
					entry.ms,
				);
				last = null;
			}
			const input = inputOf(entry) as Event | null;
			if (state === null || input === null) continue;
			const event: Event =
				input.type === 'document-received'
					? { ...input, document: peerDocumentSchema.parse(input.document) }
					: input;
			const result = step(state, event, entry.ms);
			state = result.state;
			last = published(result.actions) ?? last;
			const both = toldAndNew(state, entry.ms, last);
			if (both === null) continue;
			t.deepEqual(both.told, both.anew);
			judged += 1;
		}
		t.true(judged > 100, `${judged} steps judged`);
	});
