import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair } from 'yaml';

/** Path of a value in the file: keys of mappings and indexes of lists. */
export type Path = readonly PropertyKey[];

export interface Position {
	/** From 1. */
	readonly line: number;
	/** From 1. */
	readonly column: number;
}

/** A YAML file that was read: its value, and where everything in it stands. */
export interface Source {
	readonly value: unknown;
	/** Mistakes of YAML itself; the value counts only when there are none. */
	readonly faults: readonly (Position & { readonly message: string })[];
	/** Where the value at a path stands, or the nearest thing around it that is there. */
	positionOf(path: Path): Position;
	/** Where the key at the end of a path stands. */
	positionOfKey(path: Path): Position;
}

const pairOf = (node: unknown, key: PropertyKey): Pair | undefined =>
	isMap(node)
		? node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key))
		: undefined;

const childOf = (document: Document, parent: unknown, key: PropertyKey): unknown => {
	const node = isAlias(parent) ? parent.resolve(document) : parent;
	if (isSeq(node)) return node.items[Number(key)];
	return pairOf(node, key)?.value;
};

const offsetOf = (node: unknown): number | undefined =>
	(node as Node | null | undefined)?.range?.[0];

/** Things that YAML allows and that have no meaning here. */
const oddities = (document: Document): readonly { offset: number; message: string }[] => {
	const found: { offset: number; message: string }[] = [];
	visit(document, {
		Pair: (_, pair) => {
			if (isScalar(pair.key)) return undefined;
			found.push({ offset: offsetOf(pair.key) ?? 0, message: 'expected a key of plain text' });
			return visit.SKIP;
		},
	});
	return found;
};

/** Reads a YAML text. It never throws for what is in the text. */
export const readSource = (text: string): Source => {
	const lines = new LineCounter();
	const document = parseDocument(text, {
		lineCounter: lines,
		prettyErrors: false,
		strict: true,
		uniqueKeys: true,
		logLevel: 'error',
	});
	const at = (offset: number): Position => {
		const { line, col } = lines.linePos(Math.min(offset, Math.max(0, text.length - 1)));
		return { line: Math.max(1, line), column: Math.max(1, col) };
	};
	const faults = [...document.errors, ...document.warnings].map((fault) => ({
		...at(fault.pos[0]),
		message: sentenceOf(fault.code, fault.message),
	}));
	for (const odd of oddities(document)) faults.push({ ...at(odd.offset), message: odd.message });

	const walk = (path: Path): { offset: number; parent: unknown } => {
		let offset = offsetOf(document.contents) ?? 0;
		let parent: unknown = document.contents;
		for (const key of path) {
			const pair = pairOf(isAlias(parent) ? parent.resolve(document) : parent, key);
			const child = childOf(document, parent, key);
			const next = offsetOf(child) ?? offsetOf(pair?.key);
			if (next === undefined) break;
			offset = next;
			parent = child;
		}
		return { offset, parent };
	};
	return {
		value: faults.length === 0 ? valueOf(document, faults) : undefined,
		faults,
		positionOf: (path) => at(walk(path).offset),
		positionOfKey: (path) => {
			const { parent } = walk(path.slice(0, -1));
			const node = isAlias(parent) ? parent.resolve(document) : parent;
			const key = offsetOf(pairOf(node, path.at(-1) ?? '')?.key);
			return key === undefined ? at(walk(path).offset) : at(key);
		},
	};
};

/** The plain value; too many aliases (a "billion laughs" file) are a fault and not a hang. */
const valueOf = (document: Document, faults: (Position & { message: string })[]): unknown => {
	try {
		return document.toJS({ maxAliasCount: 100 });
	} catch {
		faults.push({ line: 1, column: 1, message: 'expected fewer aliases (*name) in the file' });
		return undefined;
	}
};

const sentenceOf = (code: string, message: string): string => {
	if (code === 'DUPLICATE_KEY') return 'expected every key once, found this one a second time';
	if (code === 'MULTIPLE_DOCS') return 'expected one document, found a second one after "---"';
	if (code === 'TAB_AS_INDENT') return 'expected spaces as indentation, found a tab';
	return `expected valid YAML, found a mistake: ${message}`;
};
