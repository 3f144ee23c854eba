import type { Condition } from '#src/alert/condition.ts';
import {
	apiVersion,
	type FencingView,
	type HostView,
	type LinkView,
	type SightView,
	type StatusView,
	type Verdict,
	type VmView,
} from '#src/api/view.ts';
import { activityOf } from '#src/engine/view-activity.ts';
import { apartView } from '#src/engine/view-apart.ts';
import { conditions } from '#src/engine/conditions.ts';
import { byPriority, type EngineVm } from '#src/engine/config.ts';
import { drainOf } from '#src/engine/drain.ts';
import {
	busy,
	joined,
	localOf,
	observedOf,
	presenceOf,
	recordOf,
	vmStateOf,
} from '#src/engine/draft.ts';
import { fenceDelayMs, fencesLastHour, holdWords } from '#src/engine/fencing.ts';
import { handoverBlocker } from '#src/engine/handover.ts';
import { inContact } from '#src/engine/join.ts';
import { migrationBlocker } from '#src/engine/migration.ts';
import { isOverdue, overdueNext, overdueWords, pauseLeftMs, pauseOf } from '#src/engine/pause.ts';
import { attemptsOf, degradedLevel, powerOf } from '#src/engine/ladder.ts';
import { proofOf } from '#src/engine/peer.ts';
import { pairBlocker, readinessOf, runsSomewhere } from '#src/engine/readiness.ts';
import type { State } from '#src/engine/state.ts';
import { attemptsMax, triesAt } from '#src/fence/ladder.ts';
import {
	balanceView,
	healthView,
	ownBurden,
	peerBurden,
	vmLoadView,
} from '#src/engine/view-load.ts';
import { witnessView } from '#src/engine/view-witness.ts';
import { arbiterOf } from '#src/engine/voters.ts';
import { span } from '#src/std/span.ts';
import { isConnected, isFrozen, isResyncing, lowestDisk, outOfSyncKib } from '#src/drbd/role.ts';

const selfHost = (state: State, nowMs: number): HostView => ({
	host: state.config.self,
	self: true,
	state: 'online',
	ageMs: nowMs - state.startedAtMs,
	reason: '',
	heardAgeMs: 0,
	bootId: state.bootId,
	version: state.config.version,
	joined: joined(state),
	lagMs: 0,
	freeMemoryMib: state.vms === null ? null : state.freeMemoryMib,
	configAgrees: true,
	standby: state.persisted.standby !== null,
	emptied: drainOf(state) !== null,
	...ownBurden(state),
});

const peerReason = (state: State, nowMs: number): string => {
	const { peer } = state;
	switch (peer.status) {
		case 'out':
		case 'left':
			return peer.proof?.by ?? '';
		case 'agent-down':
			return peer.links.some((link) => link.refused)
				? 'its kernel refuses connections: the host lives'
				: 'DRBD is still connected to it: its kernel lives';
		case 'lost':
			return holdWords(state.fencing.hold, nowMs) ?? '';
		case 'suspect':
			return 'no beats on any link';
		case 'unknown':
			return `not heard since this agent started ${Math.round((nowMs - state.startedAtMs) / 1000)} s ago`;
		case 'online':
			return '';
	}
};

/** While beats arrive it is heard now. */
const heardAgeMs = ({ peer: { status, heardMs } }: State, nowMs: number): number | null =>
	heardMs === null ? null : status === 'online' ? 0 : nowMs - heardMs;

const peerHost = (state: State, nowMs: number): HostView => {
	const { peer, config } = state;
	const { document } = peer;
	return {
		host: config.peer,
		self: false,
		state: peer.status,
		ageMs: nowMs - peer.statusSinceMs,
		reason: peerReason(state, nowMs),
		heardAgeMs: heardAgeMs(state, nowMs),
		bootId: peer.bootId,
		version: document?.version ?? null,
		joined: document?.joined ?? null,
		lagMs: peer.hearing === 'online' ? peer.lagMs : null,
		freeMemoryMib: document?.freeMemoryMib ?? null,
		configAgrees: document === null ? null : document.configDigest === config.digest,
		standby: document?.standby ?? null,
		emptied: document?.emptied ?? null,
		...peerBurden(state),
	};
};

const linkViews = (state: State, nowMs: number): LinkView[] =>
	state.config.links.map(({ link, switched }) => {
		const observed = state.peer.links.find((each) => each.link === link);
		const sinceMs = state.peer.linkSilentSinceMs[link] ?? state.peer.linksAtMs;
		return {
			link,
			state: observed?.state ?? 'unknown',
			ageMs: observed === undefined ? null : nowMs - sinceMs,
			rttMs: observed?.rttMs ?? null,
			carrier: observed?.carrier ?? null,
			refused: observed?.refused ?? false,
			switched,
		};
	});

const since = (atMs: number | null, nowMs: number): number | null =>
	atMs === null ? null : nowMs - atMs;

const fencingView = (state: State, nowMs: number): FencingView | null => {
	const { config, persisted, peer } = state;
	if (config.fencing === null) return null;
	const power = powerOf(state);
	const open = persisted.openFence;
	return {
		target: config.peer,
		power: power?.state ?? 'unknown',
		powerAgeMs: power === null ? null : nowMs - power.atMs,
		levels: config.fencing.levels.map((level, index) => ({
			level: index + 1,
			power: peer.power[index]?.state ?? 'unknown',
			ageMs: since(peer.power[index]?.atMs ?? null, nowMs),
			devices: level.devices.map((device) => {
				const said = peer.power[index]?.devices.find((each) => each.device === device);
				return {
					device,
					power: said?.power ?? 'unknown',
					detail: (said?.detail ?? '').slice(0, 512),
				};
			}),
			attempts: triesAt(state.fencing.tries, index).sent,
			attemptsMax: level.attempts,
		})),
		openFence:
			open === null
				? null
				: { target: open.target, ageMs: open.bootId === state.bootId ? nowMs - open.atMs : null },
		attempts: attemptsOf(state),
		attemptsMax: attemptsMax(config.fencing.levels),
		lastHour: fencesLastHour(state, nowMs),
		perHourMax: config.fencing.perHourMax,
		delayMs: fenceDelayMs(state),
	};
};

const ownSight = (state: State, vm: EngineVm, nowMs: number): SightView => {
	const observed = observedOf(state, vm.resource);
	return {
		host: state.config.self,
		presence: presenceOf(state, vm.vm),
		role: observed?.role ?? null,
		disk: observed === undefined ? null : lowestDisk(observed),
		connected: observed !== undefined && isConnected(observed),
		frozen: observed !== undefined && isFrozen(observed),
		ageMs: state.resources === null ? null : nowMs - state.resources.atMs,
	};
};

const peerSight = (state: State, vm: EngineVm, nowMs: number): SightView => {
	const { peer, config } = state;
	const sight = peer.document?.sights[vm.resource];
	return {
		host: config.peer,
		presence: sight?.presence ?? 'unknown',
		role: sight?.role ?? null,
		disk: sight?.disk ?? null,
		connected: sight?.connected ?? false,
		frozen: sight?.frozen ?? false,
		// While beats arrive the last document is the present one: it is sent again with every change.
		ageMs: peer.document === null ? null : heardAgeMs(state, nowMs),
	};
};

const vmStateWord = (state: State, vm: EngineVm, runsOn: string | null): VmView['state'] => {
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	const presence = presenceOf(state, vm.vm);
	if (record !== undefined && record.journal !== null) return 'moving';
	const sight = state.peer.document?.sights[vm.resource];
	const frozen =
		(observed !== undefined && isFrozen(observed) && observed.role === 'Primary') ||
		(state.peer.status === 'online' && sight?.frozen === true && sight.role === 'Primary');
	if (frozen) return 'frozen';
	if (runsOn !== null)
		return vmStateOf(state, vm.vm).shutdownAskedMs === null ? 'running' : 'stopping';
	if (busy(state, vm.vm, ['create-vm', 'unpause-vm']) || state.vms?.value[vm.vm]?.neverRan === true)
		return 'starting';
	if (presence === 'paused') return 'paused';
	const { status } = state.peer;
	// A host that has not met its peer since it booted has a record that may be of long ago.
	const elsewhere = record?.owner === state.config.peer || !joined(state);
	const silent = status === 'online' && sight?.presence === 'unknown';
	const hidden = elsewhere && (silent || !['online', 'out', 'left'].includes(status));
	if (presence === 'unknown' || hidden) return 'unknown';
	return record?.wanted === 'stopped' ? 'stopped' : 'down';
};

const resyncOf = (state: State, vm: EngineVm): VmView['resync'] => {
	const observed = observedOf(state, vm.resource);
	if (observed === undefined || !isResyncing(observed)) return null;
	return { outOfSyncKib: outOfSyncKib(observed), donePercent: null };
};

type Move = (state: State, vm: EngineVm) => string | null;

/** Whether this way to the other host is open; null on a host that does not own the VM. */
const wayView = (state: State, vm: EngineVm, blockerOf: Move): VmView['migration'] => {
	if (recordOf(state, vm.resource)?.owner !== state.config.self) return null;
	const blocker = blockerOf(state, vm);
	return { ready: blocker === null, blocker: blocker ?? '' };
};

const vmView = (state: State, vm: EngineVm, nowMs: number): VmView => {
	const record = recordOf(state, vm.resource);
	const runsOn = runsSomewhere(state, vm);
	return {
		vm: vm.vm,
		resource: vm.resource,
		priority: vm.priority,
		owner: record?.owner ?? null,
		wanted: record?.wanted ?? 'running',
		state: vmStateWord(state, vm, runsOn),
		runsOn,
		ageMs: runsOn === state.config.self ? since(vmStateOf(state, vm.vm).runsSinceMs, nowMs) : null,
		sights: [ownSight(state, vm, nowMs), peerSight(state, vm, nowMs)],
		load: vmLoadView(state, vm.vm),
		inSync: [...(record?.inSync ?? [])],
		generation: record?.generation ?? 0,
		activity: activityOf(state, vm, nowMs),
		resync: resyncOf(state, vm),
		lastDrill: localOf(state, vm.resource)?.lastDrill ?? null,
		apart: apartView(state, vm),
		handover: wayView(state, vm, handoverBlocker),
		migration: wayView(state, vm, migrationBlocker),
		failover: { ...readinessOf(state, vm, nowMs) },
	};
};

interface Judgement {
	readonly verdict: Verdict;
	readonly reason: string;
	readonly next: string;
}

/** It shall run and does not, or may not: one on a silent host that nobody can take over is no better than down. */
const isStuck = ({ vm, wanted, state }: VmView, paged: readonly Condition[]): boolean =>
	wanted === 'running' &&
	(['down', 'frozen', 'paused'].includes(state) ||
		(state === 'unknown' &&
			paged.some(({ name, subject }) => name === 'vm-down' && subject === vm)));

const judgePause = (state: State, nowMs: number): Judgement | null => {
	const pause = pauseOf(state);
	if (pause === null) return null;
	const { by, reason, until } = pause;
	const verdict = 'paused';
	if (isOverdue(state))
		return {
			verdict,
			reason: `by ${by} until ${until}: ${reason}; ${overdueWords(state)}`,
			next: overdueNext(state),
		};
	const left = span(pauseLeftMs(state, nowMs) ?? 0);
	return {
		verdict,
		reason: `by ${by} until ${until} (${left} left): ${reason}`,
		next: 'vmpair resume',
	};
};

/** The one word, from the VMs and what keeps the pair from acting. */
const judge = (state: State, vms: readonly VmView[], nowMs: number): Judgement => {
	const proof = proofOf(state, nowMs);
	const paged = conditions(state, nowMs).filter((each) => each.severity === 'critical');
	const [worst] = paged;
	const stuck = vms.find((vm) => isStuck(vm, paged));
	const moving = vms.find((vm) => vm.state === 'starting' || vm.activity.startsWith('its disk'));
	if (moving !== undefined && proof !== null)
		return {
			verdict: 'failing-over',
			reason: `${moving.vm} is being started on ${state.config.self}`,
			next: 'vmpair status -w',
		};
	if (stuck !== undefined) {
		const why = paged.find((each) => each.subject === stuck.vm);
		return {
			verdict: state.peer.status === 'suspect' ? 'failing-over' : 'holding',
			reason: why?.summary ?? `${stuck.vm} is ${stuck.state}: ${stuck.activity}`,
			next: why?.next ?? 'vmpair history',
		};
	}
	if (!state.persisted.pair.armed) {
		const { by, reason } = state.persisted.pair;
		return { verdict: 'disarmed', reason: `by ${by}: ${reason}`, next: 'vmpair arm' };
	}
	const paused = judgePause(state, nowMs);
	if (paused !== null) return paused;
	const blocked = pairBlocker(state, nowMs);
	if (blocked !== null)
		return {
			verdict: 'unprotected',
			reason: worst?.summary ?? blocked.blocker,
			next: worst?.next ?? blocked.next,
		};
	const unready = vms.filter((vm) => !vm.failover.ready);
	// What pages somebody comes before what is over by itself.
	const page = paged.find(({ subject }) => unready.some(({ vm }) => vm === subject));
	if (page !== undefined) return { verdict: 'degraded', reason: page.summary, next: page.next };
	const [first] = unready;
	if (first !== undefined)
		return {
			verdict: 'degraded',
			reason: `${first.vm}: ${first.failover.blocker}`,
			next: first.failover.next,
		};
	const degraded = degradedLevel(state);
	if (degraded !== null)
		return {
			verdict: 'degraded',
			reason: `every VM would run again on the other host, but ${degraded}`,
			next: 'vmpair fence check',
		};
	return {
		verdict: 'protected',
		reason: `every VM would run again on the other host (${vms.length} VMs)`,
		next: '',
	};
};

const pauseView = (state: State, nowMs: number): StatusView['pause'] => {
	const pause = pauseOf(state);
	const leftMs = pauseLeftMs(state, nowMs);
	return pause === null || leftMs === null ? null : { ...pause, leftMs };
};

/**
 * What `vmpair status` shows, from this host's point of view.
 * @param nowMs monotonic, ms.
 */
export const statusView = (state: State, nowMs: number): StatusView => {
	const { config, persisted } = state;
	const vms = config.vms.toSorted(byPriority).map((vm) => vmView(state, vm, nowMs));
	return {
		apiVersion,
		pairId: config.pairId,
		self: config.self,
		peer: config.peer,
		...judge(state, vms, nowMs),
		arbiter: arbiterOf(state),
		armed: {
			armed: persisted.pair.armed,
			by: persisted.pair.by,
			reason: persisted.pair.reason,
			at: persisted.pair.at,
		},
		pause: pauseView(state, nowMs),
		preflight: [
			...(state.armBlockers ?? []),
			...(inContact(state) ? (state.peer.document?.armBlockers ?? []) : []),
		],
		hosts: [selfHost(state, nowMs), peerHost(state, nowMs)],
		links: linkViews(state, nowMs),
		fencing: fencingView(state, nowMs),
		witness: witnessView(state, nowMs),
		balance: balanceView(state, nowMs),
		health: healthView(state, nowMs),
		vms,
		timing: { ...config.timing },
	};
};
