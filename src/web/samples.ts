import type { HostView, LinkView, Status } from '#src/api/view.ts';

/** Heartbeats and load of the last minutes, for the charts: bounded, in memory, gone with the agent. */

interface LinkSample {
	readonly state: LinkView['state'];
	readonly rttMs: number | null;
}

export interface PageSample {
	/** On any clock that only grows, ms. */
	readonly atMs: number;
	readonly links: Readonly<Record<string, LinkSample>>;
	/** How busy each host was; null: not known. */
	readonly loads: Readonly<Record<string, HostView['load']>>;
}

/** Between two samples, ms; the round trip is renewed every 10 s, a silence is seen sooner. */
export const sampleMs = 2000;
/** Ten minutes. */
export const samplesMax = 300;

/** The samples with one more of a status; the oldest ones go. */
export const withSample = (
	samples: readonly PageSample[],
	{ links, hosts }: Pick<Status, 'links' | 'hosts'>,
	atMs: number,
): readonly PageSample[] => [
	...samples.slice(1 - samplesMax),
	{
		atMs,
		links: Object.fromEntries(
			links.map(({ link, state, rttMs }) => [
				link,
				{ state, rttMs: state === 'up' ? rttMs : null },
			]),
		),
		loads: Object.fromEntries(hosts.map(({ host, load }) => [host, load])),
	},
];
