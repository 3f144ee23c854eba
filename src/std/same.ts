/**
 * True when two pieces of plain data (what JSON can carry) have the same content; the order of keys does not
 * matter. What is shared between them is not looked into.
 */
export const same = (one: unknown, other: unknown): boolean => {
	if (one === other) return true;
	if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
		return false;
	if (Array.isArray(one)) return Array.isArray(other) && sameList(one, other);
	return !Array.isArray(other) && sameFields(one as Fields, other as Fields);
};

type Fields = Readonly<Record<string, unknown>>;

const sameList = (one: readonly unknown[], other: readonly unknown[]): boolean => {
	if (one.length !== other.length) return false;
	for (let index = 0; index < one.length; index += 1) {
		if (!same(one[index], other[index])) return false;
	}
	return true;
};

const sameFields = (one: Fields, other: Fields): boolean => {
	const keys = Object.keys(one);
	if (keys.length !== Object.keys(other).length) return false;
	for (const key of keys) {
		if (!Object.hasOwn(other, key) || !same(one[key], other[key])) return false;
	}
	return true;
};
