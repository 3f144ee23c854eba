import type { Reply } from '#src/api/request.ts';
import { balanceSelf, orderVerdict } from '#src/engine/balance.ts';
import {
	changeVmState,
	countSelfIn,
	type Draft,
	holdRecord,
	leap,
	note,
	observedOf,
	recordOf,
	seedRecord,
	vmOf,
	wakeBy,
	writeRecord,
} from '#src/engine/draft.ts';
import { evacuateSelf, type EvacuateRequest, leave, standby } from '#src/engine/request-host.ts';
import { arm, pause, resume } from '#src/engine/request-arm.ts';
import { onOwner, type VmRequest } from '#src/engine/request-vm.ts';
import { resolve } from '#src/engine/resolve-request.ts';
import { accepted, refused } from '#src/engine/reply.ts';
import { conflictOf, inContact } from '#src/engine/join.ts';
import { changePeer, proofOf, signOfLife } from '#src/engine/peer.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { PendingRequest } from '#src/engine/state.ts';
import type { ForwardedRequest } from '#src/heartbeat/document.ts';
import { leaseInForce, witnessGrants } from '#src/engine/voters.ts';
import { promotableDisk } from '#src/engine/takeover.ts';
import { isConnected } from '#src/drbd/role.ts';

/** Requests wait this long for the peer before they are refused, ms. */
const patienceMs = 15_000;

/** Starts a VM from data that is not known to be current: a person's second act, never automatic. */
const startStale = (draft: Draft, vm: EngineVm, by: string): Reply => {
	const { state, nowMs } = draft;
	const { self, peer } = state.config;
	const observed = observedOf(state, vm.resource);
	if (proofOf(state, nowMs) === null)
		return refused(
			'no-proof',
			`there is no proof that ${peer} is off`,
			`vmpair takeover --confirm-dead ${peer}`,
		);
	if (observed === undefined || !promotableDisk(state, vm.resource) || isConnected(observed))
		return refused(
			'disk-not-promotable',
			`the disk of ${vm.vm} on ${self} can't be promoted: DRBD knows that it is outdated or incomplete`,
			`bring ${peer} back, or see the runbook vm-down`,
		);
	const record = recordOf(state, vm.resource);
	const change = {
		owner: self,
		inSync: [self],
		uuids: null,
		wanted: 'running' as const,
		journal: null,
	};
	const generation =
		leap.acceptStale + (state.peer.document?.records[vm.resource]?.generation ?? 0);
	if (record === undefined) seedRecord(draft, vm.resource, { generation, ...change });
	else writeRecord(draft, vm.resource, change, `${by} accepted stale data`, generation);
	countSelfIn(draft, vm.resource);
	holdRecord(draft, vm.resource, null);
	draft.state = {
		...draft.state,
		aloneAllowed: { ...draft.state.aloneAllowed, [vm.resource]: true },
		staleAccepted: { ...draft.state.staleAccepted, [vm.resource]: true },
	};
	changeVmState(draft, vm.vm, { ordered: true, gaveUp: null, restartsMs: [], restarting: false });
	note(draft, 'warn', 'a person accepted stale data', { vm: vm.vm, by });
	return accepted(`${vm.vm} is being started on ${self} from data that may be stale`);
};

const vmRequest = (draft: Draft, pending: PendingRequest, request: VmRequest): Reply | null => {
	const { state } = draft;
	const vm = vmOf(state, request.vm);
	if (vm === undefined)
		return refused('unknown-vm', `${request.vm} is not a VM of this pair`, 'vmpair status');
	if (request.verb === 'start' && request.acceptStale) return startStale(draft, vm, request.by);
	const record = recordOf(state, vm.resource);
	if (record === undefined)
		return refused(
			'no-record',
			`${vm.vm} is not protected yet: the hosts must meet once with both copies current`,
			'vmpair status',
		);
	const conflict = conflictOf(state, vm.resource);
	if (conflict !== null)
		return refused('record-conflict', `${vm.vm}: ${conflict}`, 'see the runbook record-conflict');
	if (record.owner === state.config.self) return onOwner(draft, request, vm);
	const { verb, by } = request;
	const asked = {
		verb,
		vm: vm.vm,
		to: 'to' in request ? request.to : null,
		cold: false,
		hard: request.verb === 'drill' && request.hard,
		by,
	};
	const away = `${record.owner ?? 'no host'} owns ${vm.vm} and is not in contact`;
	return forward(draft, pending, asked, away);
};

/** A host is emptied by its own agent. */
const evacuate = (
	draft: Draft,
	pending: PendingRequest,
	{ verb, host, cold, by }: EvacuateRequest,
): Reply | null => {
	const { self, peer } = draft.state.config;
	if (host === self) return evacuateSelf(draft, { by, cold });
	if (host !== peer)
		return refused('unknown-host', `${host} is not a host of this pair`, 'vmpair status');
	const asked = { verb, vm: null, to: null, cold, hard: false, by };
	return forward(draft, pending, asked, `${peer} is not in contact`);
};

/** The overloaded host sends one of its VMs; only when this one has none to send, the other one is asked. */
const balance = (draft: Draft, pending: PendingRequest, by: string): Reply | null => {
	const { state, nowMs } = draft;
	const { peer } = state.config;
	if (orderVerdict(state, nowMs).kind !== 'calm') return balanceSelf(draft, by);
	const asked = { verb: 'balance' as const, vm: null, to: null, cold: false, hard: false, by };
	return forward(draft, pending, asked, `${peer} is not in contact`);
};

/** The owner decides: the request travels in the document, the reply comes back in the peer's. */
const forward = (
	draft: Draft,
	pending: PendingRequest,
	asked: Omit<ForwardedRequest, 'id'>,
	away: string,
): Reply | null => {
	const { state, nowMs } = draft;
	if (!inContact(state) || nowMs - pending.sinceMs > patienceMs) {
		dropForwarded(draft, pending.id);
		return refused(
			'owner-not-in-contact',
			away,
			`if ${state.config.peer} is dead: vmpair takeover --confirm-dead ${state.config.peer}`,
		);
	}
	wakeBy(draft, pending.sinceMs + patienceMs + 1);
	const reply = state.peer.document?.forwardedReplies.find((each) => each.id === pending.id);
	if (reply !== undefined) {
		dropForwarded(draft, pending.id);
		return reply.accepted
			? accepted(reply.reason)
			: refused('refused-by-owner', reply.reason, 'vmpair status');
	}
	if (!state.forwarded.some((each) => each.id === pending.id))
		draft.state = {
			...state,
			forwarded: [...state.forwarded, { id: pending.id, ...asked }].slice(-64),
		};
	return null;
};

const dropForwarded = (draft: Draft, id: string): void => {
	if (!draft.state.forwarded.some((each) => each.id === id)) return;
	draft.state = {
		...draft.state,
		forwarded: draft.state.forwarded.filter((each) => each.id !== id),
	};
};

/** What the peer forwarded, carried out here. */
const onForwarded = (draft: Draft, request: ForwardedRequest): Reply => {
	const { verb, vm: name, to, cold, hard, by } = request;
	if (verb === 'evacuate') return evacuateSelf(draft, { by, cold });
	if (verb === 'balance') return balanceSelf(draft, by);
	const { self } = draft.state.config;
	const vm = name === null ? undefined : vmOf(draft.state, name);
	const held = vm !== undefined && conflictOf(draft.state, vm.resource) !== null;
	if (vm === undefined || held || recordOf(draft.state, vm.resource)?.owner !== self)
		return refused('not-owner', `${self} does not own ${name ?? 'it'}`, '');
	if (verb === 'move' || verb === 'migrate') return onOwner(draft, { verb, vm: vm.vm, to, by }, vm);
	if (verb === 'drill') return onOwner(draft, { verb, vm: vm.vm, to, hard, by }, vm);
	if (verb === 'start') return onOwner(draft, { verb, vm: vm.vm, by, acceptStale: false }, vm);
	return onOwner(draft, { verb, vm: vm.vm, by }, vm);
};

/** Requests that the peer forwarded to us as the one that decides; each is answered once. */
export const forwardedRule = (draft: Draft): void => {
	const document = draft.state.peer.document;
	if (document === null || !inContact(draft.state)) return;
	for (const request of document.forwarded) {
		const { id } = request;
		if (draft.state.forwardedReplies.some((each) => each.id === id)) continue;
		const { status, message } = onForwarded(draft, request);
		const reply = { id, accepted: status !== 'refused', reason: message.slice(0, 1024) };
		draft.state = {
			...draft.state,
			forwardedReplies: [...draft.state.forwardedReplies, reply].slice(-64),
		};
	}
};

/** P5: a person says that the peer is dead. Refused while it shows any sign of life. */
const takeover = (draft: Draft, confirmDead: string, by: string): Reply => {
	const { peer } = draft.state.config;
	if (confirmDead !== peer)
		return refused(
			'wrong-host',
			`${confirmDead} is not the peer: the peer is ${peer}`,
			'vmpair status',
		);
	const life = signOfLife(draft.state, draft.nowMs);
	if (life !== null)
		return refused(
			'peer-alive',
			life,
			'vmpair status shows what is seen of it; make sure it is off first',
		);
	changePeer(draft, { proof: { kind: 'person', atMs: draft.nowMs, by: `${by} confirmed it` } });
	note(draft, 'warn', 'a person confirmed that the peer is dead', { host: peer, by });
	if (leaseInForce(draft.state) && !witnessGrants(draft.state, draft.nowMs))
		return accepted(
			`${peer} counts as dead, but the witness grants nothing: only it knows which copy is the newest; to start a VM all the same: vmpair start VM --accept-stale`,
		);
	return accepted(`${peer} counts as dead: what can run here with current data is started`);
};

const decide = (draft: Draft, pending: PendingRequest): Reply | null => {
	const { request } = pending;
	switch (request.verb) {
		case 'start':
		case 'stop':
		case 'move':
		case 'drill':
		case 'migrate':
		case 'cancel-migration':
			return vmRequest(draft, pending, request);
		case 'takeover':
			return takeover(draft, request.confirmDead, request.by);
		case 'arm':
			return arm(draft, pending, true);
		case 'disarm':
			return arm(draft, pending, false);
		case 'pause':
			return pause(draft, pending, request);
		case 'resume':
			return resume(draft, pending);
		case 'leave':
			return leave(draft, request);
		case 'evacuate':
			return evacuate(draft, pending, request);
		case 'balance':
			return balance(draft, pending, request.by);
		case 'standby':
			return standby(draft, request, pending.at);
		case 'resolve':
			return resolve(draft, request, pending.id);
	}
};

/** Carries out what people asked for; every request gets exactly one reply. */
export const requestRule = (draft: Draft): void => {
	for (const pending of draft.state.requests) {
		const reply = decide(draft, pending);
		if (reply === null) continue;
		draft.state = {
			...draft.state,
			requests: draft.state.requests.filter((each) => each.id !== pending.id),
		};
		draft.actions.push({ type: 'reply', request: pending.id, reply });
		note(draft, 'info', 'request answered', {
			verb: pending.request.verb,
			by: pending.request.by,
			status: reply.status,
			message: reply.message,
		});
	}
};
