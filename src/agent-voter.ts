import type { Voter, WatchdogObservation } from '#src/ports-witness.ts';
import { Secret } from '#src/std/secret.ts';
import type { HoldSettings } from '#src/watchdog/board.ts';
import { FeederClient } from '#src/watchdog/driver-client.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { WitnessConnection } from '#src/witness/driver.ts';

/** Loaded by the heartbeat thread: its own connections to the witness and to the feeder. */

/** What the thread is given at its start; plain data, because it is copied to the thread. */
export interface VoterSettings {
	readonly pairId: string;
	readonly access: Omit<WitnessAccess, 'password'> & { readonly password: string };
	/** Null on a host without a watchdog. */
	readonly feeder: { readonly socketPath: string; readonly settings: HoldSettings } | null;
}

/** Makes the connections; both are opened when they are needed first, and again when they were lost. */
export const openVoter = ({ pairId, access, feeder }: VoterSettings): Voter => {
	const password = new Secret(access.password);
	const witness = new WitnessConnection({ ...access, password }, pairId);
	let seen: (watchdog: WatchdogObservation | null) => void = () => {};
	const client =
		feeder === null ? null : new FeederClient({ ...feeder, seen: (found) => seen(found) });
	return {
		async ask(command) {
			const outcome = await witness.send(command);
			return outcome.result === 'succeeded' ? outcome.value : null;
		},
		grant: (untilMs) => client?.grant(untilMs),
		watch(callback) {
			seen = callback;
		},
	};
};
