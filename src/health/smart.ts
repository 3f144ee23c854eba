import * as z from 'zod';
import { answer, type Answer, type Exited, notUnderstood } from '#src/health/answer.ts';

/** The part of `smartctl --json` that every version since 7.0 has. */
const output = z.object({
	smartctl: z.object({
		messages: z.array(z.object({ string: z.string() })).optional(),
	}),
	smart_status: z.object({ passed: z.boolean() }).optional(),
});

const parsed = (text: string): z.output<typeof output> | null => {
	try {
		return output.safeParse(JSON.parse(text)).data ?? null;
	} catch {
		// Without --json, as before 7.0, or cut short.
		return null;
	}
};

/** Bits of the exit code, smartctl(8). */
const failing = 1 << 3;
const warnings: readonly (readonly [number, string])[] = [
	[1 << 4, 'an attribute that announces failure is below its threshold'],
	[1 << 5, 'an attribute was below its threshold in the past'],
	[1 << 6, 'its error log has entries'],
	[1 << 7, 'a self-test failed'],
];

/** What a disk says of itself, by `smartctl --json --health`. */
export const smartAnswer = (disk: string, end: Exited): Answer => {
	const read = parsed(end.stdout);
	if (read === null) return notUnderstood('smartctl', end);
	if (read.smart_status?.passed === false || (end.exitCode & failing) !== 0)
		return answer('critical', `${disk} says that it is failing: replace it`);
	if (read.smart_status === undefined) {
		const words = read.smartctl.messages?.map(({ string }) => string).join('; ') ?? '';
		return answer(
			'unknown',
			words === '' ? `${disk} says nothing of its health` : `smartctl: ${words}`,
		);
	}
	const found = warnings.filter(([bit]) => (end.exitCode & bit) !== 0).map(([, text]) => text);
	return found.length === 0
		? answer('ok', `${disk} says that it is well`)
		: answer('warning', `${disk}: ${found.join(', ')}`);
};
