/**
 * Whether Xen has shadow paging, from what `xl info virt_caps` prints; null when it does not say. Only an xl that knows
 * the word says so by leaving it out: such a one names hap beside it (xl_info.c, since Xen 4.13). Without it the
 * memory of a PV guest cannot be followed while it is copied. Debian builds its Xen without.
 */
export const parseShadowPaging = (text: string): boolean | null => {
	const words = text.trim().split(/\s+/);
	if (words.includes('shadow')) return true;
	return words.includes('hap') ? false : null;
};
