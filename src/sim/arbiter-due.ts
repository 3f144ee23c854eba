import { flowsFrom } from '#src/sim/hearing.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { kernelAnswers } from '#src/sim/model.ts';
import type { Device } from '#src/sim/model-device.ts';
import { isDead } from '#src/sim/power.ts';

/**
 * Which arbiter the hosts should have agreed on, from what the world offered them while they were together
 * (docs/protocol.md, section 6) and not from what they wrote down.
 */
export interface ArbiterDue {
	/** Null while it can not be told: the hosts may be on their way from one to another. */
	now: 'witness' | 'fencing' | 'person' | null;
	/** What the world offered when that was settled, and since when it offers what it does now. */
	offer: string;
	sinceMs: number;
}

/**
 * Both hosts go to another arbiter when the witness was lost for ten seconds, and back when it has granted for a
 * minute, each in two rounds; a device that answers again is asked once a minute, ms.
 */
const settledMs = 90_000;

/** The agent runs, its tools answer, and it can write. */
export const isFit = (simulation: Simulation, host: SimHost): boolean => {
	const { agent, store } = host;
	const { nowMs } = simulation.queue;
	if (!kernelAnswers(host) || agent === null || store.full) return false;
	if (!agent.alive || agent.stopped || agent.loopStalled || agent.threadStalled) return false;
	return nowMs >= host.xlHungUntilMs && nowMs >= host.drbdHungUntilMs;
};

const someLevel = (host: SimHost, behaviours: readonly Device['behaviour'][]): boolean =>
	host.devices.some(({ level }) =>
		host.devices
			.filter((device) => device.level === level)
			.every((device) => behaviours.includes(device.behaviour) && !isDead(device, host)),
	);

/** Some level of this host's ladder tells and does the truth, every device of it. */
export const someLevelIsSound = (host: SimHost): boolean => someLevel(host, ['ok']);

/** Some level tells the truth in time, whenever it does what it is told. */
export const someLevelIsRead = (host: SimHost): boolean => someLevel(host, ['ok', 'late']);

export const reachesWitness = ({ witness, queue }: Simulation, host: SimHost): boolean =>
	witness !== null &&
	witness.up &&
	witness.record !== null &&
	!witness.cut[host.index] &&
	witness.impaired[host.index] === null &&
	queue.nowMs >= witness.slowUntilMs;

const offered = (simulation: Simulation): string => {
	const { witness, hosts } = simulation;
	const reached = hosts.map((host) => reachesWitness(simulation, host)).join();
	return `run ${witness?.runs} ${reached} ${hosts.map(someLevelIsSound).join()}`;
};

const arbiterFor = (simulation: Simulation): ArbiterDue['now'] => {
	const reached = simulation.hosts.map((host) => reachesWitness(simulation, host));
	if (reached.every((each) => each)) return 'witness';
	// One host alone that does not reach it changes nothing.
	if (reached.some((each) => each)) return null;
	return simulation.hosts.every(someLevelIsSound) ? 'fencing' : 'person';
};

export const firstArbiter = (simulation: Simulation): ArbiterDue => ({
	now: simulation.hosts[0].config.arbiter,
	offer: offered(simulation),
	sinceMs: simulation.queue.nowMs,
});

/** Looks what the world offers; call it every few seconds. */
export const followArbiter = (simulation: Simulation, due: ArbiterDue): void => {
	if (simulation.witness === null) return;
	const { nowMs } = simulation.queue;
	const together = simulation.hosts.every(
		(host) => isFit(simulation, host) && flowsFrom(simulation, host),
	);
	if (!together) {
		due.sinceMs = nowMs;
		return;
	}
	const offer = offered(simulation);
	if (offer !== due.offer) {
		due.offer = offer;
		due.sinceMs = nowMs;
		due.now = null;
	}
	if (nowMs - due.sinceMs >= settledMs) due.now = arbiterFor(simulation);
};
