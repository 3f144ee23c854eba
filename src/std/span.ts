/** A duration in ms as people say it, one unit: `0.2 s`, `42 s`, `12 min`, `5 h`, `12 d`. */
export const span = (durationMs: number): string => {
	const seconds = durationMs / 1000;
	if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
	if (seconds < 120) return `${Math.round(seconds)} s`;
	if (seconds < 120 * 60) return `${Math.floor(seconds / 60)} min`;
	if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
	return `${Math.floor(seconds / 86_400)} d`;
};

/** An age in ms, or that it was never seen. */
export const ago = (ageMs: number | null): string =>
	ageMs === null ? 'never' : `${span(ageMs)} ago`;
