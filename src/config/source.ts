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
	/** Whether something is written at a path. */
	has(path: Path): boolean;
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

/** Keys that stand a second time in one mapping, by the offset of the later one. */
const duplicates = (
	document: Document,
): ReadonlyMap<number, { readonly key: string; readonly firstOffset: number }> => {
	const found = new Map<number, { readonly key: string; readonly firstOffset: number }>();
	visit(document, {
		Map: (_, node) => {
			const first = new Map<string, number>();
			for (const { key } of node.items) {
				if (!isScalar(key)) continue;
				const name = String(key.value);
				const offset = offsetOf(key) ?? 0;
				const firstOffset = first.get(name);
				if (firstOffset === undefined) first.set(name, offset);
				else found.set(offset, { key: name, firstOffset });
			}
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
	const twice = duplicates(document);
	const faults = [...document.errors, ...document.warnings].map((fault) => {
		const again = fault.code === 'DUPLICATE_KEY' ? twice.get(fault.pos[0]) : undefined;
		return {
			...at(fault.pos[0]),
			message:
				again === undefined
					? sentenceOf(fault.code, fault.message)
					: `expected every key once, found "${again.key}" a second time; the first is in line ${at(again.firstOffset).line}`,
		};
	});
	for (const odd of oddities(document)) faults.push({ ...at(odd.offset), message: odd.message });

	const walk = (path: Path): { offset: number; parent: unknown; found: boolean } => {
		let offset = offsetOf(document.contents) ?? 0;
		let parent: unknown = document.contents;
		for (const key of path) {
			const pair = pairOf(isAlias(parent) ? parent.resolve(document) : parent, key);
			const child = childOf(document, parent, key);
			const next = offsetOf(child) ?? offsetOf(pair?.key);
			if (next === undefined) return { offset, parent, found: false };
			offset = next;
			parent = child;
		}
		return { offset, parent, found: true };
	};
	return {
		value: faults.length === 0 ? valueOf(document, faults) : undefined,
		faults,
		has: (path) => walk(path).found,
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
	// What follows a colon is quoted from the file, and may be a password; the line and the column say where it is.
	return `expected valid YAML, found a mistake: ${message.replace(/: .*/su, '')}`;
};
