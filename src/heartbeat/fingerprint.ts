/**
 * Brings a SHA-256 fingerprint (64 hex digits, any case, with or without colons) into the form
 * `AB:CD:…` that `openssl x509 -fingerprint -sha256` prints; null when it is none.
 */
export const normalizeFingerprint = (text: string): string | null => {
	const digits = text.trim().replaceAll(':', '').toUpperCase();
	if (!/^[0-9A-F]{64}$/.test(digits)) return null;
	return digits.replace(/..(?=.)/g, '$&:');
};
