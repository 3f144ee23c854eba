import type { Voter, WatchdogObservation, WitnessAnswer } from '#src/ports-witness.ts';

/** Loaded by the heartbeat thread in tests: a witness that grants everything, and a feeder that obeys. */
export const openVoter = (settings: { readonly runId: string }): Voter => {
	let version = 0;
	let seen: (watchdog: WatchdogObservation | null) => void = () => {};
	return {
		ask: async (): Promise<WitnessAnswer> => {
			version += 1;
			return await Promise.resolve({
				runId: settings.runId,
				sentMs: Number(process.hrtime.bigint() / 1000n) / 1000,
				reply: {
					ok: true,
					record: {
						format: 1,
						pairId: 'pair-1',
						version,
						hosts: {},
						claim: null,
						claimVersion: 1,
						resources: {},
					},
				},
			});
		},
		grant: (untilMs) =>
			seen({
				device: '/dev/watchdog0',
				timeoutMs: 5000,
				armed: untilMs !== null,
				why: untilMs === null ? 'it is stopped' : '',
			}),
		watch(callback) {
			seen = callback;
		},
	};
};
