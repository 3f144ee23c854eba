/** Number of single-character edits between two short texts. */
const distance = (left: string, right: string): number => {
	let row = Array.from({ length: right.length + 1 }, (_, index) => index);
	for (let i = 1; i <= left.length; i += 1) {
		const next = [i];
		for (let j = 1; j <= right.length; j += 1) {
			const change = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
			next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
		}
		row = next;
	}
	return row[right.length] ?? 0;
};

/** The one of `known` that was probably meant by `written`, or null when none is close. */
export const nearest = (written: string, known: readonly string[]): string | null => {
	// A long text cannot be near a short name, and the comparison grows with its square.
	if (written.length > 64) return null;
	const ranked = known
		.map((name) => ({ name, edits: distance(written.toLowerCase(), name.toLowerCase()) }))
		.sort((one, other) => one.edits - other.edits);
	const best = ranked[0];
	return best !== undefined && best.edits <= Math.ceil(written.length / 3) ? best.name : null;
};
