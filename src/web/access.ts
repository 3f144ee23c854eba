import { isLoopback } from '#src/config/schema-web.ts';

/** Who may ask: what a request says of itself, and of where it thinks it is. */

/** The host of a `Host` header without its port; null when it is no host. */
const hostOf = (header: string): string | null => {
	const [, bracketed, plain] =
		/^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(header) ?? [];
	return bracketed ?? plain ?? null;
};

/**
 * False for a name that somebody else's DNS made lead here: a page on the Internet could then read what loopback serves
 * without a token. Addresses of loopback and `localhost` cannot be made to lead elsewhere.
 */
export const isOwnHost = (header: string | undefined): boolean => {
	const host = header === undefined ? null : hostOf(header.toLowerCase());
	return host !== null && (host === 'localhost' || isLoopback(host));
};

/** The token of an `Authorization: Bearer` header; null when there is none. */
export const bearerOf = (header: string | undefined): string | null =>
	/^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? null;

/** The value of a cookie; null when there is none of this name. */
export const cookieOf = (header: string | undefined, name: string): string | null => {
	for (const pair of (header ?? '').split(';')) {
		const [key, value] = pair.split('=', 2).map((part) => part.trim());
		if (key === name && value !== undefined) return value;
	}
	return null;
};

/** What every answer says to the browser. `hashes` are those of the page's own script and style. */
export const headersOf = (hashes: {
	readonly script: string;
	readonly style: string;
}): Readonly<Record<string, string>> => ({
	'content-security-policy': [
		"default-src 'none'",
		`script-src '${hashes.script}'`,
		`style-src '${hashes.style}'`,
		"connect-src 'self'",
		'img-src data:',
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
	].join('; '),
	'x-content-type-options': 'nosniff',
	'x-frame-options': 'DENY',
	'referrer-policy': 'no-referrer',
	'cross-origin-resource-policy': 'same-origin',
	'cross-origin-opener-policy': 'same-origin',
	'cache-control': 'no-store',
});
