import { VmpairError } from '#src/std/error.ts';

/**
 * The one line of a file that holds a secret. Throws `alert-secret-invalid`; the text is never part of
 * the message.
 */
const secretLine = (text: string, file: string, pattern: RegExp, what: string): string => {
	const lines = text
		.split('\n')
		.map((line) => line.trim())
		.filter((line) => line !== '');
	const [line = ''] = lines;
	if (lines.length === 1 && pattern.test(line)) return line;
	throw new VmpairError(
		'alert-secret-invalid',
		`The file ${file} holds no usable secret: expected ${what} on its one line.`,
		{ next: `write ${what} into ${file}` },
	);
};

/** A URL that is a secret as a whole. */
export const parseSecretUrl = (text: string, file: string): string =>
	secretLine(text, file, /^https?:\/\/[^\s/?#@]+([/?#]\S*)?$/, 'a URL with https:// or http://');

/** The integration key of a PagerDuty service. */
export const parseRoutingKey = (text: string, file: string): string =>
	secretLine(text, file, /^[A-Za-z0-9_-]{16,64}$/, 'the integration key (Events API v2)');

/** Parts of a secret shorter than this are words that may stand anywhere. */
const partMin = 6;

/** `text` without a secret and without the parts of a secret URL, for words of a receiver that repeats them. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string => {
	const parts = secrets.flatMap((secret) => [
		secret,
		...secret
			.replace(/^https?:\/\/[^/?#]*/, '')
			.split(/[/?#&=]/)
			.filter((part) => part.length >= partMin),
	]);
	return parts.reduce((rest, part) => rest.replaceAll(part, '[redacted]'), text);
};
