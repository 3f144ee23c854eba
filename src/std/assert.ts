/** Fails loudly on a programmer's error: a broken invariant is never an operating error. */
export function assert(condition: boolean, message: string): asserts condition {
	if (!condition) throw new Error(`assertion failed: ${message}`);
}
