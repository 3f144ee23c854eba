import * as z from 'zod';
import { configFileSchema } from '#src/config/schema.ts';
import type { Path, Position, Source } from '#src/config/source.ts';
import { nearest } from '#src/config/suggest.ts';

/** One mistake in the file, with everything needed to mend it. */
export interface ConfigProblem extends Position {
	/** For instance `vms.ldap.resource`; empty for the file as a whole. */
	readonly path: string;
	/** `expected ..., found ...`, without secrets. */
	readonly message: string;
}

type Issue = z.core.$ZodIssue;

/** `hosts.alpha.fence.devices[0].address` */
export const pathText = (path: Path): string =>
	path
		.map((key, index) =>
			typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`,
		)
		.join('');

/** `FILE:LINE:COLUMN: path: message`, as editors and people read it. */
export const problemText = (file: string, problem: ConfigProblem): string =>
	`${file}:${problem.line}:${problem.column}: ${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`;

/** An address of a receiver often holds a token, and an argument of a command may be one. */
const secretKey = /(secret|passw|passwd|token|key|^url)/i;

/** A value as it is shown to a person; what may be a secret is never shown. */
const found = (value: unknown, path: Path): string => {
	if (value === undefined || value === null) return 'nothing';
	if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
	if (typeof value === 'object') return 'a mapping';
	// The items of a list are what the list is.
	const key = path.findLast((each) => typeof each === 'string');
	// The secret itself in the place of its file is the likeliest mistake; only a path is shown.
	const isPath =
		typeof key === 'string' &&
		key.endsWith('File') &&
		typeof value === 'string' &&
		value.startsWith('/');
	if (typeof key === 'string' && secretKey.test(key) && !isPath) return 'a value that is not shown';
	if (typeof value === 'string') return JSON.stringify(value.slice(0, 80));
	if (typeof value === 'number' || typeof value === 'boolean')
		return `the ${typeof value} ${String(value)}`;
	return 'something else';
};

const valueAt = (value: unknown, path: Path): unknown => {
	let here = value;
	for (const key of path) {
		if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined;
		here = (here as Readonly<Record<PropertyKey, unknown>>)[key];
	}
	return here;
};

const typeNames: Readonly<Record<string, string>> = {
	string: 'text',
	number: 'a number',
	int: 'a whole number',
	boolean: 'true or false',
	array: 'a list',
	object: 'a mapping',
	record: 'a mapping',
};

const boundText = (issue: {
	readonly minimum?: number | bigint;
	readonly maximum?: number | bigint;
}): string =>
	issue.minimum === undefined ? `at most ${issue.maximum}` : `at least ${issue.minimum}`;

/** What a missing value is for, where its name does not say it. */
const hints: Readonly<Record<string, string>> = {
	lateMs:
		' (the longest in ms that the device may hold back an "off"; without this bound it cannot be used for fencing)',
	limitMs: ' (the longest in ms that one call of the device may take)',
	secretFile: ' (a secret is never written into this file)',
};

/** The sentence for an issue of zod at one value. */
const sentence = (issue: Issue, value: unknown, path: Path): string => {
	const hint = hints[String(path.at(-1))] ?? '';
	const what = `found ${found(value, path)}`;
	if (issue.message.startsWith('expected ')) return `${issue.message}${hint}, ${what}`;
	switch (issue.code) {
		case 'invalid_type':
			return `expected ${typeNames[issue.expected] ?? issue.expected}${hint}, ${what}`;
		case 'invalid_value':
			return `expected ${issue.values.map(String).join(' or ')}, ${what}`;
		case 'too_small':
		case 'too_big':
			return `expected ${boundText(issue)}${hint}, ${what}`;
		case 'invalid_union': {
			const options = (issue as { readonly options?: readonly unknown[] }).options ?? [];
			return options.length > 0
				? `expected ${options.map(String).join(' or ')}, ${what}`
				: `${issue.message}, ${what}`;
		}
		case 'custom':
			return issue.message;
		default:
			return issue.message.startsWith('must ')
				? `expected a value that ${issue.message.replace(/^must be/, 'is').replace(/^must start/, 'starts')}, ${what}`
				: `${issue.message}, ${what}`;
	}
};

interface JsonSchema {
	readonly properties?: Readonly<Record<string, JsonSchema>>;
	readonly additionalProperties?: JsonSchema | boolean;
	readonly items?: JsonSchema;
	readonly oneOf?: readonly JsonSchema[];
	readonly anyOf?: readonly JsonSchema[];
}

const step = (schema: JsonSchema, key: PropertyKey): readonly JsonSchema[] => {
	const own = typeof key === 'number' ? schema.items : schema.properties?.[String(key)];
	if (own !== undefined) return [own];
	return typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : [];
};

let known: JsonSchema | null = null;

/** Made at the first mistake only: it takes longer than reading a good file. */
const knownSchema = (): JsonSchema => {
	known ??= z.toJSONSchema(configFileSchema, { io: 'input' }) as JsonSchema;
	return known;
};

/** The keys that are known at a path. */
const knownKeys = (path: Path): readonly string[] => {
	const spread = (schema: JsonSchema): readonly JsonSchema[] => [
		schema,
		...(schema.oneOf ?? []),
		...(schema.anyOf ?? []),
	];
	let here: readonly JsonSchema[] = [knownSchema()];
	for (const key of path) here = here.flatMap(spread).flatMap((schema) => step(schema, key));
	return [...new Set(here.flatMap(spread).flatMap((each) => Object.keys(each.properties ?? {})))];
};

const unknownKey = (key: string, parent: Path): string => {
	const known = knownKeys(parent);
	const byFile = known.find((name) => name === `${key}File`);
	if (byFile !== undefined)
		return `expected ${byFile} with the path of a file that holds it, found "${key}": a secret is never written into this file`;
	const meant = nearest(key, known);
	return meant === null
		? `expected one of ${known.join(', ')}, found the unknown key "${key}"`
		: `expected a known key, found "${key}"; "${meant}" was probably meant`;
};

/** The problems of one issue of zod, with their positions. */
export const problemsOfIssue = (issue: Issue, source: Source): readonly ConfigProblem[] => {
	if (issue.code === 'unrecognized_keys')
		return issue.keys.map((key) => ({
			...source.positionOfKey([...issue.path, key]),
			path: pathText([...issue.path, key]),
			message: unknownKey(key, issue.path),
		}));
	if (issue.code === 'invalid_key' || issue.code === 'invalid_element') {
		const reason = issue.issues[0]?.message ?? 'expected another name';
		return [
			{
				...source.positionOfKey(issue.path),
				path: pathText(issue.path),
				message: `${reason}, found ${JSON.stringify(String(issue.path.at(-1)))}`,
			},
		];
	}
	const value = valueAt(source.value, issue.path);
	return [
		{
			...(value === undefined ? source.positionOfKey(issue.path) : source.positionOf(issue.path)),
			path: pathText(issue.path),
			message: sentence(issue, value, issue.path),
		},
	];
};
