import type { Reply } from '#src/api/request.ts';
import type { Note } from '#src/engine/action.ts';
import type { Event } from '#src/engine/event.ts';
import { resetGraceMs } from '#src/config/timing.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import { peerDocumentSchema } from '#src/heartbeat/document.ts';
import { decisionOf } from '#src/sim/decision.ts';
import { checkFenceSent } from '#src/sim/checker-claim.ts';
import { checkData, checkLoneWrite } from '#src/sim/checker-data.ts';
import { createLoadChecks, type LoadChecks } from '#src/sim/checker-load.ts';
import { checkReceived, isMigrationTarget } from '#src/sim/checker-migration.ts';
import { checkRight, noteBurial, noteDecision } from '#src/sim/checker-record.ts';
import type { Replica, SimAgent, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, otherReplica, peerOf, tell, violate } from '#src/sim/model.ts';
import { atMost } from '#src/sim/replica.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';
import type { Persisted } from '#src/store/record.ts';
import { persistedSchema } from '#src/store/record.ts';
import { same } from '#src/std/same.ts';

/**
 * The promises, checked against the truth of the world the moment something happens that could break
 * one. Each checker is proven by a planted bug it must catch (test/sim/mutation.test.ts).
 */
export interface Observer {
	vmRuns(host: SimHost, vm: SimVm): void;
	promoted(replica: Replica): void;
	persisted(host: SimHost, record: Persisted, before: SimHost['store']['content']): void;
	handlerAnswered(replica: Replica, exitCode: number): void;
	dataGivenUp(replica: Replica): void;
	resyncBegins(source: Replica, target: Replica): void;
	tookOver(taker: SimHost, bySilence: boolean): void;
	watchdogStops(host: SimHost): void;
	fenceSent(victim: SimHost): void;
	fenced(victim: SimHost): void;
	loneWrite(writer: Replica, copy: Replica): void;
	stepped(agent: SimAgent, event: Event): void;
	noted(host: SimHost, note: Note): void;
	published(agent: SimAgent, document: PeerDocument): void;
	replied(host: SimHost, request: string, reply: Reply): void;
	broke(agent: SimAgent, error: Error): void;
}

const hourMs = 3_600_000;
/** Clocks of hosts may be slow by so much. */
const clockSlack = 1.006;
/** What an agent may take to pause a VM after the vote's end, with slow looks and slow tools, ms. */
const pauseReactionMs = 5000;

/** What a checker needs beside the world. */
export interface CheckOptions {
	/** Devices are honest and keep their declared latency; no person forced anything: I9 is promised. */
	readonly honestDevices: boolean;
	/** Everything that is made durable or told to the peer must fit its schema; too slow for many seeds. */
	readonly strict?: boolean;
	readonly onNote: ((host: SimHost, note: Note) => void) | null;
	readonly onReply: ((host: SimHost, request: string, reply: Reply) => void) | null;
	readonly onStep: ((agent: SimAgent, event: Event) => void) | null;
}

export const createObserver = (simulation: Simulation, options: CheckOptions): Observer =>
	observerOf(simulation, options, createLoadChecks(simulation));

const observerOf = (
	simulation: Simulation,
	options: CheckOptions,
	loads: LoadChecks,
): Observer => ({
	vmRuns: (host, vm) => {
		checkOneCopy(simulation, host, vm);
		checkData(simulation, host, vm);
		checkOwner(simulation, host, vm);
		checkReceived(simulation, host, vm);
	},
	promoted: (replica) => checkPromote(simulation, replica),
	persisted: (host, record, before) => {
		checkRight(simulation, host, before, record);
		noteBurial(simulation, host, before, record);
		noteDecision(simulation, host, before, record);
		loads.persisted(host, record, before);
		if (options.strict === true) checkSchema(simulation, host, persistedSchema.safeParse(record));
	},
	handlerAnswered: (replica, exitCode) => checkAnswer(simulation, replica, exitCode),
	dataGivenUp: (replica) => checkGivenUp(simulation, replica),
	resyncBegins: (source, target) => checkDirection(simulation, source, target),
	tookOver: (taker, bySilence) => {
		if (bySilence) checkSilence(simulation, taker);
	},
	watchdogStops: (host) => checkStop(simulation, host),
	fenceSent: (victim) => {
		victim.offAskedMs = simulation.queue.nowMs;
		checkFenceSent(simulation, victim);
	},
	fenced: (victim) => {
		checkFence(simulation, victim, options.honestDevices);
	},
	loneWrite: (writer, copy) => checkLoneWrite(simulation, writer, copy),
	stepped: (agent, event) => {
		if (event.type === 'witness-observed')
			for (const host of simulation.hosts) checkLease(simulation, host);
		loads.stepped(agent, event);
		options.onStep?.(agent, event);
	},
	noted: (host, note) => {
		const decision = decisionOf(note);
		if (decision !== undefined) count(simulation, `decision ${decision}`);
		if (note.level !== 'debug') tellNote(simulation, host, note);
		options.onNote?.(host, note);
	},
	published: (agent, document) => {
		checkDocument(simulation, agent, document);
		if (options.strict !== true) return;
		checkSchema(simulation, agent.host, peerDocumentSchema.safeParse(document));
	},
	replied: (host, request, reply) => {
		tell(
			simulation,
			host.name,
			`reply to ${request}: ${reply.status} ${reply.code}: ${reply.message}`,
		);
		options.onReply?.(host, request, reply);
	},
	broke: (agent, error) => {
		violate(
			simulation,
			'engine',
			`the agent on ${agent.host.name} stopped itself: ${error.message}`,
		);
	},
});

const checkSchema = (
	simulation: Simulation,
	host: SimHost,
	result: { readonly success: boolean; readonly error?: Error },
): void => {
	if (result.success) return;
	violate(
		simulation,
		'schema',
		`${host.name}: ${result.error?.message ?? 'does not fit its schema'}`,
	);
};

const tellNote = (simulation: Simulation, host: SimHost, note: Note): void => {
	if (simulation.trace === null) return;
	const fields = Object.entries(note.fields)
		.map(
			([key, value]) =>
				` ${key}=${typeof value === 'string' && value.includes(' ') ? `"${value}"` : value}`,
		)
		.join('');
	tell(simulation, host.name, `${note.level}: ${note.message}${fields}`);
};

/** I1: never two runnable copies. */
const checkOneCopy = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	const peer = peerOf(simulation, host);
	if (isRunnable(host, vm) && isRunnable(peer, vm)) {
		violate(simulation, 'I1', `${vm.name} runs on ${host.name} and on ${peer.name}`);
	}
};

/** I5: the host that runs a VM is its durable owner. */
const checkOwner = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	if (durableRecord(host, vm)?.owner === host.name) return;
	violate(simulation, 'I5', `${vm.name} starts on ${host.name}, which is not its durable owner`);
};

/** I2 and I4: one writing Primary; a disconnected promote has data, record and proof behind it. */
const checkPromote = (simulation: Simulation, replica: Replica): void => {
	const { host, vm } = replica;
	const peer = otherReplica(replica);
	const written = peer.role === 'Primary' && !peer.frozen && isRunnable(peer.host, vm);
	if (written && !isMigrationTarget(replica)) {
		violate(
			simulation,
			'I2',
			`${vm.name} is Primary on ${host.name} and written on ${peer.host.name}`,
		);
	}
	if (replica.connection === 'Connected') return;
	const record = durableRecord(host, vm);
	if (record === undefined || !record.inSync.includes(host.name)) {
		violate(simulation, 'I4', `${vm.name} is promoted alone on ${host.name}, which is not in sync`);
	}
	if (peer.host.kernelUp && isRunnable(peer.host, vm)) {
		violate(
			simulation,
			'I4',
			`${vm.name} is promoted alone on ${host.name} while it can run on ${peer.host.name}`,
		);
	}
};

/** I5: a 4 or 7 rests on a durable record that names this host owner and alone in sync. */
const checkAnswer = (simulation: Simulation, replica: Replica, exitCode: number): void => {
	if (exitCode === 1) return;
	const { host, vm } = replica;
	const record = durableRecord(host, vm);
	const alone = record?.inSync.length === 1 && record.inSync[0] === host.name;
	if (record?.owner !== host.name || !alone) {
		violate(
			simulation,
			'I5',
			`the handler on ${host.name} answers ${exitCode} for ${vm.name} without a durable exclusion`,
		);
	}
	if (exitCode === 4) checkOutdated(simulation, replica);
	if (exitCode !== 4 && exitCode !== 7) {
		violate(simulation, 'I7', `the handler on ${host.name} answers ${exitCode}`);
	}
};

/** What DRBD shows is seen so late at most, and told by a document, ms. */
const answerDelayMs = 1500;

/** What was said of this loss before that moment is heard only now: in a moment, or when this host goes on again. */
const isOnItsWay = (
	{ queue }: Simulation,
	{ host, frozen, frozenChangedMs }: Replica,
	atMs: number,
) =>
	queue.nowMs - atMs < answerDelayMs ||
	(queue.nowMs - host.resumedMs < answerDelayMs && frozen && frozenChangedMs < atMs);

/** I3: a 4 says that the peer's disk is Outdated: it is, now or by its metadata. */
const checkOutdated = (simulation: Simulation, replica: Replica): void => {
	const peer = otherReplica(replica);
	const outdated = peer.up ? atMost(peer.disk, 'Outdated') : !peer.flags.upToDate;
	// A failed disk takes no mark; its host's durable record must count it out instead.
	const counted = durableRecord(peer.host, peer.vm)?.inSync.includes(peer.host.name) === false;
	const gone = peer.broken || peer.disk === 'Diskless';
	if (gone && counted) return;
	// Nor did it when it consented, and the disk was mended while the answer was on its way.
	if (counted && isOnItsWay(simulation, replica, peer.repairedMs)) return;
	// It did when it consented, and its file was lost while the answer was on its way: nobody can know.
	if (gone && isOnItsWay(simulation, replica, peer.host.fileReplacedMs)) return;
	// It was, for this very loss, and DRBD has connected it again since, which its host sees a moment later.
	if (counted && simulation.queue.nowMs - peer.outdatedMs < answerDelayMs) return;
	if (peer.vm.forcedOn.has(peer.host.name)) return;
	// Or a third voter holds that it misses writes: nobody promotes it without asking there.
	// (As it was last written: somebody may have emptied it since.)
	const written = simulation.witness?.written.get(replica.vm.engine.resource);
	if (written?.includes(peer.host.name) === false) return;
	if (outdated) return;
	violate(
		simulation,
		'I3',
		`the handler on ${replica.host.name} answers 4, but ${replica.vm.name} on ${peer.host.name} is ${peer.disk}`,
	);
};

/** P3: silence is a proof only when lease, watchdog and reset of the other host are over, in true time. */
const checkSilence = (simulation: Simulation, taker: SimHost): void => {
	const victim = peerOf(simulation, taker);
	const { witness } = victim.config;
	// A person's word is a proof of its own; the command counts renewals all the same.
	const proof = taker.agent?.loop.state.peer.proof ?? null;
	if (witness === null || proof?.kind === 'person') return;
	const dueMs = victim.votedMs + witness.leaseMs + witness.watchdogMs + resetGraceMs;
	if (simulation.queue.nowMs >= dueMs) return;
	violate(
		simulation,
		'P3',
		`${taker.name} takes over ${Math.ceil(dueMs - simulation.queue.nowMs)} ms before ${victim.name} is sure to be out`,
	);
};

/** The witness says that the silence of this host proves something. */
const isVouched = ({ witness }: Simulation, { name }: SimHost): boolean =>
	(witness?.record?.hosts[name]?.watchdogMs ?? null) !== null;

/** The host is disarmed, and its peer does not believe otherwise: it may only have been armed since. */
const knownDisarmed = (simulation: Simulation, host: SimHost): boolean => {
	const own = host.store.content;
	const theirs = peerOf(simulation, host).store.content;
	if (own === null || own === 'corrupt') return false;
	// Armed again since the watchdog was told to rest: it counts from when the other one learns of it.
	if (own.pair.armed) return theirs !== null && theirs !== 'corrupt' && !theirs.pair.armed;
	if (theirs === null || theirs === 'corrupt') return true;
	// An older file was put in the place of the one that knew: while what it had confirmed is being done, or its agent
	// acts only on the witness, which vouches no more.
	const replacedMs = simulation.queue.nowMs - peerOf(simulation, host).fileReplacedMs;
	if (replacedMs < answerDelayMs) return true;
	if (replacedMs < simulation.queue.nowMs && !isVouched(simulation, host)) return true;
	return !theirs.pair.armed || theirs.pair.generation > own.pair.generation;
};

/**
 * Armed again, on the peer first, while the order to let the watchdog rest was on its way: both knew of the disarm, and
 * nobody reckons with a watchdog before its host vouches for it anew.
 */
const isArmedMeanwhile = (simulation: Simulation, host: SimHost): boolean => {
	const { content } = host.store;
	if (content === null || content === 'corrupt' || !content.pair.armed) return false;
	const rests = content.witness?.disarmed === content.pair.generation - 1;
	return rests && !isVouched(simulation, host);
};

/** P3: nobody stops the watchdog that the other host may still reckon with (V17). */
const checkStop = (simulation: Simulation, host: SimHost): void => {
	if (knownDisarmed(simulation, host) || isArmedMeanwhile(simulation, host)) return;
	violate(simulation, 'P3', `${host.name} stops its watchdog, and its peer does not know it`);
};

/** I6: a host without a vote runs nothing that needs one, or its watchdog has reset it. */
const checkLease = (simulation: Simulation, host: SimHost): void => {
	const { witness } = host.config;
	const { content } = host.store;
	if (witness === null || !host.kernelUp || content === null || content === 'corrupt') return;
	const arbiter = content.arbiter?.next === null ? content.arbiter.now : 'witness';
	if (arbiter !== 'witness' || knownDisarmed(simulation, host)) return;
	const graceMs =
		host.watchdog?.armed === true ? witness.watchdogMs + resetGraceMs : pauseReactionMs;
	const sinceMs = Math.max(host.votedMs, host.bootedMs);
	const dueMs = sinceMs + (witness.leaseMs + graceMs) * clockSlack;
	if (simulation.queue.nowMs < dueMs) return;
	if (host.watchdog?.armed !== true && !couldPause(simulation, host, dueMs)) return;
	for (const vm of simulation.vms) {
		const record = durableRecord(host, vm);
		const needed =
			record?.owner === host.name && record.inSync.includes(peerOf(simulation, host).name);
		if (!needed || !isRunnable(host, vm)) continue;
		violate(simulation, 'I6', `${vm.name} runs on ${host.name}, whose last vote is long over`);
	}
};

/** Without a watchdog only the agent pauses: it ran all the time, and its tools answered. */
const couldPause = ({ queue }: Simulation, host: SimHost, dueMs: number): boolean => {
	const { agent } = host;
	const able =
		agent?.alive === true && !agent.stopped && !agent.loopStalled && !agent.threadStalled;
	const sinceMs = Math.max(host.agentSinceMs, host.xlHungUntilMs, dueMs);
	return able && !host.hung && queue.nowMs - sinceMs > pauseReactionMs;
};

/** I8: no resync overwrites the only copy of acknowledged data. */
const checkDirection = (simulation: Simulation, source: Replica, target: Replica): void => {
	const { vm } = source;
	if (vm.givenUp.has(target.host.name)) return;
	if (target.head === vm.acknowledged && source.head !== vm.acknowledged) {
		violate(
			simulation,
			'I8',
			`resync of ${vm.name} overwrites the newest copy, on ${target.host.name}`,
		);
	}
};

/** I8: a copy is given up only by a person, and only the one that the person named. */
const checkGivenUp = (simulation: Simulation, { host, vm }: Replica): void => {
	if (vm.givenUp.has(host.name)) return;
	violate(simulation, 'I8', `${host.name} gives up its copy of ${vm.name} and nobody asked for it`);
};

/** I9: never both hosts off for one fault; never more fences an hour than configured. */
const checkFence = (simulation: Simulation, victim: SimHost, honest: boolean): void => {
	const { nowMs } = simulation.queue;
	count(simulation, 'hosts fenced');
	victim.shotLate = victim.offAskedMs !== null && victim.offAskedMs < victim.agentSinceMs;
	// With several devices a late one may switch off again what was asked for once, and is on again.
	const late = victim.devices.some(({ behaviour }) => behaviour === 'late');
	const again = (victim.fencedAtMs.at(-1) ?? 0) >= (victim.offAskedMs ?? 0);
	if (victim.offAskedMs !== null && !(late && again)) victim.fencedAtMs.push(nowMs);
	const other = peerOf(simulation, victim);
	if (honest && !other.powered && other.offBy === 'fence') {
		violate(simulation, 'I9', `${victim.name} is fenced while ${other.name} is off by a fence`);
	}
	const recent = victim.fencedAtMs.filter((atMs) => nowMs - atMs < hourMs).length;
	const limit = victim.config.fencing?.perHourMax ?? 0;
	if (recent > limit) {
		violate(
			simulation,
			'I9',
			`${victim.name} was fenced ${recent} times within an hour, ${limit} are allowed`,
		);
	}
};

/** I5: what an agent tells its peer is durable here: the peer takes it for a promise. */
const checkDocument = (simulation: Simulation, agent: SimAgent, document: PeerDocument): void => {
	const { content } = agent.host.store;
	if (content === null || content === 'corrupt') {
		if (Object.keys(document.records).length > 0 && content === null) {
			violate(simulation, 'I5', `${agent.host.name} publishes records that are not durable`);
		}
		return;
	}
	for (const [resource, record] of Object.entries(document.records)) {
		const durable = content.resources[resource]?.record;
		if (same(durable, record)) continue;
		violate(
			simulation,
			'I5',
			`${agent.host.name} publishes a record of ${resource} that is not durable`,
		);
	}
};
