import type { HistoryEntry } from '#src/api/view.ts';
import type { Stage } from '#src/demo/stage.ts';
import { truths, type VmTruth } from '#src/demo/truth.ts';
import { VmpairError } from '#src/std/error.ts';

/** One line of what happened: in the world, or said by an agent. */
interface TimelineEntry {
	/** Since the demo began, ms. */
	readonly atMs: number;
	readonly source: 'world' | 'agent';
	readonly host: string;
	readonly what: string;
	readonly fields: HistoryEntry['fields'];
}

/** How a script ended. `held` is what the exit code says. */
export interface Report {
	readonly script: string;
	readonly held: boolean;
	/** Each promise with its own answer. */
	readonly promises: {
		readonly neverTwoCopies: boolean;
		readonly noAcknowledgedWriteLost: boolean;
		readonly everyVmRuns: boolean;
		readonly noOtherViolation: boolean;
	};
	/** Why not; empty when it held. */
	readonly failure: string;
	readonly violations: readonly string[];
	/** From the first power cut to the moment each VM ran again, ms. */
	readonly recoveryMs: Readonly<Record<string, number>>;
	readonly vms: readonly VmTruth[];
	readonly timeline: readonly TimelineEntry[];
}

const historyMax = 5000;

const agentEntries = async (stage: Stage): Promise<TimelineEntry[]> => {
	// Both agents and this process read one clock; the wall clock may jump meanwhile.
	const beganMs = Number(process.hrtime.bigint() / 1_000_000n) - stage.nowMs();
	const perHost = await Promise.all(
		stage.hosts.map(async ({ sim, client }) => {
			try {
				const query = { afterSeq: 0, since: null, limit: historyMax };
				return (await client.history(query)).map((entry) => ({ entry, host: sim.name }));
			} catch (error) {
				// A host without power has nothing to say.
				if (error instanceof VmpairError) return [];
				throw error;
			}
		}),
	);
	return perHost.flat().flatMap(({ entry, host }): TimelineEntry[] =>
		entry.level === 'debug'
			? []
			: [
					{
						atMs: Math.max(0, entry.ms - beganMs),
						source: 'agent',
						host,
						what: entry.message,
						fields: entry.fields,
					},
				],
	);
};

const recovery = (stage: Stage): Record<string, number> => {
	const cut = stage.events.find(({ what }) => what === 'power-cut');
	const times: Record<string, number> = {};
	if (cut === undefined) return times;
	for (const { what, vm, atMs } of stage.events) {
		if (what === 'vm-runs' && atMs >= cut.atMs) times[vm] ??= atMs - cut.atMs;
	}
	return times;
};

/** Gathers what happened and judges the promises. `failure` is what a script said, or empty. */
export const makeReport = async (
	stage: Stage,
	script: string,
	failure: string,
): Promise<Report> => {
	const { simulation } = stage;
	const vms = truths(simulation);
	const copies = new Set(['I1', 'I2', 'I4']);
	const losses = new Set(['no-loss', 'I3', 'I8', 'silent-divergence']);
	const { violations } = simulation;
	const promises = {
		neverTwoCopies:
			!violations.some(({ checker }) => copies.has(checker)) &&
			vms.every(({ runsOn }) => runsOn.length <= 1),
		noAcknowledgedWriteLost:
			!violations.some(({ checker }) => losses.has(checker)) && vms.every(({ intact }) => intact),
		everyVmRuns: vms.every(({ runsOn }) => runsOn.length === 1),
		noOtherViolation: violations.every(({ checker }) => copies.has(checker) || losses.has(checker)),
	};
	const world = stage.events.map(({ atMs, what, host, vm }): TimelineEntry => ({
		atMs,
		source: 'world',
		host,
		what,
		fields: vm === '' ? {} : { vm },
	}));
	const timeline = [...world, ...(await agentEntries(stage))].toSorted((a, b) => a.atMs - b.atMs);
	return {
		script,
		held: failure === '' && Object.values(promises).every(Boolean),
		promises,
		failure,
		violations: violations.map(({ checker, message }) => `${checker}: ${message}`),
		recoveryMs: recovery(stage),
		vms,
		timeline,
	};
};
