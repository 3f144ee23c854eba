import type { StatusView } from '#src/api/view.ts';
import { type Course, type Question, type WhatIf, whatIfVersion } from '#src/api/what-if.ts';
import type { State } from '#src/engine/state.ts';
import { statusView } from '#src/engine/view.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import { createSimulation } from '#src/sim/build.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { Simulation } from '#src/sim/model.ts';
import { hostClock } from '#src/sim/model.ts';
import { presentOf } from '#src/sim/present.ts';
import { runNext } from '#src/sim/queue.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import {
	courseOf,
	createRecording,
	lookAt,
	recorder,
	type Recording,
} from '#src/sim/what-if-record.ts';
import { VmpairError } from '#src/std/error.ts';

/**
 * Answers "what if": puts a simulated pair where a real one stands, checks that its agents see there what the real one
 * sees, lets the thing happen, and follows both engines until nothing more happens. The engine, its rules and the world
 * are those of every scenario; what happens in this world reaches no other.
 */

/** The agents in the simulated pair have so long to see what the real one sees. */
const settleMs = 60_000;
/** It stays like that for so long before something happens: votes, readings of power and alerts have settled. */
const steadyMs = 20_000;
/** Nothing new for so long: it is over. Longer than an `off` may lie in a device, and than a host takes to boot. */
const quietMs = 90_000;
const followMaxMs = 20 * 60_000;
/** A runaway simulation ends here. */
const eventsMax = 1_000_000;

const notLikeNow = (differences: readonly string[]): VmpairError =>
	new VmpairError(
		'what-if-unlike',
		`what happens now can not be simulated: ${differences.slice(0, 3).join('; ')}`,
		{ next: 'vmpair status says of each VM whether a failover would work now' },
	);

/** What must be the same in the real pair and in the simulated one, each as a sentence. */
const factsOf = (view: StatusView): string[] => [
	`the pair is ${view.armed.armed ? 'armed' : 'disarmed'}`,
	`the arbiter is ${view.arbiter}`,
	...(view.fencing === null
		? []
		: [`the fence devices of ${view.fencing.target} read ${view.fencing.power}`]),
	...(view.witness === null
		? []
		: [`the witness ${view.witness.grants ? 'grants' : 'does not grant'}`]),
	...view.hosts.map(
		({ host, state, standby, emptied }) =>
			`${host} is ${state}${standby === true ? ' in standby' : ''}${emptied === true ? ', being emptied' : ''}`,
	),
	...view.vms.flatMap(({ vm, state, runsOn, owner, wanted, sights, failover }) => [
		`${vm} is ${state} on ${runsOn ?? 'no host'}, owned by ${owner ?? 'nobody'} and wanted ${wanted}`,
		`the copies of ${vm} are ${sights.map(({ disk, role }) => `${disk ?? 'down'} ${role ?? ''}`).join('/')}`,
		`a failover of ${vm} ${failover.ready ? 'would work' : 'would not work'}`,
	]),
];

const viewOf = (simulation: Simulation): StatusView | null => {
	const [self] = simulation.hosts;
	if (self.agent?.alive !== true) return null;
	return statusView(self.agent.loop.state, hostClock(simulation, self));
};

/** Runs until the first agent has seen for a while what the real one sees. Throws `what-if-unlike`. */
const settle = (simulation: Simulation, wanted: readonly string[]): void => {
	const { queue } = simulation;
	let likeSinceMs: number | null = null;
	let missing: readonly string[] = wanted;
	let seen = -1;
	for (let events = 0; events < eventsMax; events += 1) {
		if (simulation.changes !== seen) {
			seen = simulation.changes;
			const view = viewOf(simulation);
			const facts = new Set(view === null ? [] : factsOf(view));
			missing = wanted.filter((fact) => !facts.has(fact));
			likeSinceMs = missing.length === 0 ? (likeSinceMs ?? queue.nowMs) : null;
		}
		if (likeSinceMs !== null && queue.nowMs - likeSinceMs >= steadyMs) return;
		if (queue.nowMs > settleMs || !runNext(queue, settleMs + 1)) break;
	}
	throw notLikeNow(missing.map((fact) => `there it does not come out that ${fact}`));
};

const stepOf = (question: Question, self: string): ScenarioStep => {
	switch (question.kind) {
		case 'dead':
			return { do: 'power-cut', host: question.host, bmcToo: false };
		case 'cut':
			return { do: 'cut', network: question.link, traffic: 'all' };
		case 'migrate':
			return { do: 'migrate', vm: question.vm, host: self, to: null };
	}
};

const follow = (simulation: Simulation, recording: Recording): boolean => {
	const { queue } = simulation;
	const endMs = queue.nowMs + followMaxMs;
	for (let events = 0; events < eventsMax; events += 1) {
		const quietAtMs = recording.newsMs + quietMs;
		if (!runNext(queue, Math.min(endMs, quietAtMs))) {
			queue.nowMs = Math.min(endMs, quietAtMs);
			lookAt(recording);
			return quietAtMs <= endMs;
		}
		lookAt(recording);
	}
	return false;
};

interface Asked {
	readonly state: State;
	readonly document: PeerDocument;
	readonly question: Question;
}

const courseFor = (
	{ state, document, question }: Asked,
	replicationLink: string | null,
	assuming: string,
): Course => {
	let recording: Recording | null = null;
	const present = presentOf(state, document, replicationLink);
	const simulation = createSimulation({
		world: present.world,
		present,
		seed: 1,
		mutation: 'none',
		trace: null,
		observer: (made) => recorder(made, () => recording),
		persistMaxMs: 10,
		observeMaxMs: 40,
		clockRates: [1, 1],
	});
	settle(simulation, factsOf(statusView(state, state.steppedAtMs)));
	recording = createRecording(simulation);
	applyStep(simulation, stepOf(question, state.config.self), 'what-if');
	lookAt(recording);
	const quiet = follow(simulation, recording);
	return courseOf(recording, assuming, quiet);
};

/** DRBD's own address is not known here: a cut is followed with it on the link, and on another one. */
const coursesFor = (asked: Asked): Course[] => {
	const { question, state } = asked;
	if (question.kind !== 'cut') return [courseFor(asked, null, '')];
	const { link } = question;
	const other = state.config.links.find((each) => each.link !== link)?.link;
	if (other === undefined) return [courseFor(asked, link, '')];
	return [
		courseFor(asked, link, `DRBD uses ${link}`),
		courseFor(asked, other, `DRBD uses ${other}`),
	];
};

const assumptionsOf = (question: Question, { config }: State): string[] => {
	const { self, peer } = config;
	const common = [
		'tools, disks and guests take the times of a quiet pair; the boot of a guest is not counted',
		`what ${peer} would do follows from what it has told ${self}`,
	];
	switch (question.kind) {
		case 'dead':
			return [
				`${question.host} loses power at once, and its fence devices go on answering`,
				...common,
				...(question.host === self
					? [`ask there for its own view: on ${peer}: vmpair what-if ${self} dead`]
					: []),
			];
		case 'cut':
			return [`nothing passes on ${question.link} any more, in either direction`, ...common];
		case 'migrate':
			return ['the memory of a guest goes over in seconds; a big one takes longer', ...common];
	}
};

/**
 * What would happen from this state on. Throws `what-if-alone` when the hosts do not hear each other or are not known
 * well enough, and `what-if-unlike` when the simulated pair does not come out as the real one is.
 * @param state of a running agent; it is only read.
 */
export const whatIf = (state: State, question: Question): WhatIf => {
	const { config, persisted, peer, resources, vms } = state;
	const { document } = peer;
	if (peer.status !== 'online' || document === null || resources === null || vms === null)
		throw new VmpairError(
			'what-if-alone',
			peer.status === 'online'
				? `${config.self} has not seen everything yet`
				: `${config.peer} is ${peer.status}: what would happen with two hosts can not be told now`,
			{ next: 'vmpair status says what happens now' },
		);
	const { armed, by, reason } = persisted.pair;
	return {
		apiVersion: whatIfVersion,
		self: config.self,
		peer: config.peer,
		question,
		idle: armed ? '' : `the pair is disarmed by ${by}: ${reason || 'no reason given'}`,
		assumptions: assumptionsOf(question, state),
		courses: coursesFor({ state, document, question }),
	};
};
