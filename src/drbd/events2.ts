import type { ResourceName } from '#src/ports.ts';

/**
 * Reads `drbdsetup events2 [--now] [--timestamps] [--statistics]` of DRBD 8.4 and 9, the one output
 * that both versions have. A running stream names only the keys that changed, so every object keeps
 * a merged map of all keys seen so far.
 */

export type Values = ReadonlyMap<string, string>;
export type ObjectKind = 'resource' | 'connection' | 'device' | 'peer-device' | 'path';

/** A handler call of the kernel as the stream shows it. */
export interface HelperEvent {
	readonly resource: ResourceName;
	/** `fence-peer`, `before-resync-target`, `split-brain`, … */
	readonly helper: string;
	readonly phase: 'called' | 'answered';
	/** Exit code of the answer; null for a call and for a helper that could not be run. */
	readonly exitCode: number | null;
}

export type Line =
	| {
			readonly kind: 'object';
			readonly action: 'exists' | 'create' | 'change' | 'destroy';
			readonly object: ObjectKind;
			readonly values: Values;
	  }
	| { readonly kind: 'helper'; readonly event: HelperEvent }
	/** `exists -`: the first dump is over, everything is known. */
	| { readonly kind: 'complete' }
	/** `- skipped N`: the kernel dropped N messages, the merged state is wrong from here on. */
	| { readonly kind: 'skipped'; readonly count: number }
	| { readonly kind: 'empty' }
	| { readonly kind: 'unknown' };

/** What a stream has told so far. Changed in place by `feed`. */
export interface View {
	/** Merged keys of every object, by its identity. */
	readonly objects: Map<
		string,
		{ readonly object: ObjectKind; readonly values: Map<string, string> }
	>;
	/** True once the first dump is over. */
	complete: boolean;
	/** True when messages were lost: the stream must be started again. */
	needsRestart: boolean;
	/** Lines that could not be understood; the first is noted, none is fatal. */
	unknownLines: number;
	/** The unfinished last line. */
	rest: string;
}

/** One line is a few hundred characters; a longer one is not from events2. */
const lineMax = 16_384;
/** Far above two hosts with hundreds of VMs; a view that grows further is not from one DRBD. */
const objectsMax = 20_000;

const timestamp = /^\d{4}-\d{2}-\d{2}T\S+ /;
const objectKinds: ReadonlySet<string> = new Set([
	'resource',
	'connection',
	'device',
	'peer-device',
	'path',
]);
const actions: ReadonlySet<string> = new Set(['exists', 'create', 'change', 'destroy']);

const parseValues = (words: readonly string[]): Map<string, string> | null => {
	const values = new Map<string, string>();
	for (const word of words) {
		// Addresses contain colons, keys never do: the first colon ends the key.
		const colon = word.indexOf(':');
		if (colon < 1) return null;
		values.set(word.slice(0, colon), word.slice(colon + 1));
	}
	return values.has('name') ? values : null;
};

/** The kernel reports the raw wait status: exit code times 256; anything else is no exit code. */
const exitCodeOf = (status: string | undefined): number | null => {
	const value = Number(status);
	return Number.isInteger(value) && value >= 0 && value <= 0xff00 && value % 256 === 0
		? value / 256
		: null;
};

const parseHelper = (action: string, values: Values): Line => {
	const resource = values.get('name');
	const helper = values.get('helper');
	if (resource === undefined || helper === undefined) return { kind: 'unknown' };
	const answered = action === 'response';
	const exitCode = answered ? exitCodeOf(values.get('status')) : null;
	return {
		kind: 'helper',
		event: { resource, helper, phase: answered ? 'answered' : 'called', exitCode },
	};
};

/** Reads one line without its newline. Never throws: what it does not know is `unknown`. */
export const parseLine = (text: string): Line => {
	const line = text.replace(timestamp, '').trimEnd();
	if (line === '') return { kind: 'empty' };
	if (line === 'exists -') return { kind: 'complete' };
	const skipped = /^- skipped (-?\d+)$/.exec(line);
	if (skipped !== null) return { kind: 'skipped', count: Number(skipped[1]) };
	const [action = '', object = '', ...words] = line.split(/ +/);
	const values = parseValues(words);
	if (values === null) return { kind: 'unknown' };
	if (object === 'helper' && (action === 'call' || action === 'response')) {
		return parseHelper(action, values);
	}
	if (!actions.has(action) || !objectKinds.has(object)) return { kind: 'unknown' };
	return {
		kind: 'object',
		action: action as 'exists',
		object: object as ObjectKind,
		values,
	};
};

const identityKeys: Readonly<Record<ObjectKind, readonly string[]>> = {
	resource: ['name'],
	connection: ['name', 'peer-node-id'],
	device: ['name', 'volume'],
	'peer-device': ['name', 'peer-node-id', 'volume'],
	path: ['name', 'peer-node-id', 'local', 'peer'],
};

const identityOf = (object: ObjectKind, values: Values): string =>
	[object, ...identityKeys[object].map((key) => values.get(key) ?? '')].join(' ');

/** An empty view, to be filled with `feed`. */
export const createView = (): View => ({
	objects: new Map(),
	complete: false,
	needsRestart: false,
	unknownLines: 0,
	rest: '',
});

/** What goes away with an object, although each part is normally announced on its own. */
const removeParts = (view: View, object: ObjectKind, values: Values): void => {
	const keys = identityKeys[object];
	for (const [identity, part] of view.objects) {
		const inside = keys.every((key) => part.values.get(key) === values.get(key));
		if (inside) view.objects.delete(identity);
	}
};

const applyObject = (view: View, line: Line & { kind: 'object' }): void => {
	const { action, object, values } = line;
	if (action === 'destroy') {
		removeParts(view, object, values);
		return;
	}
	const identity = identityOf(object, values);
	const known = view.objects.get(identity);
	if (action === 'change' && known !== undefined) {
		for (const [key, value] of values) known.values.set(key, value);
		return;
	}
	if (view.objects.size >= objectsMax) {
		view.needsRestart = true;
		return;
	}
	view.objects.set(identity, { object, values: new Map(values) });
};

/**
 * Takes the next piece of a stream, cut anywhere. Returns the handler calls it contained, oldest
 * first. Changes `view` in place.
 */
export const feed = (view: View, chunk: string): HelperEvent[] => {
	const helpers: HelperEvent[] = [];
	const lines = (view.rest + chunk).split('\n');
	view.rest = lines.pop() ?? '';
	if (view.rest.length > lineMax) {
		view.rest = '';
		view.unknownLines += 1;
		view.needsRestart = true;
	}
	for (const text of lines) {
		const line = parseLine(text);
		if (line.kind === 'object') applyObject(view, line);
		else if (line.kind === 'helper') helpers.push(line.event);
		else if (line.kind === 'complete') view.complete = true;
		else if (line.kind === 'skipped') view.needsRestart = true;
		else if (line.kind === 'unknown') view.unknownLines += 1;
	}
	return helpers;
};

/**
 * Reads the whole output of `events2 --now`; null when its end is missing, because a cut answer
 * would show resources as down that are up.
 */
export const parseSnapshot = (text: string): View | null => {
	const view = createView();
	feed(view, text);
	return view.complete && !view.needsRestart ? view : null;
};
