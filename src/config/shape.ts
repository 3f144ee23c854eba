import * as z from 'zod';
import { formatDuration, parseDuration } from '#src/std/duration.ts';

/**
 * What the values of `vmpair.yaml` are made of. Every message starts with `expected `, so that a problem can be told as
 * "expected ..., found ..." with the line it stands on.
 */

export const text = (expected: string, pattern: RegExp) =>
	z.string({ error: `expected ${expected}` }).regex(pattern, { error: `expected ${expected}` });

/** Milliseconds of a text such as `3s`, within the bounds given in milliseconds. */
export const duration = (minMs: number, maxMs: number) => {
	const expected = `expected a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as ${formatDuration(Math.min(maxMs, Math.max(minMs, 3000)))}`;
	return z
		.string({ error: expected })
		.regex(/^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$/, { error: expected })
		.transform((written, context) => {
			const durationMs = parseDuration(written);
			if (durationMs !== null && durationMs >= minMs && durationMs <= maxMs) return durationMs;
			context.addIssue({ code: 'custom', message: expected });
			return z.NEVER;
		});
};

/** MiB of a text such as `512M` or `2G`. */
export const memory = (expected: string) =>
	text(expected, /^[1-9][0-9]{0,6}[MG]$/).transform(
		(written) => Number(written.slice(0, -1)) * (written.endsWith('G') ? 1024 : 1),
	);

export const whole = (min: number, max: number) => {
	const error = `expected a whole number from ${min} to ${max}`;
	return z.int({ error }).min(min, { error }).max(max, { error });
};

export const flag = (expected: string) => z.boolean({ error: `expected ${expected}` });

export const file = text('the absolute path of a file', /^\/[^\p{Cc}]*[^/\p{Cc}]$/u);
export const folder = text('the absolute path of a folder', /^\/[^\p{Cc}]+$/u);

/** Names become keys of records; one that every object has already would find something that was never put there. */
const reserved = new Set(Object.getOwnPropertyNames(Object.prototype));
export const name = (what: string, pattern: RegExp) =>
	text(what, pattern).refine((value) => !reserved.has(value), {
		error: `expected ${what} that is not a word of JavaScript`,
	});

export const simpleName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
export const hostName = name(
	'a host name of letters, digits, "-" and "."',
	/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/,
);
export const linkName = name('the name of a link', simpleName);
export const resourceName = name('the name of a DRBD resource', simpleName);
/** Xen renames a domain to NAME--incoming and NAME--migratedaway while it moves. */
export const vmName = name(
	'the name of a VM without "--"',
	/^(?!.*--)[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/,
);

/** Not a name: a name needs DNS, and DNS may be down, or be one of the VMs, when it is needed most. */
export const address = z
	.union([z.ipv4(), z.ipv6()], { error: 'expected an IPv4 or IPv6 address, not a name' })
	.describe('An IP address. Names are refused: they need a DNS server at the worst moment.');

export const fingerprint = text(
	'a SHA-256 fingerprint: 64 hexadecimal digits, with or without ":"',
	/^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/,
).transform((written) => {
	const digits = written.replaceAll(':', '').toUpperCase();
	return (digits.match(/../g) ?? []).join(':');
});

export const mapping = <Key extends z.ZodType<string>, Value extends z.ZodType>(
	key: Key,
	value: Value,
	what: string,
) => z.record(key, value, { error: `expected a mapping of ${what}` });

export const section = <Shape extends z.ZodRawShape>(shape: Shape, what: string) =>
	z.strictObject(shape, {
		error: (issue) => (issue.code === 'invalid_type' ? `expected ${what}` : undefined),
	});

export const list = <Item extends z.ZodType>(item: Item, what: string, max: number) =>
	z
		.array(item, { error: `expected a list of ${what}` })
		.max(max, { error: `expected at most ${max} ${what}` });
