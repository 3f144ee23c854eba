import type { PeerDocument } from '#src/heartbeat/document.ts';
import type { LinkObservation } from '#src/ports.ts';
import {
	connectionMade,
	handshakeMs,
	listen,
	readUnread,
	sendDocument,
	stopListening,
	stretchBeats,
} from '#src/sim/beats.ts';
import { pathOpen } from '#src/sim/data.ts';
import type { Network, SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import { delay, hostClock, inAgent, inAgentAfter, kernelAnswers, peerOf } from '#src/sim/model.ts';
import type { Ears } from '#src/sim/model-wire.ts';
import { isDegraded } from '#src/sim/model-wire.ts';
import { schedule } from '#src/sim/queue.ts';
import { chance } from '#src/std/prng.ts';

/**
 * Heartbeat links and what the two failure detectors make of them. On sound links beats are not simulated one
 * by one (beats.ts): only the moments at which they begin and end to arrive, and the transitions that follow.
 */

/** Nothing acknowledged for so long: the link is given up and made anew (docs/protocol.md, section 3). */
const giveUpMs = 1000;
const linksAgainMs = 30_000;

export const createEars = (): Ears => ({
	hearing: null,
	flowing: false,
	echoed: false,
	echoedMs: null,
	lastBeatMs: 0,
	bootId: null,
	timer: null,
	stretch: 1,
	listener: null,
});

const isAlive = (agent: SimAgent | null): agent is SimAgent => agent?.alive === true;

const beats = (agent: SimAgent | null): agent is SimAgent =>
	isAlive(agent) && !agent.stopped && kernelAnswers(agent.host) && !agent.threadStalled;

const bothWays = (network: Network): boolean =>
	pathOpen(network, 0, 'heartbeat') && pathOpen(network, 1, 'heartbeat');

/** Recomputes links, flows and detectors after any change of paths, power, kernels or agents. */
export const refreshHearing = (simulation: Simulation): void => {
	for (const network of simulation.networks) refreshLink(simulation, network);
	for (const host of simulation.hosts) refreshEars(simulation, host);
};

const refreshLink = (simulation: Simulation, network: Network): void => {
	const [one, other] = simulation.hosts;
	const reachable = bothWays(network) && kernelAnswers(one) && kernelAnswers(other);
	const ends = isAlive(one.agent) && isAlive(other.agent);
	if (network.connected && !ends) {
		// A dead process: its kernel resets the connection, or nothing of it is left.
		network.connected = false;
	}
	if (network.connected && !reachable) {
		network.breakTimer ??= schedule(simulation.queue, simulation.queue.nowMs + giveUpMs, () => {
			network.breakTimer = null;
			network.connected = false;
			simulation.hooks.hearingMayChange();
		});
	} else if (network.breakTimer !== null) {
		network.breakTimer.callback = null;
		network.breakTimer = null;
	}
	if (network.connected || !reachable || !beats(one.agent) || !beats(other.agent)) {
		if (network.connectTimer !== null) network.connectTimer.callback = null;
		network.connectTimer = null;
		return;
	}
	network.connectTimer ??= schedule(
		simulation.queue,
		simulation.queue.nowMs + delay(simulation, 50, 500) + handshakeMs(simulation, network),
		() => {
			network.connectTimer = null;
			network.connected = true;
			connectionMade(simulation, network);
			simulation.hooks.hearingMayChange();
			for (const host of simulation.hosts)
				if (host.agent !== null && host.agent.ears.listener !== null) deliver(simulation, host);
		},
	);
};

/** True while this host's beats arrive at the other one. */
export const flowsFrom = (simulation: Simulation, sender: SimHost): boolean =>
	beats(sender.agent) &&
	kernelAnswers(peerOf(simulation, sender)) &&
	simulation.networks.some(
		(network) => network.connected && pathOpen(network, sender.index, 'heartbeat'),
	);

const refreshEars = (simulation: Simulation, host: SimHost): void => {
	const { agent } = host;
	if (!isAlive(agent)) return;
	const peer = peerOf(simulation, host);
	const { ears } = agent;
	const flows = flowsFrom(simulation, peer);
	const echoed = flows && flowsFrom(simulation, host) && peer.agent?.votes?.echoing !== false;
	observeLinks(simulation, host);
	if (ears.echoed && !echoed) ears.echoedMs = echoedMsOf(simulation, agent);
	if (isDegraded(simulation)) {
		listen(simulation, agent);
		return;
	}
	if (ears.listener !== null) {
		stopListening(agent);
		if (!flows) armDetector(simulation, agent);
	}
	if (flows && !ears.flowing) {
		ears.flowing = true;
		ears.bootId = peer.bootId;
		ears.echoed = echoed;
		if (ears.timer !== null) ears.timer.callback = null;
		ears.timer = null;
		announce(simulation, agent);
	} else if (!flows && ears.flowing) {
		ears.flowing = false;
		ears.echoed = false;
		const { beatIntervalMs } = host.config.timing;
		ears.lastBeatMs = simulation.queue.nowMs - delay(simulation, 0, beatIntervalMs);
		armDetector(simulation, agent);
	} else if (flows && echoed !== ears.echoed) {
		ears.echoed = echoed;
		announce(simulation, agent);
	}
};

/** Says "online" with what is true when the detector looks. */
const announce = (simulation: Simulation, agent: SimAgent): void => {
	inAgentAfter(simulation, agent, delay(simulation, 5, 60), () => {
		const { ears } = agent;
		if (!ears.flowing) return;
		ears.hearing = 'online';
		postHearing(simulation, agent);
		// A document counts only for the boot that was announced before it.
		deliver(simulation, peerOf(simulation, agent.host));
	});
};

/** When the youngest beat was sent that the peer has echoed; null before the first. */
const echoedMsOf = (simulation: Simulation, { host, ears }: SimAgent): number | null => {
	if (ears.listener !== null) return ears.listener.detector.echoedMs ?? ears.echoedMs;
	if (!ears.echoed) return ears.echoedMs;
	return hostClock(simulation, host) - host.config.timing.beatIntervalMs;
};

const postHearing = (simulation: Simulation, agent: SimAgent): void => {
	const { ears } = agent;
	if (ears.hearing === null) return;
	agent.loop.post({
		type: 'hearing-changed',
		hearing: ears.hearing,
		bootId: ears.bootId,
		echoed: ears.hearing === 'online' && ears.echoed,
		echoedMs: echoedMsOf(simulation, agent),
		peerLagMs: 0,
	});
};

/** Suspect after three missed beats, silent after the detection time, counted from the last beat. */
export const armDetector = (simulation: Simulation, agent: SimAgent): void => {
	const { ears, host } = agent;
	if (ears.timer !== null) ears.timer.callback = null;
	ears.timer = null;
	if (ears.listener !== null || ears.flowing || ears.hearing === 'silent') return;
	const { suspectMs, detectionMs } = host.config.timing;
	const silentMs = ears.lastBeatMs + detectionMs * ears.stretch;
	const next = ears.hearing === 'suspect' || ears.hearing === null ? 'silent' : 'suspect';
	const atMs = next === 'silent' ? silentMs : ears.lastBeatMs + suspectMs;
	ears.timer = schedule(simulation.queue, atMs, () => {
		inAgent(agent, () => {
			if (ears.flowing || ears.listener !== null) return;
			ears.hearing = next;
			postHearing(simulation, agent);
			armDetector(simulation, agent);
		});
	});
};

/** Our own resync loads the links: silence counts later, or as usual again. */
export const stretchDetection = (simulation: Simulation, agent: SimAgent, factor: 1 | 3): void => {
	agent.ears.stretch = factor;
	stretchBeats(simulation, agent);
	armDetector(simulation, agent);
};

/** After its process stood still the detector starts over: its own pause is no silence of the peer. */
export const restartDetector = (simulation: Simulation, agent: SimAgent): void => {
	agent.ears.lastBeatMs = simulation.queue.nowMs;
	armDetector(simulation, agent);
	readUnread(simulation, agent);
};

/** What single beats say, for the loop. A document counts only for the boot that was announced before it. */
export const tellBeats = (simulation: Simulation, agent: SimAgent, news: boolean): void => {
	if (news) postHearing(simulation, agent);
	if (news && agent.ears.hearing === 'online') deliver(simulation, peerOf(simulation, agent.host));
	observeLinks(simulation, agent.host);
};

/** Hands the sender's newest document over, when a link carries it. Latest wins. */
export const deliver = (simulation: Simulation, sender: SimHost): void => {
	const { agent } = sender;
	if (agent === null || agent.outbox === null || agent.deliveryTimer !== null) return;
	if (agent.ears.listener !== null) {
		const { outbox } = agent;
		sendDocument(simulation, sender, outbox, ({ hearing, bootId }) => {
			return hearing === 'online' && bootId === outbox.bootId;
		});
		return;
	}
	agent.deliveryTimer = schedule(
		simulation.queue,
		simulation.queue.nowMs + delay(simulation, 1, 25),
		() => {
			agent.deliveryTimer = null;
			const document = agent.outbox;
			const receiver = peerOf(simulation, sender).agent;
			if (document === null || !isAlive(receiver) || !flowsFrom(simulation, sender)) return;
			inAgent(receiver, () => {
				const { hearing, bootId } = receiver.ears;
				if (hearing !== 'online' || bootId !== document.bootId) return;
				receiver.loop.post({ type: 'document-received', document });
				// Every link may bring it once more, also after a newer one was sent.
				if (chance(simulation.random, 0.03)) repeat(simulation, receiver, document);
			});
		},
	);
};

const repeat = (simulation: Simulation, receiver: SimAgent, document: PeerDocument): void => {
	inAgentAfter(simulation, receiver, delay(simulation, 1, 200), () => {
		const { hearing, bootId } = receiver.ears;
		if (hearing !== 'online' || bootId !== document.bootId) return;
		// A connection of an agent that runs no more ends with the handshake of the next one.
		if (peerOf(simulation, receiver.host).agent?.session !== document.session) return;
		receiver.loop.post({ type: 'document-received', document });
	});
};

const linkObservation = (
	simulation: Simulation,
	host: SimHost,
	network: Network,
): LinkObservation => {
	const peer = peerOf(simulation, host);
	const up = network.connected && pathOpen(network, peer.index, 'heartbeat') && beats(peer.agent);
	const lit =
		!network.carrierLost[host.index] &&
		(network.switched || (peer.powered && !network.carrierLost[peer.index]));
	return {
		link: network.name,
		state: up ? 'up' : 'silent',
		carrier: lit,
		refused: !up && bothWays(network) && kernelAnswers(peer) && !isAlive(peer.agent),
		rttMs: up ? 1 : null,
	};
};

/** The agent looks at its links shortly after something changed. */
const observeLinks = (simulation: Simulation, host: SimHost): void => {
	const { agent } = host;
	if (!isAlive(agent) || agent.reads.has('links')) return;
	agent.reads.set('links', 'reading');
	inAgentAfter(simulation, agent, delay(simulation, 20, 120), () => {
		agent.reads.delete('links');
		const management = simulation.networks.find((network) => network.switched);
		const lit = management === undefined || !management.carrierLost[host.index];
		const links = simulation.networks.map((network) => linkObservation(simulation, host, network));
		const gatewayAnswers = host.gatewayAnswers && lit;
		// As the driver does: what has not changed is told again only now and then.
		const shown = `${gatewayAnswers} ${links.map((link) => `${link.state} ${link.carrier} ${link.refused}`).join()}`;
		const { nowMs } = simulation.queue;
		if (shown === agent.linksShown && nowMs - agent.linksShownMs < linksAgainMs) return;
		agent.linksShown = shown;
		agent.linksShownMs = nowMs;
		agent.loop.post({ type: 'links-observed', links, gatewayAnswers });
	});
};
