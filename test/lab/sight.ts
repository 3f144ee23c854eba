/** Whether a sight of a scenario holds in the lab now: the same words as the simulator's, seen from outside. */
import type { Sight } from '#src/sim/step.ts';
import { judge, type Entry } from './ledger.ts';
import type { ProductVm } from './product.ts';
import type { Alert } from './tape.ts';
import type { HostView } from './watch.ts';

export type GuestPlace = {
	readonly host: string;
	readonly sinceMs: number;
	/** Where the present boot of the VM was seen first. */
	readonly boot: { readonly id: string; readonly host: string } | undefined;
};

/** Everything the lab has seen so far; times are on the outer machine's clock. */
export type Seen = {
	readonly nowMs: number;
	readonly startMs: number;
	readonly hosts: ReadonlyMap<string, HostView>;
	readonly vms: readonly ProductVm[];
	readonly entries: readonly Entry[];
	/** Behind which host's tap a VM's network card was seen last, and since when. */
	readonly places: ReadonlyMap<string, GuestPlace>;
	readonly replies: ReadonlyMap<string, string>;
	readonly alerts: readonly Alert[];
	/** The host that claims the other one in the witness; undefined when nobody asked. */
	readonly claim: string | null | undefined;
	/** Only at the end: each VM's verdict has no violation. */
	readonly intact: ReadonlyMap<string, boolean> | undefined;
};

/**
 * A ledger writes a record a second; silent for so long means that it does not write. Emulated hosts on a shared
 * machine stand still for seconds now and then; the verdict tells the longest silence anyway.
 */
const silentMs = 12_000;
const statusFreshMs = 30_000;

const lastAck = (seen: Seen, vm: string): number =>
	seen.entries.findLast((entry) => entry.vm === vm && entry.kind === 'ack')?.atMs ?? 0;

/** Frozen is known from DRBD at once, silence only after a while. */
function isWriting(seen: Seen, vm: string): boolean {
	const slot = seen.vms.find((each) => each.name === vm)?.slot;
	const view = seen.hosts.get(seen.places.get(vm)?.host ?? '');
	if (slot !== undefined && view?.drbd.get(slot.minor)?.frozen === true) return false;
	const ackMs = lastAck(seen, vm);
	return ackMs > (view?.poweredAtMs ?? 0) && seen.nowMs - ackMs < silentMs;
}

/** The hosts on which the VM runs: where it writes from, and where its own agent says that it runs. */
function runsOn(seen: Seen, vm: string): string[] {
	const found: string[] = [];
	const place = seen.places.get(vm);
	if (place === undefined) return found;
	for (const [name, view] of seen.hosts) {
		if (!view.powered) continue;
		const here = place.host === name;
		const presence = presenceOn(seen, view, name, vm);
		// An old copy that goes on shows its card elsewhere: the one that writes is the one that began there.
		const began = place.boot === undefined ? here : place.boot.host === name;
		// But one that was live-migrated has left the host where it began.
		const writes = began && (here || presence !== 'absent');
		// A VM whose writes are held back for a moment runs.
		const ackMs = lastAck(seen, vm);
		const fresh = ackMs > view.poweredAtMs && seen.nowMs - ackMs < statusFreshMs;
		const told = here || view.statusMs > place.sinceMs;
		if ((writes && fresh) || (told && presence === 'running')) found.push(name);
	}
	return found;
}

/** Two live copies show as two guest boots that take turns at the recorder. */
function copies(seen: Seen, vm: string): number {
	const verdict = judge(vm, seen.entries, undefined, seen.nowMs);
	const twice = verdict.violations.some((violation) => violation.rule === 'two-live-copies');
	return twice ? 2 : runsOn(seen, vm).length;
}

/** The VM's domain on a host, as that host's own agent says; undefined when it has not said so lately. */
function presenceOn(seen: Seen, view: HostView, host: string, vm: string): string | undefined {
	if (seen.nowMs - view.statusMs >= statusFreshMs) return undefined;
	return view.status?.vms
		.find((each) => each.vm === vm)
		?.sights.find((sight) => sight.host === host)?.presence;
}

function vmHolds(seen: Seen, sight: Sight): boolean {
	if (sight.vm === undefined) return true;
	const { vm } = sight;
	return (
		(sight.runsOn === undefined || runsOn(seen, vm).includes(sight.runsOn)) &&
		(sight.runs === undefined || runsOn(seen, vm).length > 0 === sight.runs) &&
		(sight.copies === undefined || copies(seen, vm) === sight.copies) &&
		(sight.writing === undefined || isWriting(seen, vm) === sight.writing)
	);
}

function replicaHolds(seen: Seen, view: HostView, sight: Sight): boolean {
	const slot = seen.vms.find((vm) => vm.name === sight.vm)?.slot;
	if (slot === undefined) return true;
	const drbd = view.drbd.get(slot.minor);
	const presence = presenceOn(seen, view, sight.host ?? '', sight.vm ?? '');
	const record = view.state?.resources[slot.name]?.record;
	return (
		(sight.presence === undefined || presence === sight.presence) &&
		(sight.role === undefined || drbd?.role === sight.role) &&
		(sight.disk === undefined || drbd?.disk === sight.disk) &&
		(sight.connection === undefined || drbd?.connection === sight.connection) &&
		(sight.frozen === undefined || (drbd?.frozen ?? false) === sight.frozen) &&
		(sight.owner === undefined || record?.owner === sight.owner) &&
		(sight.inSync === undefined ||
			record?.inSync.toSorted().join(' ') === sight.inSync.toSorted().join(' '))
	);
}

/** The arbiter in force by the host's durable record; null before there is one. */
function arbiterOf({ state }: HostView): string | null {
	const arbiter = state?.arbiter ?? null;
	if (arbiter === null) return null;
	return arbiter.next === null ? arbiter.now : 'changing';
}

function hostHolds(seen: Seen, view: HostView, sight: Sight): boolean {
	return (
		(sight.power === undefined || (sight.power === 'on') === view.powered) &&
		(sight.agent === undefined || sight.agent === view.agent) &&
		(sight.arbiter === undefined || sight.arbiter === arbiterOf(view)) &&
		(sight.vm === undefined || replicaHolds(seen, view, sight))
	);
}

/** The hosts a sight speaks of: the one it names, else both. */
function viewsOf(seen: Seen, sight: Sight): HostView[] {
	if (sight.host === undefined) return [...seen.hosts.values()];
	const view = seen.hosts.get(sight.host);
	return view === undefined ? [] : [view];
}

function toldHolds(seen: Seen, sight: Sight): boolean {
	const views = viewsOf(seen, sight);
	const { note, condition, says = '' } = sight;
	const noted = (view: HostView): boolean =>
		view.notes.some(
			({ atMs, message, fields }) =>
				atMs >= seen.startMs && `${message} ${JSON.stringify(fields)}`.includes(note ?? ''),
		);
	const about = (subject: string): boolean => sight.vm === undefined || subject.includes(sight.vm);
	const open = (view: HostView): boolean =>
		view.powered &&
		view.agent === 'running' &&
		(view.status?.conditions ?? []).some(
			(each) =>
				each.name === condition &&
				about(each.subject) &&
				`${each.summary} ${each.next}`.includes(says),
		);
	const alerted = seen.alerts.findLast(
		({ atMs, body: { data } }) =>
			atMs >= seen.startMs &&
			data.condition === condition &&
			data.summary.includes(says) &&
			about(data.subject ?? '') &&
			(sight.host === undefined || data.host === sight.host),
	);
	return (
		(note === undefined || views.some(noted)) &&
		(condition === undefined || views.some(open) || alerted?.body.data.status === 'firing') &&
		(sight.reply === undefined ||
			(seen.replies.has(sight.reply) &&
				(sight.status === undefined || answered(seen.replies.get(sight.reply), sight.status))))
	);
}

/** The command waits for the end and answers `done`: what is done was accepted before. */
const answered = (reply: string | undefined, wanted: string): boolean =>
	reply === wanted || (wanted === 'accepted' && reply === 'done');

function ledgerHolds(seen: Seen, sight: Sight): boolean {
	if (sight.ledger === undefined) return true;
	if (seen.intact === undefined) return false;
	if (sight.vm !== undefined) return seen.intact.get(sight.vm) === true;
	return [...seen.intact.values()].every(Boolean);
}

/** True when all that the sight says holds now. */
export function holds(seen: Seen, sight: Sight): boolean {
	const view = sight.host === undefined ? undefined : seen.hosts.get(sight.host);
	return (
		vmHolds(seen, sight) &&
		(view === undefined || hostHolds(seen, view, sight)) &&
		toldHolds(seen, sight) &&
		(sight.claim === undefined || seen.claim === sight.claim) &&
		ledgerHolds(seen, sight)
	);
}
