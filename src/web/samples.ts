import type { LinkView, Status } from '#src/api/view.ts';

/** The heartbeats of the last minutes, for a chart: bounded, in memory, gone with the agent. */

interface LinkSample {
	readonly state: LinkView['state'];
	readonly rttMs: number | null;
}

export interface HeartbeatSample {
	/** On any clock that only grows, ms. */
	readonly atMs: number;
	readonly links: Readonly<Record<string, LinkSample>>;
}

/** Between two samples, ms; the round trip is renewed every 10 s, a silence is seen sooner. */
export const sampleMs = 2000;
/** Ten minutes. */
export const samplesMax = 300;

/** The samples with one more of a status; the oldest ones go. */
export const withSample = (
	samples: readonly HeartbeatSample[],
	{ links }: Pick<Status, 'links'>,
	atMs: number,
): readonly HeartbeatSample[] => [
	...samples.slice(1 - samplesMax),
	{
		atMs,
		links: Object.fromEntries(
			links.map(({ link, state, rttMs }) => [
				link,
				{ state, rttMs: state === 'up' ? rttMs : null },
			]),
		),
	},
];
