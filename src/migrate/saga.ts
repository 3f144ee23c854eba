import type { Presence, Role, Twin } from '#src/ports.ts';

/**
 * Live migration, decided from what is seen on both hosts, never from how a step ended (docs/protocol.md, section 9).
 * The owner, which is the source until the target's copy is whole, is the only one that turns back or gives; the target
 * runs nothing before it owns the VM, so turning back is always safe: at worst the guest starts anew on the source.
 */

/** What one host shows of the VM. */
export interface MigrationSide {
	readonly presence: Presence | 'absent' | 'unknown';
	readonly twin: Twin | null;
	/** xl sends or receives it there. */
	readonly underWay: boolean;
	/** Null while the resource is down or unknown there. */
	readonly role: Role | null;
	/** Both hosts may be Primary, by that host's setting; null: not read. */
	readonly twoPrimaries: boolean | null;
	/** It waits for the VM's memory. */
	readonly receiving: boolean;
}

export interface MigrationView {
	/** Null: no migration is open. */
	readonly phase: 'forth' | 'back' | null;
	readonly side: 'source' | 'target';
	/** This host owns the VM. */
	readonly owner: boolean;
	/** `together`: both hosts hold the same record and hear each other; `lost`: the other one is gone or cut off. */
	readonly contact: 'together' | 'unsettled' | 'lost';
	readonly own: MigrationSide;
	readonly peer: MigrationSide;
	/** The target's copy is current and gets every write; so is the source's, unless its disk has failed. */
	readonly replicates: boolean;
	/** DRBD holds back this host's writes: a domain with its disk open can't go before its release (V15). */
	readonly frozen: boolean;
	/** DRBD holds back the other host's writes: an xl over there that opens the disk waits for it. */
	readonly peerFrozen: boolean;
	/** The copy of this host counts. */
	readonly inSync: boolean;
	/** The target's copy counts. */
	readonly targetInSync: boolean;
	/** xl has ended its sending in this run of the agent. */
	readonly sent: boolean;
	/** A person wants the VM to stay. */
	readonly cancelled: boolean;
	/** Since xl is not under way here and the VM's domain is not here any more, ms. */
	readonly goneForMs: number;
	/** Since the journal was first seen by this run, ms. */
	readonly ageMs: number;
	/** Memory of the VM, MiB. */
	readonly memoryMib: number;
}

export type MigrationAct =
	| 'allow-two-primaries'
	| 'forbid-two-primaries'
	| 'promote'
	| 'receive-vm'
	| 'send-vm'
	| 'cut-migration'
	| 'destroy-twin'
	| 'destroy-vm'
	| 'demote';

export type MigrationStep =
	| { readonly do: 'wait'; readonly for: string }
	| { readonly do: 'act'; readonly act: MigrationAct }
	/** The target owns the VM from here on. */
	| { readonly do: 'give' }
	/** It stays on the source: nothing of it goes on, what is left of it is taken away. */
	| { readonly do: 'turn-back'; readonly why: string }
	/** Nothing is left of it. */
	| { readonly do: 'close' };

/** Until xl has begun to send: four short steps on two hosts, ms. An emulated host needs twenty seconds. */
export const prepareMs = 60_000;

/** xl cuts what does not converge after five rounds: five times the memory over a link of 10 MiB a second at least. */
export const sendMs = (memoryMib: number): number => 600_000 + memoryMib * 500;

/** What the other host shows may be so old when xl has ended here, ms: a slow toolstack lists every ten seconds. */
export const goneMs = 30_000;

/** What DRBD holds back of a guest that has left, and half a copy over there, are waited for so long, ms. */
export const heldBackMs = 10_000;

const act = (what: MigrationAct): MigrationStep => ({ do: 'act', act: what });
const wait = (what: string): MigrationStep => ({ do: 'wait', for: what });
const turnBack = (why: string): MigrationStep => ({ do: 'turn-back', why });

/** What this host does next for this VM; waiting is the answer whenever something needed is not known. */
export const migrationStep = (view: MigrationView): MigrationStep => {
	const { own, phase, side, owner } = view;
	if (own.presence === 'unknown') return wait('the hypervisor');
	if (phase === null) return tidy(view);
	if (side === 'target')
		return owner ? arrived(view) : phase === 'forth' ? receive(view) : retreat(view);
	if (!owner) return given(view);
	return phase === 'forth' ? send(view) : stay(view);
};

/** No migration is open, or it is over here: what an earlier one left goes away. */
const tidy = ({ own }: MigrationView): MigrationStep => {
	if (own.twin !== null) return act(own.underWay ? 'cut-migration' : 'destroy-twin');
	return own.twoPrimaries === true ? act('forbid-two-primaries') : wait('nothing');
};

/** The source has given the VM: nothing of it is left here, and DRBD lets one host be Primary only. */
const given = (view: MigrationView): MigrationStep => {
	const { own } = view;
	if (own.twin !== null) return tidy(view);
	const forbid = own.twoPrimaries !== false && own.role === 'Secondary';
	return forbid ? act('forbid-two-primaries') : wait('the other host');
};

/** The source, while the VM goes. */
const send = (view: MigrationView): MigrationStep => {
	const { own, peer, contact, replicates, ageMs } = view;
	// Before the first look at DRBD nothing is known to have changed.
	if (own.role === null) return wait('DRBD');
	if (own.underWay) {
		const late = ageMs > prepareMs + sendMs(view.memoryMib);
		// What is whole by then goes on over there all the same: the looks that follow say where the guest is.
		if (contact === 'lost' || !replicates || late || view.cancelled) return act('cut-migration');
		return wait('the memory of the guest to go over');
	}
	if (contact === 'lost') return turnBack('the other host is not in contact any more');
	if (contact === 'unsettled') return wait('the other host');
	if (own.twin !== null || own.presence === 'absent') return gone(view);
	if (own.presence === 'dying') return wait('its devices');
	// Its own domain is still here: xl has not begun, or has given up and lets the guest go on.
	if (view.sent) return turnBack('xl has ended and the guest is still here');
	if (view.cancelled) return turnBack('somebody wants it to stay');
	if (own.presence !== 'running') return turnBack(`its domain is ${own.presence}`);
	if (peer.twin !== null || !['absent', 'unknown'].includes(peer.presence))
		return turnBack('a domain of it is on the other host');
	if (!replicates) return turnBack('replication is not complete any more');
	if (ageMs > prepareMs) return turnBack('the other host did not get ready in time');
	if (own.twoPrimaries !== true) return act('allow-two-primaries');
	const ready = peer.role === 'Primary' && peer.receiving && peer.presence === 'absent';
	return ready ? act('send-vm') : wait('the other host');
};

/**
 * xl over there may still make a whole copy. Not where it waits for a frozen disk and this host's xl has ended: go is
 * said only to a copy whose disk is open, and that one opens only when this host has decided.
 */
const mayBecomeWhole = ({ peer, peerFrozen }: MigrationView): boolean =>
	peer.underWay && !peerFrozen;

/** The guest has left this host's domain: the paused copy over there is the VM, or nothing is. */
const gone = (view: MigrationView): MigrationStep => {
	const { own, peer, targetInSync, goneForMs } = view;
	if (!targetInSync) return turnBack('the copy on the other host does not count any more');
	// A last write of the old copy: it ends when the link is back, or when this host goes on alone, and not before.
	if (view.frozen && goneForMs > heldBackMs)
		return turnBack('writes of the old copy are held back: it cannot be given');
	if (peer.presence === 'paused') {
		if (own.twin !== null) return act('destroy-twin');
		if (own.role === 'Primary') return act('demote');
		return own.role === 'Secondary' ? { do: 'give' } : wait('DRBD');
	}
	if (mayBecomeWhole(view) || peer.presence === 'unknown') return wait('the other host');
	// Half a copy whose xl is gone never becomes a whole one, and a look or two says so.
	if (goneForMs < (peer.twin === 'incoming' ? heldBackMs : goneMs)) return wait('the other host');
	return turnBack('no whole copy of it is on the other host');
};

/** The source, when the VM stays: once nothing of it can go on, what is left is taken away on both hosts. */
const stay = (view: MigrationView): MigrationStep => {
	const { own, peer, contact } = view;
	if (own.underWay) return act('cut-migration');
	if (own.twin !== null) return act('destroy-twin');
	// Suspended by an xl that is gone: Xen 4.17 has no way to resume it.
	if (own.presence === 'stopped') return act('destroy-vm');
	if (contact === 'lost') return { do: 'close' };
	if (contact === 'unsettled') return wait('the other host');
	if (own.role === null) return wait('DRBD');
	const nothingWhole = peer.presence === 'absent' && !mayBecomeWhole(view) && !peer.receiving;
	// Its disk had failed, and its guest is gone: only the other host can run it, from the start. Never from a whole copy
	// there, for the guest may have run here since; half a one goes when DRBD lets that host's writes go on.
	const seenGone = nothingWhole && view.goneForMs >= heldBackMs;
	if (seenGone && !view.inSync && view.targetInSync && own.presence === 'absent')
		return own.role === 'Primary' && !view.frozen ? act('demote') : { do: 'give' };
	const clear = nothingWhole && !peer.underWay && peer.twin === null;
	if (!clear || peer.role === 'Primary') return wait('the other host');
	return own.twoPrimaries === false ? { do: 'close' } : act('forbid-two-primaries');
};

/** The target gets ready and receives. */
const receive = ({ own, peer, contact, replicates }: MigrationView): MigrationStep => {
	if (contact !== 'together' || !replicates) return wait('the other host');
	if (own.underWay || own.twin !== null || own.presence !== 'absent') return wait('xl');
	if (own.twoPrimaries !== true) return act('allow-two-primaries');
	if (own.role !== 'Primary')
		return peer.twoPrimaries === true ? act('promote') : wait('the other host');
	return own.receiving ? wait('xl') : act('receive-vm');
};

/** The target of a migration that turned back: nothing of it has ever run here. */
const retreat = ({ own, frozen }: MigrationView): MigrationStep => {
	// First of all: an xl that opens the disk waits for it, too.
	if (frozen) return wait('the release of its frozen copy');
	if (own.underWay || own.receiving) return act('cut-migration');
	if (own.twin !== null) return act('destroy-twin');
	if (own.presence === 'dying') return wait('its devices');
	if (own.presence !== 'absent') return act('destroy-vm');
	if (own.role === 'Primary') return act('demote');
	const forbid = own.twoPrimaries !== false && own.role === 'Secondary';
	return forbid ? act('forbid-two-primaries') : wait('the other host');
};

/** The target owns the VM: DRBD lets only one host be Primary again before the guest goes on. */
const arrived = ({ own }: MigrationView): MigrationStep => {
	if (own.twin !== null) return act(own.underWay ? 'cut-migration' : 'destroy-twin');
	if (own.twoPrimaries !== false) return act('forbid-two-primaries');
	return wait('the guest');
};
