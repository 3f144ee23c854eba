import { type Condition, rank } from '#src/alert/condition.ts';
import type { Course, CourseAlert, CourseVm } from '#src/api/what-if.ts';
import type { Note } from '#src/engine/action.ts';
import { conditions } from '#src/engine/conditions.ts';
import type { PeerStatus } from '#src/engine/state.ts';
import { statusView } from '#src/engine/view.ts';
import type { Observer } from '#src/sim/checker.ts';
import type { SimAgent, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { hostClock, peerOf, replicaOf } from '#src/sim/model.ts';
import { isRunnable } from '#src/sim/truth.ts';

/** What is written down of one course of a simulated pair: what both engines do, and what becomes of the VMs. */

interface Track {
	readonly vm: SimVm;
	readonly from: string | null;
	runsOn: string | null;
	held: boolean;
	downMs: number;
	heldMs: number;
	order: number | null;
	proof: string | null;
}

type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

export interface Recording {
	readonly simulation: Simulation;
	readonly sinceMs: number;
	readonly tracks: readonly Track[];
	readonly moments: Course['moments'][number][];
	readonly alerts: Writable<CourseAlert>[];
	/** Conditions that were open at the beginning and are since. */
	readonly old: Set<string>;
	/** Conditions that each host sees, and whether it is up. */
	readonly open: Map<string, readonly Condition[]>;
	readonly up: Map<string, boolean>;
	reply: Course['reply'];
	lookedMs: number;
	/** When something was last written down, in the time of the simulation, ms. */
	newsMs: number;
}

const agentsOf = ({ hosts }: Simulation): SimAgent[] =>
	hosts.flatMap(({ agent }) => (agent?.alive === true ? [agent] : []));

const conditionsOf = (simulation: Simulation, { host, loop }: SimAgent): readonly Condition[] =>
	conditions(loop.state, hostClock(simulation, host));

const runsOn = ({ hosts }: Simulation, vm: SimVm): string | null =>
	hosts.find((host) => isRunnable(host, vm))?.name ?? null;

const isHeld = ({ hosts }: Simulation, vm: SimVm): boolean =>
	hosts.some((host) => isRunnable(host, vm) && replicaOf(host, vm).frozen);

/** Begins to write down. */
export const createRecording = (simulation: Simulation): Recording => {
	const { nowMs } = simulation.queue;
	const agents = agentsOf(simulation);
	const open = new Map(agents.map((each) => [each.host.name, conditionsOf(simulation, each)]));
	return {
		simulation,
		sinceMs: nowMs,
		tracks: simulation.vms.map((vm) => {
			const from = runsOn(simulation, vm);
			const held = isHeld(simulation, vm);
			return { vm, from, runsOn: from, held, downMs: 0, heldMs: 0, order: null, proof: null };
		}),
		moments: [],
		alerts: [],
		old: new Set([...open.values()].flat().map(({ key }) => key)),
		open,
		up: new Map(simulation.hosts.map((host) => [host.name, host.kernelUp])),
		reply: null,
		lookedMs: nowMs,
		newsMs: nowMs,
	};
};

const sayOf = (recording: Recording, host: string, text: string): void => {
	const { nowMs } = recording.simulation.queue;
	recording.moments.push({ afterMs: nowMs - recording.sinceMs, host, text });
	recording.newsMs = nowMs;
};

const peerWords: Readonly<Record<PeerStatus, string>> = {
	unknown: 'not known yet',
	online: 'heard',
	suspect: 'silent: suspect',
	'agent-down': 'silent, but its kernel lives',
	lost: 'silent for the detection time: lost',
	left: 'gone on purpose',
	out: 'out',
};

const takeNote = (
	recording: Recording,
	{ name: host }: SimHost,
	{ message, fields }: Note,
): void => {
	const field = (key: string): string => String(fields[key]);
	if (message === 'peer status change') {
		const words = peerWords[field('to') as PeerStatus];
		const proof = fields['proof'] === null ? '' : ` (proof: ${field('proof')})`;
		sayOf(recording, host, `${field('host')} is ${words}${proof}`);
	} else if (message === 'takeover') {
		const track = recording.tracks.find(({ vm }) => vm.name === fields['vm']);
		if (track !== undefined) track.proof = field('proof');
		sayOf(recording, host, `takes over ${field('vm')} (proof: ${field('proof')})`);
	}
};

const takeStep = (recording: Recording, agent: SimAgent): void => {
	recording.open.set(agent.host.name, conditionsOf(recording.simulation, agent));
	takeAlerts(recording, agent.host);
};

/** Both agents tell of one trouble; it is one alert, from the first that sees it to the last. */
const takeAlerts = (recording: Recording, { name: host }: SimHost): void => {
	const { nowMs } = recording.simulation.queue;
	const afterMs = nowMs - recording.sinceMs;
	const now = new Map([...recording.open.values()].flat().map((each) => [each.key, each]));
	for (const key of recording.old) if (!now.has(key)) recording.old.delete(key);
	for (const alert of recording.alerts.filter(({ resolvedMs }) => resolvedMs === null)) {
		const present = now.get(alert.key);
		if (present === undefined) alert.resolvedMs = afterMs;
		else if (rank[present.severity] > rank[alert.severity]) {
			const { severity, summary, next } = present;
			Object.assign(alert, { severity, summary, next });
		} else continue;
		recording.newsMs = nowMs;
	}
	for (const { key, severity, summary, next } of now.values()) {
		const isOpen = recording.alerts.some((each) => each.key === key && each.resolvedMs === null);
		if (isOpen || recording.old.has(key)) continue;
		recording.alerts.push({ afterMs, host, key, severity, summary, next, resolvedMs: null });
		recording.newsMs = nowMs;
	}
};

/** What the world tells while it runs; `recording` is null until something is supposed. */
export const recorder = (simulation: Simulation, recording: () => Recording | null): Observer => {
	const nothing = (): void => {};
	const within = (write: (recording: Recording) => void): void => {
		const present = recording();
		if (present !== null) write(present);
	};
	return {
		vmRuns: nothing,
		promoted: nothing,
		persisted: nothing,
		handlerAnswered: nothing,
		dataGivenUp: nothing,
		resyncBegins: nothing,
		tookOver: nothing,
		watchdogStops: nothing,
		fenced: nothing,
		loneWrite: nothing,
		published: nothing,
		fenceSent: (victim) =>
			within((to) =>
				sayOf(to, peerOf(simulation, victim).name, `tells the fence device of ${victim.name}: off`),
			),
		stepped: (agent) => within((to) => takeStep(to, agent)),
		noted: (host, note) => within((to) => takeNote(to, host, note)),
		replied: (_host, _request, reply) =>
			within((to) => {
				to.reply = { ...reply };
			}),
		broke: (agent, error) => {
			throw new Error(`the simulated agent of ${agent.host.name} stops: ${error.message}`);
		},
	};
};

const lookAtHost = (recording: Recording, host: SimHost): void => {
	if (recording.up.get(host.name) === host.kernelUp) return;
	recording.up.set(host.name, host.kernelUp);
	if (!host.kernelUp) recording.open.delete(host.name);
	const down = host.powered ? 'resets: everything on it stops' : 'is without power';
	sayOf(recording, host.name, host.kernelUp ? 'has booted' : down);
};

/** How a VM has stopped to run on a host that goes on. */
const endWords = (host: SimHost | undefined, vm: SimVm): string | null => {
	if (host?.kernelUp !== true) return null;
	return host.domains.get(vm.name)?.presence === 'paused' ? 'is paused' : 'is not here any more';
};

const lookAtVm = (recording: Recording, track: Track, passedMs: number): void => {
	const { simulation } = recording;
	const { vm } = track;
	if (track.runsOn === null) track.downMs += passedMs;
	if (track.held) track.heldMs += passedMs;
	const now = runsOn(simulation, vm);
	const held = isHeld(simulation, vm);
	if (now !== track.runsOn && track.runsOn !== null) {
		const words = endWords(
			simulation.hosts.find(({ name }) => name === track.runsOn),
			vm,
		);
		if (words !== null) sayOf(recording, track.runsOn, `${vm.name} ${words}`);
	}
	if (now !== track.runsOn && now !== null) {
		const orders = recording.tracks.map(({ order }) => order ?? 0);
		track.order ??= Math.max(...orders) + 1;
		sayOf(recording, now, `${vm.name} runs`);
	}
	if (held !== track.held && now !== null)
		sayOf(recording, now, `writes of ${vm.name} ${held ? 'are held back' : 'go on'}`);
	track.runsOn = now;
	track.held = held;
};

/** Looks at hosts and VMs; to be called after everything that happens. */
export const lookAt = (recording: Recording): void => {
	const { nowMs } = recording.simulation.queue;
	const passedMs = nowMs - recording.lookedMs;
	recording.lookedMs = nowMs;
	for (const host of recording.simulation.hosts) lookAtHost(recording, host);
	for (const track of recording.tracks) lookAtVm(recording, track, passedMs);
};

const fateOf = ({ from, runsOn: to, held, proof, downMs }: Track): CourseVm['fate'] => {
	if (to === null) return from === null ? 'stopped' : 'stays-down';
	if (held) return 'frozen';
	if (to !== from) return proof === null && from !== null ? 'moved' : 'taken-over';
	return downMs > 0 ? 'restarted' : 'stays';
};

/** What keeps a VM down or frozen, by those who are left to tell. */
const blockerOf = (
	{ simulation, open }: Recording,
	{ vm }: Track,
): { blocker: string; next: string } => {
	const told = [...open.values()].flat().filter(({ severity }) => severity === 'critical');
	const own = told.find(({ subject }) => subject === vm.name) ?? told[0];
	if (own !== undefined) return { blocker: own.summary, next: own.next };
	for (const { host, loop } of agentsOf(simulation)) {
		const view = statusView(loop.state, hostClock(simulation, host));
		const found = view.vms.find((each) => each.vm === vm.name);
		const blocker = found?.activity || found?.failover.blocker || view.reason;
		return { blocker, next: found?.failover.next || view.next };
	}
	return { blocker: 'no agent is left that could do anything', next: 'look at both hosts' };
};

const needsBlocker: ReadonlySet<CourseVm['fate']> = new Set(['frozen', 'stays-down']);

/** Everything that was written down. */
export const courseOf = (recording: Recording, assuming: string, quiet: boolean): Course => ({
	assuming,
	reply: recording.reply,
	moments: recording.moments,
	vms: recording.tracks.map((track) => {
		const { vm, from, runsOn: to, downMs, heldMs, order, proof } = track;
		const fate = fateOf(track);
		return {
			vm: vm.name,
			from,
			to,
			fate,
			// One that does not run now is not missed.
			downMs: from === null ? 0 : downMs,
			heldMs,
			proof,
			order: fate === 'moved' ? null : order,
			...(needsBlocker.has(fate) ? blockerOf(recording, track) : { blocker: '', next: '' }),
		};
	}),
	alerts: recording.alerts,
	followedMs: recording.lookedMs - recording.sinceMs,
	quiet,
});
