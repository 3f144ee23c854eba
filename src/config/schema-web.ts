import type * as z from 'zod';
import { address, file, flag, linkName, list, section, whole } from '#src/config/shape.ts';

/** The part of `vmpair.yaml` about the page and the metrics. */

const listener = section(
	{
		address: address
			.optional()
			.describe('An address of this host: 127.0.0.1 or ::1 keeps it to this host.'),
		link: linkName
			.optional()
			.describe("In the place of an address: each host's own address on this link."),
		port: whole(1, 65_535).default(7403).describe('Its TCP port.'),
	},
	'an address or a link, and a port',
);

/** True for an address that no other machine reaches. */
export const isLoopback = (written: string): boolean => /^127(?:\.\d{1,3}){3}$|^::1$/.test(written);

type Written = z.output<z.ZodObject<typeof shape>>;

const shape = {
	listen: list(listener, 'listeners', 8)
		.min(1, { error: 'expected at least one listener' })
		.prefault([{ address: '127.0.0.1' }])
		.describe('Where they are served; this host alone when left out.'),
	tokenFile: file
		.optional()
		.describe(
			'File with a token of 16 characters or more on its first line. Who asks must have it; needed for every address but loopback.',
		),
	page: flag('true or false').default(true).describe('Serves the status page at /.'),
	metrics: flag('true or false').default(true).describe('Serves the metrics at /metrics.'),
};

const problemsOf = (web: Written): { path: (string | number)[]; message: string }[] => [
	...web.listen.flatMap((each, index) => {
		if ((each.address === undefined) === (each.link === undefined))
			return [{ path: ['listen', index], message: 'expected either an address or a link' }];
		if (web.tokenFile !== undefined) return [];
		if (each.address !== undefined && isLoopback(each.address)) return [];
		return [
			{
				path: ['listen', index, each.link === undefined ? 'address' : 'link'],
				message:
					'expected "tokenFile" beside "listen" for what other machines reach, or the address 127.0.0.1',
			},
		];
	}),
	...(web.page || web.metrics
		? []
		: [{ path: ['page'], message: 'expected page or metrics to be true, or no section "web"' }]),
];

export const webSection = section(shape, 'the settings of page and metrics').superRefine(
	(web, context) => {
		for (const problem of problemsOf(web)) context.addIssue({ code: 'custom', ...problem });
	},
);
