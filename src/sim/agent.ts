import type { CarriedAction, ImmediateAction } from '#src/engine/action.ts';
import { initialState } from '#src/engine/state.ts';
import { unannounced } from '#src/engine/step.ts';
import type { World } from '#src/loop.ts';
import { Loop } from '#src/loop.ts';
import type { Outcome } from '#src/ports.ts';
import { execute } from '#src/sim/executor.ts';
import { sayGoodbye } from '#src/sim/goodbye.ts';
import {
	armDetector,
	createEars,
	deliver,
	restartDetector,
	stretchDetection,
} from '#src/sim/hearing.ts';
import { observeHypervisor } from '#src/sim/hypervisor.ts';
import { watchLoad } from '#src/sim/load.ts';
import type { Replica, SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import {
	count,
	delay,
	hostClock,
	inAgent,
	inAgentAfter,
	onHost,
	replicaOf,
	tell,
	trueTime,
	violate,
} from '#src/sim/model.ts';
import { poll } from '#src/sim/poll.ts';
import { schedule } from '#src/sim/queue.ts';
import { panic } from '#src/sim/power.ts';
import { observeReplica } from '#src/sim/replica.ts';
import { settleAll } from '#src/sim/data.ts';
import { onStateDisk, tellDisk } from '#src/sim/state-disk.ts';
import { orderVotes, startVotes, watchClosely } from '#src/sim/votes.ts';
import { disarmWatchdog } from '#src/sim/watchdog.ts';
import type { Persisted } from '#src/store/record.ts';
import { messageOf } from '#src/std/error.ts';
import { assert } from '#src/std/assert.ts';

/** One run of the agent: the real loop and the real engine, in this world instead of a real one. */

/** The handler's client gives up after this long and exits 1. */
const handlerClientMs = 115_000;
const restartAfterMs = 1000;
const replicationPollMs = 10_000;
const hypervisorPollMs = 5000;

export const startAgent = (simulation: Simulation, host: SimHost): void => {
	if (!host.kernelUp || host.agent?.alive === true) return;
	if (host.store.content === 'corrupt') {
		tell(simulation, host.name, 'agent refuses to start: the state file is damaged');
		count(simulation, 'starts refused: state file');
		return;
	}
	host.agentRuns += 1;
	host.agentSinceMs = simulation.queue.nowMs;
	const session = `${host.name}-run-${host.agentRuns}`;
	tell(simulation, host.name, `agent starts as ${session}`);
	let agent: SimAgent | null = null;
	const me = (): SimAgent => {
		assert(agent !== null, 'the agent exists before its world is used');
		return agent;
	};
	const state = initialState(
		host.config,
		remembered(simulation, host),
		{ bootId: host.bootId, session },
		hostClock(simulation, host),
	);
	agent = {
		host,
		session,
		loop: new Loop(state, createWorld(simulation, host, me), simulation.rulesSpared),
		alive: true,
		stopped: false,
		waiting: [],
		ears: createEars(),
		outbox: null,
		deliveryTimer: null,
		calls: new Map(),
		reads: new Map(),
		linksShown: '',
		linksShownMs: 0,
		failure: null,
		votes: null,
		threadStalled: false,
		loopStalled: false,
	};
	host.agent = agent;
	simulation.changes += 1;
	firstLook(simulation, agent);
};

const remembered = ({ mutation }: Simulation, { store, agentRuns }: SimHost): Persisted | null => {
	const content = store.content === 'corrupt' ? null : store.content;
	if (mutation !== 'arbiter-forgotten' || agentRuns === 1) return content;
	if (content === null || content.arbiter === null) return content;
	return { ...content, arbiter: { ...content.arbiter, now: 'fencing', next: null } };
};

/** What the drivers do at the start: look at everything once, then poll, and listen to the peer. */
const firstLook = (simulation: Simulation, agent: SimAgent): void => {
	const { host } = agent;
	agent.loop.post({ type: 'tick' });
	if (host.store.full) tellDisk(agent);
	readReplication(simulation, host);
	readHypervisor(simulation, host);
	inAgentAfter(simulation, agent, delay(simulation, 100, 400), () => {
		const ownDeviceWrong = host.devices.some((device) => device.behaviour === 'wrong-host');
		agent.loop.post({ type: 'preflight-observed', blockers: [], ownDeviceWrong });
	});
	agent.ears.lastBeatMs = simulation.queue.nowMs;
	armDetector(simulation, agent);
	startVotes(simulation, agent);
	simulation.hooks.hearingMayChange();
	poll(simulation, agent, replicationPollMs, () => {
		readReplication(simulation, host);
		simulation.hooks.hearingMayChange();
	});
	poll(simulation, agent, hypervisorPollMs, () => readHypervisor(simulation, host));
	watchLoad(simulation, agent);
};

const createWorld = (simulation: Simulation, host: SimHost, agent: () => SimAgent): World => ({
	nowMs: () => hostClock(simulation, host),
	persist: (record, done) => {
		const me = agent();
		const finish = (error: Error | null) => {
			inAgent(me, () => done(error));
		};
		const ms = delay(simulation, 1, simulation.timings.persistMaxMs);
		// It reaches the disk at some moment before the agent knows; a crash may hit either side of it.
		onHost(simulation, host, Math.ceil(ms / 2), () => {
			onStateDisk(simulation, me, finish, () => {
				if (crashesAtWrite(simulation, me, 'before')) return;
				settleAll(simulation);
				const before = host.store.content;
				if (simulation.mutation !== 'persist-skipped') host.store.content = record;
				simulation.hooks.persisted(host, record, before);
				if (crashesAtWrite(simulation, me, 'after')) return;
				onHost(simulation, host, Math.floor(ms / 2), () => finish(null));
			});
		});
	},
	execute: (action, done) => begin(simulation, agent(), action, done),
	perform: (action) => perform(simulation, agent(), action),
	note: (note) => {
		if (note.message === unannounced)
			violate(simulation, 'engine', `${host.name}: ${unannounced}: ${JSON.stringify(note.fields)}`);
		simulation.hooks.noted(host, note);
	},
	schedule: (atMs, callback) => {
		const me = agent();
		const timer = schedule(simulation.queue, trueTime(host, atMs), () => inAgent(me, callback));
		return () => {
			timer.callback = null;
		};
	},
	stepped: (_state, event) => {
		simulation.changes += 1;
		simulation.hooks.stepped(agent(), event);
	},
	failed: (error) => agentFailed(simulation, agent(), error),
});

/** A crash that waited for this write: before it is durable, or between that and everything that follows from it. */
const crashesAtWrite = (
	simulation: Simulation,
	agent: SimAgent,
	side: 'before' | 'after',
): boolean => {
	const { host } = agent;
	if (host.crashAtWrite?.side !== side) return false;
	const what = host.crashAtWrite.who;
	host.crashAtWrite = null;
	tell(simulation, host.name, `the ${what} crashes ${side} its state is durable`);
	count(simulation, `crashes ${side} a write is durable`);
	if (what === 'host') panic(simulation, host);
	else {
		endAgent(simulation, agent);
		startAgentSoon(simulation, host, restartAfterMs);
	}
	return true;
};

const begin = (
	simulation: Simulation,
	agent: SimAgent,
	action: CarriedAction,
	done: (outcome: Outcome) => void,
): void => {
	const finish = (outcome: Outcome) => {
		inAgentAfter(simulation, agent, delay(simulation, 1, 30), () => done(outcome));
	};
	count(simulation, `action ${action.type}`);
	execute(simulation, agent.host, action, finish);
};

const perform = (simulation: Simulation, agent: SimAgent, action: ImmediateAction): void => {
	switch (action.type) {
		case 'publish':
			agent.outbox = action.document;
			simulation.hooks.published(agent, action.document);
			deliver(simulation, agent.host);
			return;
		case 'answer-handler': {
			const answer = agent.calls.get(action.call);
			agent.calls.delete(action.call);
			count(simulation, `handler answered ${action.exitCode}`);
			tell(
				simulation,
				agent.host.name,
				`handler ${action.call}: ${action.exitCode}, ${action.reason}`,
			);
			answer?.(action.exitCode);
			return;
		}
		case 'reply':
			simulation.hooks.replied(agent.host, action.request, action.reply);
			return;
		case 'stretch-detection':
			stretchDetection(simulation, agent, action.factor);
			return;
		case 'order-lease':
			orderVotes(simulation, agent, action.orders);
			return;
		case 'watch-closely':
			watchClosely(simulation, agent, action.closely, () => readHypervisor(simulation, agent.host));
			return;
		case 'reset-host':
			tell(simulation, agent.host.name, `resets itself: ${action.reason}`);
			panic(simulation, agent.host);
			return;
		case 'leave-complete':
			sayGoodbye(simulation, agent, () => {
				disarmWatchdog(agent.host);
				endAgent(simulation, agent);
			});
			return;
	}
};

/** The process ends: guests, tools under way and the kernel go on. */
export const endAgent = (simulation: Simulation, agent: SimAgent): void => {
	if (!agent.alive) return;
	agent.alive = false;
	agent.loop.stop();
	simulation.changes += 1;
	simulation.hooks.agentDied(agent);
	simulation.hooks.hearingMayChange();
};

/** A crash or a broken invariant; the init system starts it again. */
const agentFailed = (simulation: Simulation, agent: SimAgent, error: Error): void => {
	agent.failure = error;
	tell(simulation, agent.host.name, `agent stops: ${messageOf(error)}`);
	count(simulation, 'agents stopped by themselves');
	if (!/no space left/.test(error.message)) simulation.hooks.broke(agent, error);
	endAgent(simulation, agent);
	startAgentSoon(simulation, agent.host, restartAfterMs);
};

export const startAgentSoon = (simulation: Simulation, host: SimHost, ms: number): void => {
	onHost(simulation, host, ms, () => startAgent(simulation, host));
};

/** Nobody answers a dead agent's handler calls: their clients exit 1. */
export const dropCalls = (agent: SimAgent): void => {
	const calls = [...agent.calls.values()];
	agent.calls.clear();
	for (const answer of calls) answer(1);
};

/** The kernel runs our fence-peer handler: a tiny client that asks the agent and waits. */
export const callHandler = (
	simulation: Simulation,
	replica: Replica,
	answer: (exitCode: number) => void,
): void => {
	const { host } = replica;
	count(simulation, 'handler calls');
	onHost(simulation, host, delay(simulation, 20, 300), () => {
		const { agent } = host;
		const { mutation, witness } = simulation;
		const held = witness?.record?.resources[replica.vm.engine.resource]?.inSync;
		const alone = held?.length === 1 && held[0] === host.name;
		if (mutation === 'handler-always-fenced') answer(7);
		else if (mutation === 'exclusion-reused' && alone) answer(4);
		else if (mutation === 'handler-guesses') answer(5);
		else if (agent?.alive !== true) answer(1);
		else askAgent(simulation, replica, agent, answer);
	});
};

const askAgent = (
	simulation: Simulation,
	replica: Replica,
	agent: SimAgent,
	answer: (exitCode: number) => void,
): void => {
	const { host, vm } = replica;
	const id = `${vm.name}-${(simulation.nextInstance += 1)}`;
	agent.calls.set(id, (exitCode) => {
		onHost(simulation, host, delay(simulation, 1, 20), () => answer(exitCode));
	});
	inAgent(agent, () => {
		const { resource } = vm.engine;
		agent.loop.post({ type: 'handler-called', call: { id, handler: 'fence-peer', resource } });
	});
	onHost(simulation, host, handlerClientMs, () => {
		if (!agent.calls.has(id)) return;
		agent.calls.delete(id);
		inAgent(agent, () => agent.loop.post({ type: 'handler-gone', call: id }));
		answer(1);
	});
};

/** The stream of events shows that the kernel called its split-brain handler. */
export const reportSplit = (simulation: Simulation, { host, vm }: Replica): void => {
	const { agent } = host;
	if (agent?.alive !== true) return;
	inAgentAfter(simulation, agent, delay(simulation, 1, 40), () => {
		agent.loop.post({ type: 'split-brain-reported', resource: vm.engine.resource });
	});
};

/** DRBD changed: the agent reads it all, a little later, and once more when it changed meanwhile. */
export const readReplication = (simulation: Simulation, host: SimHost): void => {
	read(simulation, host, 'replication', (agent, known) => {
		const resources = simulation.vms
			.map((vm) => replicaOf(host, vm))
			.filter((replica) => replica.up)
			.map(observeReplica);
		return () => {
			agent.loop.post({ type: 'replication-observed', resources: known ? resources : null });
		};
	});
};

export const readHypervisor = (simulation: Simulation, host: SimHost): void => {
	read(simulation, host, 'hypervisor', (agent, known) => {
		const observation = observeHypervisor(simulation, host);
		const beganMs = hostClock(simulation, host);
		return () => {
			agent.loop.post({
				type: 'hypervisor-observed',
				observation: known ? observation : null,
				beganMs,
			});
		};
	});
};

/** One read at a time: what it shows is what was true when it began. */
const read = (
	simulation: Simulation,
	host: SimHost,
	kind: 'replication' | 'hypervisor',
	look: (agent: SimAgent, known: boolean) => () => void,
): void => {
	const { agent } = host;
	if (agent?.alive !== true) return;
	if (agent.reads.has(kind)) {
		agent.reads.set(kind, 'again');
		return;
	}
	agent.reads.set(kind, 'reading');
	const { observeMaxMs } = simulation.timings;
	inAgentAfter(simulation, agent, delay(simulation, 1, observeMaxMs), () => {
		const hungUntilMs = kind === 'replication' ? host.drbdHungUntilMs : host.xlHungUntilMs;
		const known = hungUntilMs <= simulation.queue.nowMs;
		agent.reads.set(kind, 'reading');
		const post = look(agent, known);
		inAgentAfter(simulation, agent, delay(simulation, 1, known ? observeMaxMs : 3000), () => {
			const again = agent.reads.get(kind) === 'again';
			agent.reads.delete(kind);
			post();
			if (again || !known) read(simulation, host, kind, look);
		});
	});
};

/** SIGCONT, or the machine goes on: what waited happens now, the detector starts over. */
export const agentGoesOn = (simulation: Simulation, host: SimHost): void => {
	const { agent } = host;
	if (agent?.alive !== true || agent.stopped || agent.loopStalled || host.hung) return;
	host.agentSinceMs = simulation.queue.nowMs;
	restartDetector(simulation, agent);
	const work = agent.waiting.splice(0);
	for (const each of work) inAgent(agent, each);
};
