import type { Network, Simulation } from '#src/sim/model.ts';
import type { Stream, StreamEnd, StreamStage } from '#src/sim/model-migration.ts';

/** What the network and the hosts do to the stream of a live migration. */

/** It goes over the first network that is not DRBD's. */
const streamNetwork = ({ networks }: Simulation): Network | undefined =>
	networks.find(({ replication }) => !replication) ?? networks[0];

/** One connection needs both directions. */
export const isPathOpen = (simulation: Simulation): boolean => {
	const network = streamNetwork(simulation);
	if (network === undefined) return false;
	const { cutAll, carrierLost } = network;
	return ![...cutAll, ...carrierLost].includes(true);
};

const isDead = ({ host, life }: StreamEnd): boolean => host.life !== life || !host.kernelUp;

/** No packet of one end reaches the other. */
export const isCut = (simulation: Simulation, { source, target }: Stream): boolean =>
	!isPathOpen(simulation) || isDead(source) || isDead(target);

/** Nothing gets on at the moment, for whatever reason. */
export const isHeldUp = (simulation: Simulation, stream: Stream): boolean => {
	const { source, target } = stream;
	const hung = source.host.hung || target.host.hung;
	return standsStill(simulation, stream) || hung || isCut(simulation, stream);
};

/** Nothing of the stream passes although the way is open. */
export const standsStill = (simulation: Simulation, { stage }: Stream): boolean => {
	const wire = streamNetwork(simulation)?.wire;
	if (wire === undefined) return false;
	if (wire.streamHangsIn?.stage === stage) {
		hangStreams(simulation, wire.streamHangsIn.forMs);
		wire.streamHangsIn = null;
	}
	return simulation.queue.nowMs < wire.streamsHangUntilMs;
};

/** The share of its packets that the worse direction lets through. */
export const passes = (simulation: Simulation): number => {
	const [one, other] = streamNetwork(simulation)?.wire.impaired ?? [null, null];
	return 1 - Math.max(one?.lossPercent ?? 0, other?.lossPercent ?? 0) / 100;
};

/** The streams stand still for so long; what is not a stream passes. */
export const hangStreams = (
	simulation: Simulation,
	forMs: number,
	stage: StreamStage | null = null,
): void => {
	const wire = streamNetwork(simulation)?.wire;
	if (wire === undefined) return;
	if (stage === null) wire.streamsHangUntilMs = simulation.queue.nowMs + forMs;
	else wire.streamHangsIn = { stage, forMs };
};
