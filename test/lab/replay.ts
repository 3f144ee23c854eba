/** Has the engine decide again what an agent decided: its event journal is all that it was told. Pure. */
import type { Note } from '#src/engine/action.ts';
import type { Event } from '#src/engine/event.ts';
import { initialState, type State } from '#src/engine/state.ts';
import { step } from '#src/engine/step.ts';
import { peerDocumentSchema } from '#src/heartbeat/document.ts';
import { inputReader, type JournalEntry, type NoteEntry } from '#src/store/journal.ts';
import { persistedSchema } from '#src/store/record.ts';
import { configOf, type RecordedConfig } from '#test/lab/recorded.ts';

/** What a run of the agent begins with, as its journal has it. */
type From = { readonly config: RecordedConfig; readonly record: unknown };

export type Replay = {
	/** Runs of the agent, and inputs that were given to the engine. */
	readonly runs: number;
	readonly steps: number;
	/** One line for each thing that the engine said, and each carried action; times since the run began, in s. */
	readonly trace: readonly string[];
	/** Where the journal says otherwise; empty when every decision came out the same. */
	readonly differences: readonly string[];
};

const words = ({ level, message, fields }: Note): string =>
	`${level} ${message} ${JSON.stringify(fields)}`;

type Run = {
	state: State;
	readonly beganMs: number;
	/** Set when an input was not kept: what follows cannot be repeated. */
	broken: boolean;
};

const started = 'the agent starts';

/** Who began a run is in the sentence that follows its beginning. */
function begin(entry: JournalEntry & { readonly type: 'start' }, { fields }: NoteEntry): Run {
	const { config, record } = entry.from as From;
	// As the agent does it when it loads the file: what a later version added has a default.
	const persisted = persistedSchema.nullable().parse(record);
	const identity = { bootId: String(fields['bootId']), session: String(fields['session']) };
	const state = initialState(configOf(config), persisted, identity, entry.ms);
	return { state, beganMs: entry.ms, broken: false };
}

/**
 * Compares what was said at one input, in order. The journal also has sentences of drivers: only those that the
 * engine has said in this replay are expected of it.
 */
function compare(
	now: readonly string[],
	then: readonly string[],
	known: ReadonlySet<string>,
): string[] {
	const mine = then.filter((line) => known.has(sentence(line)));
	if (now.length === mine.length && now.every((line, at) => line === mine[at])) return [];
	return [`the engine said: ${now.join(' | ')}; the journal has: ${mine.join(' | ')}`];
}

/** A line without its fields. */
const sentence = (line: string): string => line.slice(0, line.indexOf('{'));

/** As a peer of another version is heard: what came later has a default. */
const asHeard = (event: Event): Event =>
	event.type === 'document-received'
		? { ...event, document: peerDocumentSchema.parse(event.document) }
		: event;

/** Repeats every run of the agent in a journal, oldest entry first. */
export function replay(entries: readonly JournalEntry[]): Replay {
	const inputOf = inputReader();
	const known = new Set<string>();
	const trace: string[] = [];
	const differences: string[] = [];
	let said: string[] = [];
	let start: (JournalEntry & { readonly type: 'start' }) | undefined;
	let run: Run | undefined;
	let runs = 0;
	let steps = 0;
	for (const entry of entries) {
		const input = inputOf(entry);
		if (entry.type === 'start') {
			start = entry;
		} else if (entry.type === 'note' && entry.message === started && start !== undefined) {
			run = begin(start, entry);
			start = undefined;
			said = [];
			runs += 1;
			trace.push(`run ${runs} begins`);
		} else if (entry.type === 'note') {
			said.push(words(entry));
		} else if (run === undefined || run.broken) {
			continue;
		} else if (input === null) {
			run.broken = true;
			trace.push('an input was not kept');
		} else {
			const result = step(run.state, asHeard(input as Event), entry.ms);
			run.state = result.state;
			steps += 1;
			const at = `${((entry.ms - run.beganMs) / 1000).toFixed(3)} `;
			const now = result.notes.map(words);
			for (const line of now) known.add(sentence(line));
			for (const difference of compare(now, said, known)) {
				differences.push(`entry ${entry.seq}, ${input.type}: ${difference}`);
			}
			said = [];
			trace.push(...now.map((line) => at + line));
			for (const action of result.actions) {
				if ('id' in action) trace.push(`${at}does ${action.type} ${JSON.stringify(action)}`);
			}
		}
	}
	return { runs, steps, trace, differences };
}
