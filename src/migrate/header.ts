import * as z from 'zod';
import type { VmName } from '#src/ports.ts';

/**
 * What the two ends say to each other, a line of JSON each way, before the bytes of xl follow on the same connection.
 * Who speaks is proven by the certificates already.
 */

/** Longer lines are none of ours. */
export const lineBytesMax = 1024;

const version = 1;

/** What the source wants to send. */
export interface Header {
	readonly pairId: string;
	readonly vm: VmName;
}

const headerSchema = z.strictObject({
	version: z.int(),
	pairId: z.string().max(64),
	vm: z.string().max(64),
});

const answerSchema = z.strictObject({
	accepted: z.boolean(),
	/** Why not; empty when it is. */
	detail: z.string().max(512),
});

type Answer = z.output<typeof answerSchema>;

const json = (line: string): unknown => {
	try {
		return JSON.parse(line);
	} catch {
		// Not JSON is one of the lines the schemas refuse.
		return undefined;
	}
};

/** The line with which the source begins. */
export const headerLine = ({ pairId, vm }: Header): string =>
	`${JSON.stringify({ version, pairId, vm })}\n`;

/** The answer of a target that waits for `expected`. */
export const answerTo = (line: string, expected: Header): Answer => {
	const refused = (detail: string): Answer => ({ accepted: false, detail });
	const parsed = headerSchema.safeParse(json(line));
	if (!parsed.success) return refused('the first line is no header of a migration');
	const header = parsed.data;
	if (header.version !== version) {
		return refused(`version ${header.version} of the transport is not known here, ${version} is`);
	}
	if (header.pairId !== expected.pairId) {
		return refused(`this host belongs to the pair ${expected.pairId}, not to ${header.pairId}`);
	}
	if (header.vm !== expected.vm) {
		return refused(`this host waits for ${expected.vm}, not for ${header.vm}`);
	}
	return { accepted: true, detail: '' };
};

/** The line of an answer. */
export const answerLine = (answer: Answer): string => `${JSON.stringify(answer)}\n`;

/** Reads an answer; null when it is none. */
export const parseAnswer = (line: string): Answer | null => {
	const parsed = answerSchema.safeParse(json(line));
	return parsed.success ? parsed.data : null;
};
