import { flowsFrom } from '#src/sim/hearing.ts';
import type { SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import type { SimVotes } from '#src/sim/model-witness.ts';
import type { BeatFrame } from '#src/sim/model-wire.ts';
import { isDegraded } from '#src/sim/model-wire.ts';
import { delay, hostClock, inAgent, inAgentAfter, peerOf, trueTime } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';
import { askWitness } from '#src/sim/third.ts';
import { disarmWatchdog, grantWatchdog, stopWatchdog } from '#src/sim/watchdog.ts';
import {
	answered,
	createLease,
	echoed,
	grantUntilMs,
	initialOrders,
	isOutrun,
	type LeaseOrders,
	nextCommand,
	ordered,
	renewMs,
	voteAt,
	votedMs,
} from '#src/witness/lease.ts';

/**
 * The heartbeat thread's part in votes: the same rules as the real thread, in this world. On sound links echoes
 * are not simulated one by one, only the times at which they begin and end; renewals are.
 */

const runs = (agent: SimAgent): boolean =>
	agent.alive && !agent.stopped && !agent.threadStalled && !agent.host.hung;

/** Our beats are echoed: both directions carry them, and the peer promises not to act. */
const isEchoed = (simulation: Simulation, host: SimHost): boolean => {
	const peer = peerOf(simulation, host);
	return (
		!isDegraded(simulation) &&
		flowsFrom(simulation, host) &&
		flowsFrom(simulation, peer) &&
		peer.agent?.votes?.echoing !== false
	);
};

export const startVotes = (simulation: Simulation, agent: SimAgent): void => {
	const { witness } = agent.host.config;
	const { content } = agent.host.store;
	if (witness === null || content === 'corrupt') return;
	const echoing =
		simulation.mutation === 'echo-while-claiming' || content?.witness?.claiming !== true;
	const released =
		content?.pair.armed === false && content.witness?.disarmed === content.pair.generation;
	agent.votes = {
		connection: { runs: simulation.witness?.runs ?? null, opening: false },
		lease: createLease(witness, initialOrders(echoing, released)),
		echoing,
		echoed: false,
		flows: false,
		heardMs: null,
		timer: null,
		told: '',
		released,
		closely: false,
	};
	if (agent.host.watchdog !== null)
		inAgentAfter(simulation, agent, delay(simulation, 5, 50), () =>
			observeWatchdog(agent, agent.votes?.released !== true),
		);
	const { votes } = agent;
	// The main loop's first orders come before the first renewal.
	schedule(simulation.queue, simulation.queue.nowMs + 5, () => tick(simulation, agent, votes));
};

const observeWatchdog = (agent: SimAgent, armed: boolean): void => {
	const { watchdog } = agent.host;
	if (watchdog === null) return;
	const { timeoutMs, failed } = watchdog;
	const why = failed ? 'it cannot be fed' : armed ? '' : 'it is stopped: the pair is disarmed';
	const seen = { device: '/dev/watchdog0', timeoutMs, armed: armed && !failed, why };
	agent.loop.post({ type: 'watchdog-observed', watchdog: seen });
};

/** The board is gone, or was reset by somebody: it counts no more, and the feeder tells the agent. */
export const failWatchdog = (host: SimHost): void => {
	if (host.watchdog === null) return;
	disarmWatchdog(host);
	host.watchdog.failed = true;
	const { agent } = host;
	if (agent !== null) inAgent(agent, () => observeWatchdog(agent, false));
};

/** What the feeder is told, and says of itself. */
const grant = (simulation: Simulation, agent: SimAgent, votes: SimVotes, nowMs: number): void => {
	const { host } = agent;
	const { content } = host.store;
	const disarmed = content !== null && content !== 'corrupt' && !content.pair.armed;
	const atOnce = simulation.mutation === 'disarmed-at-once' && disarmed;
	const before = votes.released;
	if (votes.lease.orders.released || atOnce) {
		votes.released = true;
		stopWatchdog(simulation, host);
	} else {
		const untilMs = grantUntilMs(votes.lease, nowMs);
		if (untilMs === null) return;
		votes.released = false;
		grantWatchdog(simulation, host, trueTime(host, untilMs));
	}
	if (votes.released !== before) inAgent(agent, () => observeWatchdog(agent, !votes.released));
};

/** Every second: a renewal, a word to the main loop, and what the feeder may do. */
const tick = (simulation: Simulation, agent: SimAgent, votes: SimVotes): void => {
	if (!agent.alive) return;
	schedule(simulation.queue, simulation.queue.nowMs + renewMs, () =>
		tick(simulation, agent, votes),
	);
	if (!runs(agent)) return;
	renew(simulation, agent, votes, true);
	judge(simulation, agent, votes, true);
};

/** `again`: a renewal that named another number than the witness has is decided anew at once. */
const renew = (simulation: Simulation, agent: SimAgent, votes: SimVotes, again: boolean): void => {
	const { host } = agent;
	const command = nextCommand(votes.lease, { host: host.name, bootId: host.bootId });
	const trueMs = simulation.queue.nowMs;
	askWitness(simulation, host, { command, connection: votes.connection }, (answer) => {
		if (!runs(agent)) return;
		if (answer !== null) {
			const before = votes.lease.renewedMs;
			votes.lease = answered(votes.lease, command, answer);
			if (votes.lease.renewedMs !== before) host.votedMs = Math.max(host.votedMs, trueMs);
			if (again && isOutrun(answer)) {
				renew(simulation, agent, votes, false);
				return;
			}
		}
		inAgent(agent, () => agent.loop.post({ type: 'witness-observed', answer }));
		judge(simulation, agent, votes, true);
	});
};

/** Our clock's time of the youngest beat that the peer has echoed while it echoes all of them. */
const takeEcho = (simulation: Simulation, agent: SimAgent, votes: SimVotes): void => {
	const ageMs = agent.host.config.timing.beatIntervalMs;
	votes.lease = echoed(votes.lease, hostClock(simulation, agent.host) - ageMs);
	agent.host.votedMs = Math.max(agent.host.votedMs, simulation.queue.nowMs - ageMs);
};

/** Beats arrive, or did until this moment. */
const hear = (simulation: Simulation, agent: SimAgent, votes: SimVotes): void => {
	const flows = !isDegraded(simulation) && flowsFrom(simulation, peerOf(simulation, agent.host));
	if (flows || votes.flows) votes.heardMs = hostClock(simulation, agent.host);
	votes.flows = flows;
};

/** A single beat of the peer; `echo`: which of ours it echoes as a promise, counted from its sending. */
export const hearBeat = (
	simulation: Simulation,
	agent: SimAgent,
	echo: BeatFrame['echo'],
): void => {
	const { votes, host } = agent;
	if (votes === null) return;
	votes.heardMs = hostClock(simulation, host);
	if (echo === null) return;
	votes.lease = echoed(votes.lease, echo.sentMs);
	host.votedMs = Math.max(host.votedMs, echo.sentTrueMs);
	judge(simulation, agent, votes, false);
};

/** Recomputes who is echoed after any change of paths, power, agents or orders. */
export const refreshVotes = (simulation: Simulation): void => {
	for (const { agent } of simulation.hosts) {
		const votes = agent?.votes ?? null;
		if (agent === null || votes === null || !agent.alive) continue;
		const now = isEchoed(simulation, agent.host);
		hear(simulation, agent, votes);
		if (now === votes.echoed) continue;
		if (votes.echoed) takeEcho(simulation, agent, votes);
		votes.echoed = now;
		if (now && runs(agent)) judge(simulation, agent, votes, false);
	}
};

/** What the votes are worth now: told to the main loop when it is news, and granted to the feeder. */
const judge = (simulation: Simulation, agent: SimAgent, votes: SimVotes, again: boolean): void => {
	const { host } = agent;
	if (votes.echoed) takeEcho(simulation, agent, votes);
	hear(simulation, agent, votes);
	const nowMs = hostClock(simulation, host);
	const { vote, nextMs } = voteAt(votes.lease, nowMs);
	if (again || vote !== votes.told) {
		grant(simulation, agent, votes, nowMs);
		votes.told = vote;
		const voted = votedMs(votes.lease);
		inAgent(agent, () => agent.loop.post({ type: 'vote-observed', vote, votedMs: voted }));
	}
	if (votes.timer !== null) votes.timer.callback = null;
	votes.timer = null;
	if (nextMs === null) return;
	votes.timer = schedule(simulation.queue, trueTime(host, nextMs), () => {
		votes.timer = null;
		if (runs(agent)) judge(simulation, agent, votes, false);
	});
};

/** The main loop's orders arrive at the thread a moment later, in their order. */
export const orderVotes = (simulation: Simulation, agent: SimAgent, orders: LeaseOrders): void => {
	schedule(simulation.queue, simulation.queue.nowMs + 2, () => {
		const { votes } = agent;
		if (votes === null || !agent.alive) return;
		const nowMs = hostClock(simulation, agent.host);
		const before = grantUntilMs(votes.lease, nowMs);
		votes.lease = ordered(votes.lease, orders);
		if (!runs(agent)) return;
		if (grantUntilMs(votes.lease, nowMs) !== before) grant(simulation, agent, votes, nowMs);
		const echoes = simulation.mutation === 'echo-while-claiming' || orders.echoing;
		if (votes.echoing !== echoes) {
			votes.echoing = echoes;
			simulation.hooks.hearingMayChange();
		}
		const { echoing } = orders;
		const heardMs = simulation.mutation === 'beats-forgotten' ? null : votes.heardMs;
		inAgent(agent, () => agent.loop.post({ type: 'echo-changed', echoing, heardMs }));
		judge(simulation, agent, votes, false);
	});
};

/** While votes are missing the domains are looked at every second. */
export const watchClosely = (
	simulation: Simulation,
	agent: SimAgent,
	closely: boolean,
	look: () => void,
): void => {
	// As the orders do, it arrives a moment later: a run of the agent decides it before its heartbeat thread begins.
	schedule(simulation.queue, simulation.queue.nowMs + 2, () => {
		const { votes } = agent;
		if (votes === null) return;
		const begins = closely && !votes.closely;
		votes.closely = closely;
		const again = () => {
			if (!agent.alive || !votes.closely) return;
			inAgent(agent, look);
			schedule(simulation.queue, simulation.queue.nowMs + 1000, again);
		};
		if (begins) again();
	});
};
