import { persistedSchema, stateFormat } from '#src/store/record.ts';
import type { Persisted } from '#src/store/record.ts';

/**
 * The text of the state file. It is JSON with one value on a line and one resource on a line, because
 * DRBD's handlers read it with nothing but perl-base. Its last value is a checksum over every line before
 * it: a file that was cut short, mixed up or changed by hand is noticed and never acted on.
 */

/** Hashes a text to 64 hex digits (SHA-256). Given by the driver: this file is pure. */
export type Hash = (text: string) => string;

export const stateFileName = 'state.json';

const checksumLine = /\n\t"checksum": "([0-9a-f]{64})"\n\}\n$/;

const member = (key: string, value: unknown): string =>
	`\t${JSON.stringify(key)}: ${JSON.stringify(value)},\n`;

const resourceLines = (resources: Persisted['resources']): string => {
	const lines = Object.entries(resources)
		.sort(([one], [other]) => (one < other ? -1 : 1))
		.map(([name, value]) => `\t\t${JSON.stringify(name)}: ${JSON.stringify(value)}`);
	return lines.length === 0
		? '\t"resources": {},\n'
		: `\t"resources": {\n${lines.join(',\n')}\n\t},\n`;
};

/** The whole text of the file for a record. */
export const encodeState = (record: Persisted, hash: Hash): string => {
	const { resources, ...rest } = record;
	const members = Object.entries(rest).map(([key, value]) => member(key, value));
	const body = `{\n${members.join('')}${resourceLines(resources)}`;
	// The hash covers all lines before its own, each with its line end.
	return `${body}\t"checksum": "${hash(body)}"\n}\n`;
};

/** What a text is: a record, or the reason why it is none. */
export type DecodedState =
	| { readonly kind: 'record'; readonly record: Persisted }
	/** `detail` says what is wrong with it, without a full stop. */
	| { readonly kind: 'corrupt'; readonly detail: string }
	| { readonly kind: 'newer'; readonly format: number };

const corrupt = (detail: string): DecodedState => ({ kind: 'corrupt', detail });

const parse = (text: string): unknown => {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
};

/** The format of a text of any version; null when it does not say. */
const formatOf = (value: unknown): number | null => {
	if (typeof value !== 'object' || value === null || !('format' in value)) return null;
	return typeof value.format === 'number' ? value.format : null;
};

/** Reads the text of a state file. Never throws for what is in the text. */
export const decodeState = (text: string, hash: Hash): DecodedState => {
	if (text === '') return corrupt('it is empty');
	const value = parse(text);
	const format = formatOf(value);
	// A later format may protect itself otherwise, so it is told apart before the checksum is looked for.
	if (format !== null && format > stateFormat) return { kind: 'newer', format };
	const match = checksumLine.exec(text);
	if (match === null) return corrupt('its last line, the checksum, is missing: it was cut short');
	const body = text.slice(0, match.index + 1);
	if (hash(body) !== match[1]) return corrupt('its checksum does not fit its content');
	if (typeof value !== 'object' || value === null) return corrupt('it is not JSON');
	const { checksum: _, ...record } = value as Readonly<Record<string, unknown>>;
	const parsed = persistedSchema.safeParse(record);
	if (parsed.success) return { kind: 'record', record: parsed.data };
	const issue = parsed.error.issues[0];
	return corrupt(
		`${issue?.path.join('.') ?? 'it'}: ${issue?.message ?? 'it does not fit its format'}`,
	);
};
