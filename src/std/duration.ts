/** Milliseconds of each unit, largest first: the order in which they may be written. */
const units = [
	['d', 86_400_000],
	['h', 3_600_000],
	['m', 60_000],
	['s', 1000],
	['ms', 1],
] as const;

const form = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$/;

/**
 * Milliseconds of a duration such as `500ms`, `3s` or `1h30m`; null when it is not one. Strict: whole
 * numbers, each unit at most once and from large to small, no spaces, no sign. A bare number is refused,
 * because nobody can tell seconds from milliseconds by looking at it.
 */
export const parseDuration = (text: string): number | null => {
	const match = form.exec(text);
	if (match === null || text === '') return null;
	const totalMs = units.reduce(
		(sum, [, unitMs], index) => sum + Number(match[index + 1] ?? 0) * unitMs,
		0,
	);
	return Number.isSafeInteger(totalMs) ? totalMs : null;
};

/** The shortest text that `parseDuration` reads as the same whole number of milliseconds, which is >= 0. */
export const formatDuration = (durationMs: number): string => {
	if (!Number.isSafeInteger(durationMs) || durationMs < 0)
		throw new RangeError(`a duration is a whole number of milliseconds, not ${durationMs}`);
	if (durationMs === 0) return '0s';
	let restMs = durationMs;
	let text = '';
	for (const [unit, unitMs] of units) {
		const count = Math.floor(restMs / unitMs);
		if (count > 0) text += `${count}${unit}`;
		restMs -= count * unitMs;
	}
	return text;
};
