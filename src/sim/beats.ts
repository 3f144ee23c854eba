import type { PeerDocument } from '#src/heartbeat/document.ts';
import { createDetector, detect, type Observed, observe } from '#src/heartbeat/detector.ts';
import { pathOpen } from '#src/sim/data.ts';
import type { Network, SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import {
	delay,
	hostClock,
	inAgent,
	inAgentAfter,
	kernelAnswers,
	peerOf,
	trueTime,
} from '#src/sim/model.ts';
import type { BeatFrame, Ears, Listener } from '#src/sim/model-wire.ts';
import { extraMs } from '#src/sim/model-wire.ts';
import { schedule } from '#src/sim/queue.ts';

/**
 * While links lose or delay packets, beats are simulated one by one and judged by the real detector, by the
 * rules of the real heartbeat thread. On sound links only their beginning and end are (hearing.ts).
 */

/** Our beats not echoed for so long on a connection: it is given up (docs/protocol.md, section 3). */
const unacknowledgedMs = 1000;

const threadRuns = (agent: SimAgent): boolean =>
	agent.alive && !agent.stopped && !agent.threadStalled && !agent.host.hung;

/** The thread begins to listen to single beats; it goes on from what it had heard. */
export const listen = (simulation: Simulation, agent: SimAgent): void => {
	const { ears, host } = agent;
	if (ears.listener !== null) return;
	const nowMs = hostClock(simulation, host);
	const heardMs = ears.flowing ? nowMs : nowMs - (simulation.queue.nowMs - ears.lastBeatMs);
	const names = simulation.networks.map(({ name }) => name);
	const listener: Listener = {
		detector: { ...createDetector(names, host.config.timing, nowMs), heardMs },
		peerSession: ears.flowing ? (peerOf(simulation, host).agent?.session ?? null) : null,
		links: new Map(),
		roundMs: nowMs,
		unread: [],
		seen: '',
		told: '',
		telling: false,
		deadline: null,
	};
	listener.detector = detect(listener.detector, { type: 'factor', factor: ears.stretch, nowMs });
	for (const network of simulation.networks) {
		listener.links.set(network.name, { received: null, acknowledgedMs: nowMs });
		if (!ears.flowing || !network.connected) continue;
		const beat = {
			type: 'beat',
			link: network.name,
			echoedSentMs: ears.echoed ? nowMs : null,
			rttMs: 1,
			nowMs,
		} as const;
		listener.detector = detect(listener.detector, beat);
	}
	if (ears.timer !== null) ears.timer.callback = null;
	ears.timer = null;
	ears.listener = listener;
	schedule(simulation.queue, simulation.queue.nowMs + delay(simulation, 0, 200), () =>
		round(simulation, agent, listener),
	);
};

/** The detection time was stretched, or is as usual again. */
export const stretchBeats = (simulation: Simulation, agent: SimAgent): void => {
	const { listener, stretch } = agent.ears;
	if (listener !== null) take(simulation, agent, listener, { type: 'factor', factor: stretch });
};

/** The links are sound again: from here on only the beginning and the end of the beats count. */
export const stopListening = (agent: SimAgent): void => {
	const { ears, host } = agent;
	const { listener } = ears;
	if (listener === null) return;
	if (listener.deadline !== null) listener.deadline.callback = null;
	ears.listener = null;
	ears.flowing = false;
	ears.echoedMs = listener.detector.echoedMs ?? ears.echoedMs;
	ears.lastBeatMs = trueTime(host, listener.detector.heardMs);
};

/** True time at which something sent now arrives at the other end of this network. */
const arrivalMs = (simulation: Simulation, network: Network, from: 0 | 1): number => {
	const { wire } = network;
	const ms = 1 + extraMs(simulation.random, wire.impaired[from]);
	const atMs = Math.max(simulation.queue.nowMs + ms, wire.lastArrivalMs[from]);
	wire.lastArrivalMs[from] = atMs;
	return atMs;
};

/** Sends over one connection; dropped with the connection, and where the path is cut. */
const send = (
	simulation: Simulation,
	network: Network,
	sender: SimHost,
	arrive: (receiver: SimAgent) => void,
): void => {
	const { connections } = network.wire;
	schedule(simulation.queue, arrivalMs(simulation, network, sender.index), () => {
		if (!network.connected || network.wire.connections !== connections) return;
		if (!pathOpen(network, sender.index, 'heartbeat')) return;
		const receiver = peerOf(simulation, sender).agent;
		if (receiver?.alive === true) arrive(receiver);
	});
};

/** Every interval: one beat on every link; a connection on which nothing is echoed any more is given up. */
const round = (simulation: Simulation, agent: SimAgent, listener: Listener): void => {
	const { host } = agent;
	if (!agent.alive || agent.ears.listener !== listener) return;
	const { beatIntervalMs, suspectMs } = host.config.timing;
	schedule(simulation.queue, simulation.queue.nowMs + beatIntervalMs, () =>
		round(simulation, agent, listener),
	);
	if (!threadRuns(agent) || !kernelAnswers(host)) return;
	const nowMs = hostClock(simulation, host);
	const gapMs = nowMs - listener.roundMs;
	const excusedMs = gapMs >= suspectMs ? Math.max(0, gapMs - beatIntervalMs) : 0;
	listener.roundMs = nowMs;
	let broken = false;
	for (const network of simulation.networks) {
		const link = listener.links.get(network.name);
		if (!network.connected || link === undefined) continue;
		link.acknowledgedMs += excusedMs;
		if (nowMs - link.acknowledgedMs >= unacknowledgedMs) {
			network.connected = false;
			broken = true;
		} else sendBeat(simulation, agent, network, { sentMs: nowMs, echo: link.received });
	}
	take(simulation, agent, listener, { type: 'tick' });
	if (broken) simulation.hooks.hearingMayChange();
};

const sendBeat = (
	simulation: Simulation,
	agent: SimAgent,
	network: Network,
	{ sentMs, echo }: { sentMs: number; echo: BeatFrame | null },
): void => {
	const frame: BeatFrame = {
		session: agent.session,
		bootId: agent.host.bootId,
		sentMs,
		sentTrueMs: simulation.queue.nowMs,
		echo: echo === null ? null : { sentMs: echo.sentMs, sentTrueMs: echo.sentTrueMs },
		promises: agent.votes?.echoing !== false,
	};
	const connection = network.wire.connections;
	send(simulation, network, agent.host, (receiver) => {
		const { listener } = receiver.ears;
		if (listener === null) return;
		if (threadRuns(receiver)) hear(simulation, receiver, { network: network.name, frame });
		else listener.unread.push({ network: network.name, connection, frame });
	});
};

const hear = (
	simulation: Simulation,
	agent: SimAgent,
	{ network, frame }: { network: string; frame: BeatFrame },
): void => {
	const { ears, host } = agent;
	const { listener } = ears;
	const link = listener?.links.get(network);
	if (listener === null || link === undefined) return;
	const nowMs = hostClock(simulation, host);
	if (listener.peerSession !== frame.session) {
		listener.peerSession = frame.session;
		ears.bootId = frame.bootId;
		listener.detector = detect(listener.detector, { type: 'identity', nowMs });
	}
	link.received = frame;
	if (frame.echo !== null) link.acknowledgedMs = nowMs;
	const promised = frame.promises ? frame.echo : null;
	simulation.hooks.beatHeard(agent, promised);
	const echoedSentMs = promised?.sentMs ?? null;
	take(simulation, agent, listener, { type: 'beat', link: network, echoedSentMs, rttMs: 1 });
};

/** The thread goes on after a stall: what waited in its sockets is read now. */
export const readUnread = (simulation: Simulation, agent: SimAgent): void => {
	const { listener } = agent.ears;
	if (listener === null || !threadRuns(agent)) return;
	for (const { network, connection, frame } of listener.unread.splice(0)) {
		const { wire } = simulation.networks.find(({ name }) => name === network) ?? {};
		if (wire?.connections === connection) hear(simulation, agent, { network, frame });
	}
};

/** One input of the detector; what changes is told to the main loop, the newest only. */
const take = (
	simulation: Simulation,
	agent: SimAgent,
	listener: Listener,
	observed: Observed,
): void => {
	const { host, ears } = agent;
	const nowMs = hostClock(simulation, host);
	listener.detector = detect(listener.detector, { ...observed, nowMs });
	const { hearing, echoed, links, nextMs } = observe(listener.detector);
	const seen = `${hearing} ${echoed} ${ears.bootId} ${links.map(({ state }) => state).join()}`;
	if (seen !== listener.seen) {
		listener.seen = seen;
		tellLoop(simulation, agent, listener);
	}
	if (listener.deadline !== null) listener.deadline.callback = null;
	listener.deadline = null;
	if (nextMs === null) return;
	listener.deadline = schedule(simulation.queue, trueTime(host, nextMs), () => {
		listener.deadline = null;
		if (agent.ears.listener === listener && threadRuns(agent))
			take(simulation, agent, listener, { type: 'tick' });
	});
};

const tellLoop = (simulation: Simulation, agent: SimAgent, listener: Listener): void => {
	if (listener.telling) return;
	listener.telling = true;
	inAgentAfter(simulation, agent, delay(simulation, 1, 20), () => {
		listener.telling = false;
		const { ears } = agent;
		if (ears.listener !== listener) return;
		const { hearing, echoed } = observe(listener.detector);
		const told = `${hearing} ${echoed} ${ears.bootId}`;
		const news = told !== listener.told;
		listener.told = told;
		ears.hearing = hearing;
		ears.echoed = echoed;
		simulation.hooks.beatsTold(agent, news);
	});
};

/** A new connection: what was sent on the one before never arrives, and its first second is granted. */
export const connectionMade = (simulation: Simulation, network: Network): void => {
	const { wire } = network;
	wire.connections += 1;
	wire.lastArrivalMs[0] = 0;
	wire.lastArrivalMs[1] = 0;
	for (const { agent } of simulation.hosts) {
		const link = agent?.ears.listener?.links.get(network.name);
		if (agent === null || link === undefined) continue;
		link.received = null;
		link.acknowledgedMs = hostClock(simulation, agent.host);
	}
};

/** How much longer a handshake takes on this network: three packets each way, ms. */
export const handshakeMs = (simulation: Simulation, network: Network): number => {
	let ms = 0;
	for (const impairment of network.wire.impaired)
		for (let packets = 0; packets < 3; packets += 1) ms += extraMs(simulation.random, impairment);
	return ms;
};

/** Every link brings each document, in its own time: an older one may come after a newer one. */
export const sendDocument = (
	simulation: Simulation,
	sender: SimHost,
	document: PeerDocument,
	accepts: (ears: Ears) => boolean,
): void => {
	for (const network of simulation.networks) {
		if (!network.connected) continue;
		send(simulation, network, sender, (receiver) =>
			inAgent(receiver, () => {
				if (accepts(receiver.ears)) receiver.loop.post({ type: 'document-received', document });
			}),
		);
	}
};

/** A lost packet of DRBD's own holds up all that follow it, now and then longer than its ping may take. */
export const strainReplication = (
	simulation: Simulation,
	network: Network,
	changed: () => void,
): void => {
	const { wire } = network;
	if (wire.strained) return;
	wire.strained = true;
	const look = () => {
		if (wire.impaired[0] === null && wire.impaired[1] === null) {
			wire.strained = false;
			wire.replicationWaits = false;
			changed();
			return;
		}
		const ms = Math.max(
			...wire.impaired.flatMap((impairment) => [
				extraMs(simulation.random, impairment),
				extraMs(simulation.random, impairment),
			]),
		);
		const waits = ms > 500;
		if (waits !== wire.replicationWaits) {
			wire.replicationWaits = waits;
			changed();
		}
		schedule(simulation.queue, simulation.queue.nowMs + Math.max(500, ms), look);
	};
	schedule(simulation.queue, simulation.queue.nowMs + 500, look);
};
