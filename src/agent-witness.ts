import { type Config } from '#src/config/config.ts';
import { watchdogSettings } from '#src/config/policy.ts';
import { leaseTiming, timingTable } from '#src/config/timing.ts';
import type { Event } from '#src/engine/event.ts';
import type { World } from '#src/loop.ts';
import type { VoterSettings } from '#src/agent-voter.ts';
import type { VoteCallbacks } from '#src/heartbeat/driver.ts';
import type { VoterOptions } from '#src/heartbeat/message.ts';
import { repeat } from '#src/std/driver-repeat.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { readWitnessAccess } from '#src/witness/driver-access.ts';
import { WitnessConnection } from '#src/witness/driver.ts';

/** The agent's part of the third voter; the heartbeat thread has connections of its own (`agent-voter.ts`). */

/** Between two looks whether the main loop's connection still stands, ms: claims come once in years. */
const lookMs = 10_000;

interface Run {
	readonly bootId: string;
	/** An earlier run of the agent may have a claim under way (V2). */
	readonly claiming: boolean;
	/** ... and whether it had stopped the watchdog of the disarmed pair (V17). */
	readonly released: boolean;
	readonly feederSocket: string;
}

/** The third voter as this host reaches it. */
export interface ThirdVoter {
	/** Carries the engine's commands. */
	readonly witness: WitnessConnection | null;
	/** What the heartbeat thread needs to count votes. */
	readonly voter: VoterOptions | null;
}

/** Reads what the connections to the witness need; both null in a pair without one. Throws `witness-file`. */
export const thirdVoter = async (config: Config, run: Run): Promise<ThirdVoter> => {
	if (config.witness === null) return { witness: null, voter: null };
	const access = await readWitnessAccess(config.witness);
	return {
		witness: new WitnessConnection(access, config.pairId),
		voter: voterOptions(config, access, run),
	};
};

const voterOptions = (config: Config, access: WitnessAccess, run: Run): VoterOptions => {
	const settings = watchdogSettings(config);
	const given: VoterSettings = {
		pairId: config.pairId,
		access: { ...access, password: access.password.reveal() },
		feeder: settings === null ? null : { socketPath: run.feederSocket, settings },
	};
	return {
		host: config.host,
		bootId: run.bootId,
		timing: leaseTiming(timingTable(config.detectionMs)),
		echoing: !run.claiming,
		released: run.released,
		module: new URL('agent-voter.ts', import.meta.url).href,
		settings: given,
	};
};

/** Passes on what the heartbeat thread makes of votes, witness and watchdog. */
export const voteEvents = (post: (event: Event) => void): VoteCallbacks => ({
	witness: (answer) => post({ type: 'witness-observed', answer }),
	vote: (vote) => post({ type: 'vote-observed', ...vote }),
	echo: (echo) => post({ type: 'echo-changed', ...echo }),
	watchdog: (watchdog) => post({ type: 'watchdog-observed', watchdog }),
});

/** Why the witness does not serve this host, as a sentence; empty when it does. */
const troubleOf = async (connection: WitnessConnection, host: string): Promise<string> => {
	const answer = await connection.send({ op: 'read', host });
	if (answer.result === 'succeeded') return '';
	if (answer.result === 'failed') return answer.detail;
	const opened = await connection.open();
	return opened.state === 'open' ? '' : opened.findings.map(({ message }) => message).join('; ');
};

/**
 * Keeps the connection of the main loop open, so that a claim does not have to wait for one, and says why it can not
 * be used. The returned function ends it.
 */
export const keepWitness = (
	connection: WitnessConnection,
	host: string,
	log: Pick<World, 'note'>,
): (() => void) => {
	let told = '';
	const stop = repeat(async () => {
		const detail = await troubleOf(connection, host);
		if (detail !== told && detail !== '')
			log.note({
				level: 'warn',
				message: 'the witness can not be used; "vmpair witness check" tries everything',
				fields: { detail },
			});
		else if (detail !== told)
			log.note({ level: 'info', message: 'the witness can be used again', fields: {} });
		told = detail;
		return lookMs;
	});
	return () => {
		stop();
		connection.close();
	};
};
