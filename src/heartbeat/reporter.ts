import type { Detection } from '#src/heartbeat/detector.ts';
import type { Mailbox } from '#src/heartbeat/mailbox.ts';
import type { Report } from '#src/heartbeat/message.ts';
import type { MonotonicMs } from '#src/ports.ts';

/** The round trip is for people to read: it alone is worth a report now and then, not each beat. */
const refreshMs = 10_000;
/** The peer's lag is reported when it enters another second, so a healthy peer's never is. */
const lagStepMs = 1000;

/** Tells the main loop what changed, and only then. */
export interface Reporter {
	readonly detection: (
		detection: Detection,
		peer: { readonly bootId: string | null; readonly lagMs: number },
		nowMs: MonotonicMs,
	) => void;
}

/** A reporter that has told nothing yet. */
export const createReporter = (mailbox: Mailbox<Report>): Reporter => {
	let told = { hearing: '', links: '', linksMs: 0 };
	return {
		detection: ({ hearing, echoed, echoedMs, links }, { bootId, lagMs }, nowMs) => {
			const hearingKey = `${hearing} ${echoed} ${bootId} ${Math.floor(lagMs / lagStepMs)}`;
			if (hearingKey !== told.hearing) {
				told = { ...told, hearing: hearingKey };
				const report = { hearing, bootId, echoed, echoedMs, peerLagMs: lagMs };
				mailbox.update((waiting) => ({ ...waiting, hearing: report }));
			}
			const linksKey = links
				.map((link) => `${link.state} ${link.carrier} ${link.refused} ${link.rttMs === null}`)
				.join(', ');
			if (linksKey === told.links && nowMs - told.linksMs < refreshMs) return;
			told = { ...told, links: linksKey, linksMs: nowMs };
			mailbox.update((waiting) => ({ ...waiting, links }));
		},
	};
};
