import type { BalanceSettings } from '#src/config/balance.ts';
import { type HostLoad, type LoadKind, loadKinds, type VmLoad } from '#src/ports-load.ts';
import type { HostName, VmName } from '#src/ports.ts';
import type { Overload } from '#src/migrate/sustain.ts';
import { formatDuration } from '#src/std/duration.ts';

/**
 * Which VM is moved because its host is overloaded, or why none is (docs/protocol.md, section 10; docs/load.md). Each
 * host decides for its own VMs, from the load of both. What is not known moves nothing.
 */

/**
 * What a link is reckoned to carry for a migration, MiB a second: gigabit Ethernet. On a faster one a move is only
 * quicker than reckoned.
 */
const linkMibPerS = 100;
/** A guest that changes its memory faster than this share of the link does not get across: xl stops it for seconds. */
const inflowMax = 0.6;
/** Moves that take as long within this time are equal, and preferences decide, s. */
const alikeS = 10;

/** A running VM of either host. */
export interface LoadVm {
	readonly vm: VmName;
	readonly memoryMib: number;
	readonly on: HostName;
	readonly pinned: boolean;
	readonly near: readonly VmName[];
	readonly apart: readonly VmName[];
	/** What it used here; null: not known. */
	readonly load: VmLoad | null;
	/** What is left of its rest after a move, ms. */
	readonly restMs: number;
	/** Why it can't go live now, as a sentence; null when it can. */
	readonly blocker: string | null;
}

/** One host as far as moves because of load need it. */
interface LoadHost {
	readonly host: HostName;
	readonly load: HostLoad | null;
	/** Physical CPUs; null: not known. */
	readonly cpus: number | null;
	/** What VMs may still take, MiB. */
	readonly freeMib: number;
}

export interface LoadView {
	readonly settings: BalanceSettings;
	/** The host that decides, and the one that its VMs may go to. */
	readonly here: LoadHost;
	readonly there: LoadHost;
	readonly overloads: readonly Overload[];
	/** What is left of the rest of the pair after a move, ms. */
	readonly pairRestMs: number;
	/** Why nothing at all is moved now, as a sentence without figures; null when something may be. */
	readonly blocker: string | null;
	/** Critical health checks of the other host. */
	readonly critical: readonly string[];
	readonly vms: readonly LoadVm[];
}

/**
 * - `calm`: nothing is overloaded. `stay`: something is, and nothing is moved. `move`: this VM goes to the other host.
 */
export interface LoadVerdict {
	readonly kind: 'calm' | 'stay' | 'move';
	/** Its reason without the figures, which are other ones at each reading. */
	readonly key: string;
	readonly vm: VmName | null;
	/** What is overloaded and what follows, for people; empty when nothing is. */
	readonly sentence: string;
	/** The reason of a move, short. */
	readonly why: string;
	/** Of a move: where the other host would be after it. */
	readonly projected: HostLoad | null;
}

export const calm: LoadVerdict = {
	kind: 'calm',
	key: 'calm',
	vm: null,
	sentence: '',
	why: '',
	projected: null,
};

/** 0.926 as `93 %`. */
const percent = (share: number | null): string =>
	share === null ? 'unknown' : `${Math.round(share * 100)} %`;

/** Whole seconds below two minutes, then whole minutes: `45s`, `3m`, `1h5m`. */
const roughly = (durationMs: number, round = Math.floor): string => {
	const unitMs = durationMs < 120_000 ? 1000 : 60_000;
	return formatDuration(round(durationMs / unitMs) * unitMs);
};

const overloadWords = ({ kind, share, forMs }: Overload): string => {
	const lasting = forMs === null ? '' : ` for ${roughly(forMs)}`;
	return share === null
		? `${kind} above its limit${lasting}, unknown now`
		: `${kind} ${percent(share)}${lasting}`;
};

/** Bytes that devices wrote into the memory of all VMs here, MiB a second; null: not known of each. */
const inflowOf = (view: LoadView): number | null => {
	let sum = 0;
	for (const { on, load } of view.vms) {
		if (on !== view.here.host) continue;
		const inflow = load?.inflowMibPerS ?? null;
		if (inflow === null) return null;
		sum += inflow;
	}
	return sum;
};

/** What one VM takes of a host, as shares. */
interface Part {
	readonly here: HostLoad;
	readonly there: HostLoad;
}

/**
 * What the VM uses here, and would use there: its own CPU time, and of what dom0 does for all VMs the share that its
 * inflow has. Null where it is not known.
 */
const partOf = (view: LoadView, { load }: LoadVm): Part => {
	const all = inflowOf(view);
	const own = load?.inflowMibPerS ?? null;
	const share = all === null || own === null ? null : all === 0 ? 0 : own / all;
	const byInflow = (kind: LoadKind): number | null => {
		const whole = view.here.load?.[kind] ?? null;
		return whole === null || share === null ? null : whole * share;
	};
	const ofCpus = (cpus: number | null): number | null =>
		load === null || cpus === null || cpus <= 0 ? null : load.cpus / cpus;
	const shared = {
		dom0: byInflow('dom0'),
		disk: byInflow('disk'),
		network: byInflow('network'),
		// Its memory is its own: dom0 needs no more and no less of it.
		memory: 0,
	};
	return {
		here: { cpu: ofCpus(view.here.cpus), ...shared },
		there: { cpu: ofCpus(view.there.cpus), ...shared },
	};
};

const plus = (one: number | null, other: number | null): number | null =>
	one === null || other === null ? null : one + other;

/** Where the other host would be with the VM. */
const projectedWith = (view: LoadView, { there }: Part): HostLoad => ({
	cpu: plus(view.there.load?.cpu ?? null, there.cpu),
	dom0: plus(view.there.load?.dom0 ?? null, there.dom0),
	memory: plus(view.there.load?.memory ?? null, there.memory),
	disk: plus(view.there.load?.disk ?? null, there.disk),
	network: plus(view.there.load?.network ?? null, there.network),
});

/** Why a VM is not the one to move, in words of a code and in words for people. */
interface Objection {
	readonly vm: VmName;
	readonly code: string;
	readonly words: string;
}

const inflowObjection = ({ load }: LoadVm): readonly [string, string] | null => {
	const inflow = load?.inflowMibPerS ?? null;
	if (inflow === null) return ['unknown', 'its disk and network traffic is not known'];
	return inflow > inflowMax * linkMibPerS
		? [
				'inflow',
				`devices write ${Math.round(inflow)} MiB/s into its memory, and above ${inflowMax * linkMibPerS} it does not get across`,
			]
		: null;
};

const objectionWords = (
	view: LoadView,
	vm: LoadVm,
	kind: LoadKind,
): readonly [string, string] | null => {
	const { settings, there } = view;
	if (vm.pinned) return ['pinned', 'it is pinned'];
	if (vm.blocker !== null) return ['blocked', vm.blocker];
	if (vm.restMs > 0)
		return ['rest', `it was moved for load and rests for ${roughly(vm.restMs, Math.ceil)} more`];
	if (vm.load === null) return ['unknown', 'what it uses is not known'];
	if ((view.here.load?.[kind] ?? null) === null)
		return ['unknown', `${kind} of ${view.here.host} is not known`];
	const inflow = inflowObjection(vm);
	if (inflow !== null) return inflow;
	const part = partOf(view, vm);
	const gain = part.here[kind];
	if (gain === null) return ['unknown', `what it takes of ${kind} is not known`];
	if (gain < settings.gain)
		return ['gain', `that would bring ${percent(gain)}, less than ${percent(settings.gain)}`];
	const projected = projectedWith(view, part);
	for (const each of loadKinds) {
		const share = projected[each];
		if (share === null)
			return [`unknown-${each}`, `where ${each} of ${there.host} would be is not known`];
		if (share > settings.target)
			return [
				`target-${each}`,
				`${each} of ${there.host} would be at ${percent(share)}, above ${percent(settings.target)}`,
			];
	}
	return null;
};

const objectionTo = (view: LoadView, vm: LoadVm, kind: LoadKind): Objection | null => {
	const found = objectionWords(view, vm, kind);
	return found === null ? null : { vm: vm.vm, code: found[0], words: found[1] };
};

/** How long it takes to send, s: what devices write meanwhile goes again. */
const sendS = ({ memoryMib, load }: LoadVm): number =>
	memoryMib / (linkMibPerS - (load?.inflowMibPerS ?? 0));

/** Preferences that the move fulfils, less those that it breaks. */
const preference = (view: LoadView, { vm, near, apart }: LoadVm): number => {
	const lives = (name: VmName): number => {
		const on = view.vms.find((each) => each.vm === name)?.on;
		return on === undefined ? 0 : on === view.there.host ? 1 : -1;
	};
	const wished = [...new Set([...near, ...of(view, vm, 'near')])];
	const unwished = [...new Set([...apart, ...of(view, vm, 'apart')])];
	const sum = (names: readonly VmName[]): number =>
		names.reduce((before, name) => before + lives(name), 0);
	return sum(wished) - sum(unwished);
};

/** Those that name this VM: a preference holds for both. */
const of = (view: LoadView, vm: VmName, wish: 'near' | 'apart'): readonly VmName[] =>
	view.vms.filter((each) => each[wish].includes(vm)).map((each) => each.vm);

/** The cheapest move first: it takes the VM that is the quickest to send, not the one that is the hottest. */
const cheaper =
	(view: LoadView) =>
	(one: LoadVm, other: LoadVm): number =>
		Math.round(sendS(one) / alikeS) - Math.round(sendS(other) / alikeS) ||
		preference(view, other) - preference(view, one) ||
		sendS(one) - sendS(other) ||
		(one.vm < other.vm ? -1 : 1);

const sumOn = (view: LoadView, host: HostName): number =>
	view.vms.filter(({ on }) => on === host).reduce((sum, { memoryMib }) => sum + memoryMib, 0);

/** Why one host could not hold the VMs of both; null when each could. */
const spareBlocker = (view: LoadView): string | null => {
	if (view.settings.spare === 'waived') return null;
	for (const [host, other] of [
		[view.here, view.there],
		[view.there, view.here],
	] as const)
		if (sumOn(view, other.host) > host.freeMib)
			return `${host.host} alone could not hold the VMs of both hosts`;
	return null;
};

/** Why nothing is moved, whichever VM it would be: its key and its words. */
const standstill = (view: LoadView): readonly [string, string] | null => {
	const { here, there, blocker, pairRestMs, critical } = view;
	if (blocker !== null) return [`blocked/${blocker}`, blocker];
	if (critical.length > 0)
		return [
			`critical/${critical.join()}`,
			`${there.host} is not well: ${critical.join(', ')} critical`,
		];
	if (here.load === null) return ['unknown-here', `the load of ${here.host} is not known`];
	if (there.load === null) return ['unknown-there', `the load of ${there.host} is not known`];
	if (pairRestMs > 0)
		return [
			'pair-rest',
			`a VM was moved for load, and the next one may go in ${roughly(pairRestMs, Math.ceil)}`,
		];
	const spare = spareBlocker(view);
	return spare === null ? null : [`spare/${spare}`, spare];
};

/** VMs whose objection is told; the others are counted. */
const toldMax = 3;

const relief = (view: LoadView, vm: LoadVm, kind: LoadKind): number =>
	partOf(view, vm).here[kind] ?? 0;

const nobody = (view: LoadView, kind: LoadKind): Pick<LoadVerdict, 'key' | 'sentence'> => {
	const { here } = view;
	const own = view.vms
		.filter(({ on }) => on === here.host)
		.toSorted((one, other) => relief(view, other, kind) - relief(view, one, kind));
	const objections = own.flatMap((vm) => objectionTo(view, vm, kind) ?? []);
	const codes = objections.map(({ vm, code }) => `${vm}:${code}`).toSorted();
	const told = objections.slice(0, toldMax).map(({ vm, words }) => `${vm} is not moved: ${words}`);
	const more = objections.length - told.length;
	const last = more > 0 ? [`nor are ${more} others`] : [];
	return {
		key: `nobody/${kind}/${codes.join()}`,
		sentence: own.length === 0 ? 'no VM runs here' : [...told, ...last].join('; '),
	};
};

/** The VM that relieves this kind of load at the least cost; undefined when none does. */
const bestFor = (view: LoadView, kind: LoadKind): LoadVm | undefined =>
	view.vms
		.filter(({ on }) => on === view.here.host)
		.filter((vm) => objectionTo(view, vm, kind) === null)
		.toSorted(cheaper(view))[0];

const moveOf = (view: LoadView, vm: LoadVm, overload: Overload, head: string): LoadVerdict => {
	const { kind, share, forMs } = overload;
	const { here, there } = view;
	const part = partOf(view, vm);
	const projected = projectedWith(view, part);
	const lasting = forMs === null ? '' : ` for ${roughly(forMs)}`;
	const after = (share ?? 0) - (part.here[kind] ?? 0);
	return {
		kind: 'move',
		key: `move/${vm.vm}/${kind}`,
		vm: vm.vm,
		sentence: `${head}; ${vm.vm} relieves it: about ${percent(after)} here and ${percent(projected[kind])} on ${there.host} after the move, ${Math.ceil(sendS(vm))} s to send`,
		why: `${kind} of ${here.host} at ${percent(share)}${lasting}`,
		projected,
	};
};

/** It travels in the peer document and in alerts, which have bounds, characters. */
const sentenceMax = 1000;

const stay = (key: string, sentence: string): LoadVerdict => ({
	...calm,
	kind: 'stay',
	key,
	sentence: sentence.slice(0, sentenceMax),
});

/** What the host `here` does about its load. */
export const judgeLoad = (view: LoadView): LoadVerdict => {
	const { overloads, here } = view;
	if (overloads.length === 0) return calm;
	const head = `host ${here.host} is overloaded: ${overloads.map(overloadWords).join(', ')}`;
	const still = standstill(view);
	if (still !== null) return stay(still[0], `${head}; nothing is moved: ${still[1]}`);
	// What dom0's own programs use of its memory goes with no VM.
	const movable = overloads.filter(({ kind }) => kind !== 'memory');
	const [first] = movable;
	if (first === undefined)
		return stay(
			'memory',
			`${head}; nothing is moved: no VM uses dom0's memory, look at its programs`,
		);
	for (const overload of movable) {
		const best = bestFor(view, overload.kind);
		if (best !== undefined) return moveOf(view, best, overload, head);
	}
	const { key, sentence } = nobody(view, first.kind);
	return stay(key, `${head}; ${sentence}`);
};
