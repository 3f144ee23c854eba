import { dropReasons, type DropReason } from '#src/heartbeat/drop.ts';
import type { Mailbox } from '#src/heartbeat/mailbox.ts';
import type { ChannelCounters, ChannelNotice, Report } from '#src/heartbeat/message.ts';
import type { MonotonicMs } from '#src/ports.ts';

const noticeIntervalMs = 60_000;
/** Notices that wait for the main loop; the oldest go first. */
const noticesMax = 32;

/** Rounds after which the counters are reported although only beats came: 10 s by default. */
const quietRoundsMax = 50;

/** What an admin has to put right. The other reasons are noise from strangers: they are only counted. */
export const remedies: Partial<Record<DropReason, string>> = {
	'unknown-version':
		'the peer speaks another protocol version; install the same version on both hosts',
	'wrong-pair': 'the peer belongs to another pair; compare the pair id in both configurations',
	'wrong-host':
		'the peer calls itself by another name; compare the host names in both configurations',
	'wrong-certificate':
		'a connection was refused, its certificate is not the pinned one; compare the fingerprints',
	'old-boot': 'a boot id of the peer that was superseded was offered again and is refused',
	'unexpected-dial': 'the peer dials although this host is the one to dial; compare the host names',
	'invalid-document': 'a document of the peer is invalid; install the same version on both hosts',
};

type Amount = Exclude<
	keyof ChannelCounters,
	'dropped' | 'droppedOfPeer' | 'worstBeatGapMs' | 'worstSendGapMs'
>;

/** What was dropped: on which link, in words, and whether the peer sent it. */
interface Drop {
	readonly link: string;
	readonly detail: string;
	readonly fromPeer: boolean;
}

/** Counts what happens in the heartbeat thread, and tells what an admin has to put right. */
export interface Tally {
	readonly add: (what: Amount) => void;
	readonly worst: (which: 'worstBeatGapMs' | 'worstSendGapMs', gapMs: number) => void;
	readonly drop: (reason: DropReason, drop: Drop, nowMs: MonotonicMs) => void;
	readonly notice: (
		message: string,
		fields: ChannelNotice['fields'] & { readonly link: string },
		nowMs: MonotonicMs,
	) => void;
	/** Called once a round: reports the counters when something worth a report changed, or now and then. */
	readonly flush: () => void;
}

const noDrops = (): Record<DropReason, number> =>
	Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;

/** Every counter at zero. */
export const noCounts = (): ChannelCounters => ({
	dropped: noDrops(),
	droppedOfPeer: noDrops(),
	connections: 0,
	disconnections: 0,
	unacknowledged: 0,
	beatsReceived: 0,
	beatsWithheld: 0,
	documentsReceived: 0,
	worstBeatGapMs: 0,
	worstSendGapMs: 0,
});

/** A tally at zero that reports through `mailbox`. */
export const createTally = (mailbox: Mailbox<Report>): Tally => {
	let counters = noCounts();
	let changed = true;
	let quietRounds = 0;
	const noticedMs = new Map<string, MonotonicMs>();
	const notice: Tally['notice'] = (message, fields, nowMs) => {
		const key = `${message} ${fields.link}`;
		const lastMs = noticedMs.get(key);
		if (lastMs !== undefined && nowMs - lastMs < noticeIntervalMs) return;
		noticedMs.set(key, nowMs);
		const entry = { level: 'warn', message, fields } as const;
		mailbox.update((waiting) => ({
			...waiting,
			notices: [...(waiting.notices ?? []), entry].slice(-noticesMax),
		}));
	};
	return {
		notice,
		add: (what) => {
			counters = { ...counters, [what]: counters[what] + 1 };
			// Beats alone are no reason to wake the main loop.
			changed ||= what !== 'beatsReceived';
		},
		worst: (which, gapMs) => {
			if (gapMs <= counters[which]) return;
			counters = { ...counters, [which]: gapMs };
			changed = true;
		},
		drop: (reason, { link, detail, fromPeer }, nowMs) => {
			const more = (counts: ChannelCounters['dropped']) => ({
				...counts,
				[reason]: counts[reason] + 1,
			});
			counters = { ...counters, dropped: more(counters.dropped) };
			if (fromPeer) counters = { ...counters, droppedOfPeer: more(counters.droppedOfPeer) };
			changed = true;
			const remedy = remedies[reason];
			if (remedy !== undefined) notice(remedy, { link, detail }, nowMs);
		},
		flush: () => {
			quietRounds += 1;
			if (!changed && quietRounds < quietRoundsMax) return;
			changed = false;
			quietRounds = 0;
			const report = counters;
			mailbox.update((waiting) => ({ ...waiting, counters: report }));
		},
	};
};
