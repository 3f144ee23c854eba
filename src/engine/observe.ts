import type { Event } from '#src/engine/event.ts';
import { changePersisted, type Draft, note } from '#src/engine/draft.ts';
import { loadObserved } from '#src/engine/balance.ts';
import { healthObserved } from '#src/engine/health.ts';
import { mergeDocument } from '#src/engine/join.ts';
import { actionEnded } from '#src/engine/outcome.ts';
import { lossCalled } from '#src/engine/outdate.ts';
import { changePeer, forgetLadder, targetedFrom } from '#src/engine/peer.ts';
import { splitReported } from '#src/engine/split.ts';
import { domainsChanged } from '#src/engine/vm.ts';
import { changeWitness, takeAnswer } from '#src/engine/witness.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import type { HandlerCall, Hearing, MonotonicMs } from '#src/ports.ts';
import { protocolVersion } from '#src/heartbeat/document.ts';
import { same } from '#src/std/same.ts';

const callsMax = 256;
const requestsMax = 64;
const bootIdsMax = 256;

const keep = <Value>(before: Value | undefined, now: Value): Value =>
	before !== undefined && same(before, now) ? before : now;

const replicationObserved = (
	draft: Draft,
	event: Extract<Event, { type: 'replication-observed' }>,
): void => {
	const { state, nowMs } = draft;
	if (event.resources === null) {
		if (state.resourcesUnknownSinceMs === null)
			draft.state = { ...state, resourcesUnknownSinceMs: nowMs };
		return;
	}
	const value = Object.fromEntries(event.resources.map((each) => [each.resource, each]));
	draft.state = {
		...state,
		resources: { value: keep(state.resources?.value, value), atMs: nowMs },
		resourcesUnknownSinceMs: null,
	};
};

const hypervisorObserved = (
	draft: Draft,
	event: Extract<Event, { type: 'hypervisor-observed' }>,
): void => {
	const { state, nowMs } = draft;
	if (event.observation === null) {
		if (state.vmsUnknownSinceMs === null) draft.state = { ...state, vmsUnknownSinceMs: nowMs };
		return;
	}
	const before = state.vms?.value ?? null;
	const value = Object.fromEntries(event.observation.vms.map((each) => [each.vm, each]));
	const twins = Object.fromEntries(
		(event.observation.migrations ?? []).map((each) => [each.vm, each]),
	);
	draft.state = {
		...state,
		vms: { value: keep(before ?? undefined, value), atMs: nowMs },
		vmsUnknownSinceMs: null,
		twins: keep(state.twins, twins),
		wallClock: event.at ?? state.wallClock,
		freeMemoryMib: event.observation.freeMemoryMib,
	};
	if (state.config.witness !== null) changeWitness(draft, { looked: event.beganMs ?? null });
	if (draft.state.vms?.value !== before) domainsChanged(draft, before);
};

const linksObserved = (draft: Draft, event: Extract<Event, { type: 'links-observed' }>): void => {
	const { peer } = draft.state;
	changePeer(draft, {
		links: keep(peer.links, event.links),
		linksAtMs: draft.nowMs,
		linkSilentSinceMs: Object.fromEntries(
			event.links
				.filter((link) => link.state !== 'up')
				.map(({ link }) => [link, peer.linkSilentSinceMs[link] ?? draft.nowMs]),
		),
		gatewayAnswers: event.gatewayAnswers,
		gatewayAnsweredAtMs: event.gatewayAnswers === true ? draft.nowMs : peer.gatewayAnsweredAtMs,
	});
};

const hearingChanged = (draft: Draft, event: Extract<Event, { type: 'hearing-changed' }>): void => {
	const { peer, persisted } = draft.state;
	if (event.bootId !== null && persisted.peerBootIds.slice(0, -1).includes(event.bootId)) {
		// A frame of an earlier boot that was delayed on some path: never a sign of life, never new (V13).
		note(draft, 'warn', 'a boot id of the past was heard and is ignored', { bootId: event.bootId });
		return;
	}
	if (event.bootId !== null && persisted.peerBootIds.at(-1) !== event.bootId) {
		note(draft, 'info', 'the peer has booted', {
			host: draft.state.config.peer,
			bootId: event.bootId,
		});
		changePersisted(draft, {
			peerBootIds: [...persisted.peerBootIds, event.bootId].slice(-bootIdsMax),
		});
	}
	changePeer(draft, {
		hearing: event.hearing,
		hearingSinceMs: event.hearing === peer.hearing ? peer.hearingSinceMs : draft.nowMs,
		heardMs: lastHeardMs(draft, event.hearing),
		echoed: event.echoed,
		echoedMs: event.echoedMs ?? peer.echoedMs,
		lagMs: event.peerLagMs,
		bootId: event.bootId ?? peer.bootId,
	});
};

/** A peer that is heard no more was so until its first missing beats had been waited for. */
const lastHeardMs = ({ state, nowMs }: Draft, hearing: Hearing): MonotonicMs | null => {
	if (hearing === 'online') return nowMs;
	const { peer, config } = state;
	return peer.hearing === 'online' ? nowMs - config.timing.suspectMs : peer.heardMs;
};

const acceptable = (draft: Draft, document: PeerDocument): string | null => {
	const { config, persisted, peer } = draft.state;
	if (document.protocolVersion !== protocolVersion) return 'it speaks another protocol version';
	if (document.pairId !== config.pairId || document.host !== config.peer)
		return 'it is of another pair or host';
	if (persisted.peerBootIds.slice(0, -1).includes(document.bootId))
		return 'it was written before the peer booted';
	if (peer.bootId !== null && document.bootId !== peer.bootId)
		return 'its boot was not announced in a handshake';
	const last = peer.document;
	if (
		last?.bootId === document.bootId &&
		last.session === document.session &&
		document.seq <= last.seq
	)
		return 'it is not newer than the last one';
	return null;
};

const documentReceived = (draft: Draft, document: PeerDocument): void => {
	const reason = acceptable(draft, document);
	if (reason !== null) {
		note(draft, 'debug', 'a document of the peer is dropped', { reason, seq: document.seq });
		return;
	}
	changePeer(draft, { document });
	const { peer, config } = draft.state;
	if (peer.hearing === 'online' && peer.echoed)
		targetedFrom(draft, document.openFence?.target === config.self ? draft.nowMs : null);
	mergeDocument(draft);
};

const configChanged = (draft: Draft, event: Extract<Event, { type: 'config-changed' }>): void => {
	const { config } = draft.state;
	if (
		event.config.pairId !== config.pairId ||
		event.config.self !== config.self ||
		event.config.peer !== config.peer
	) {
		note(draft, 'error', 'a reload can not change the pair or its hosts: restart the agent', {});
		return;
	}
	draft.state = { ...draft.state, config: event.config };
	// The devices may have been corrected: they are judged anew.
	changePersisted(draft, { deviceWrong: false });
	if (!same(event.config.fencing, config.fencing)) forgetLadder(draft);
	note(draft, 'info', 'configuration reloaded', { digest: event.config.digest });
};

const handlerCalled = (draft: Draft, call: HandlerCall): void => {
	const { state, nowMs } = draft;
	note(draft, 'warn', 'DRBD asks whether the peer is out', { resource: call.resource });
	if (state.calls.length >= callsMax) {
		draft.actions.push({
			type: 'answer-handler',
			call: call.id,
			exitCode: 1,
			reason: 'too many handlers wait',
		});
		return;
	}
	draft.state = { ...state, calls: [...state.calls, { ...call, sinceMs: nowMs }] };
	if (state.config.vms.some((vm) => vm.resource === call.resource))
		lossCalled(draft, call.resource);
};

const requested = (draft: Draft, event: Extract<Event, { type: 'requested' }>): void => {
	const { state, nowMs } = draft;
	const { id, request, at } = event;
	if (state.requests.length < requestsMax) {
		draft.state = { ...state, requests: [...state.requests, { id, request, at, sinceMs: nowMs }] };
		return;
	}
	draft.actions.push({
		type: 'reply',
		request: id,
		reply: {
			status: 'refused',
			code: 'too-many-requests',
			message: 'too many requests are waiting',
			next: 'try again in a moment',
		},
	});
};

/** Takes one event into the state; deciding comes after. */
export const observe = (draft: Draft, event: Event): void => {
	const { state } = draft;
	switch (event.type) {
		case 'tick':
			return;
		case 'config-changed':
			configChanged(draft, event);
			return;
		case 'replication-observed':
			replicationObserved(draft, event);
			return;
		case 'hypervisor-observed':
			hypervisorObserved(draft, event);
			return;
		case 'split-brain-reported':
			splitReported(draft, event.resource);
			return;
		case 'links-observed':
			linksObserved(draft, event);
			return;
		case 'hearing-changed':
			hearingChanged(draft, event);
			return;
		case 'witness-observed':
			if (event.answer !== null) takeAnswer(draft, event.answer);
			return;
		case 'vote-observed':
			changeWitness(draft, { vote: event.vote, votedMs: event.votedMs });
			return;
		case 'echo-changed':
			changeWitness(draft, { echo: { echoing: event.echoing, heardMs: event.heardMs } });
			return;
		case 'watchdog-observed':
			changeWitness(draft, { watchdog: event.watchdog });
			return;
		case 'document-received':
			documentReceived(draft, event.document);
			return;
		case 'handler-called':
			handlerCalled(draft, event.call);
			return;
		case 'handler-gone':
			draft.state = { ...state, calls: state.calls.filter((call) => call.id !== event.call) };
			return;
		case 'preflight-observed':
			draft.state = {
				...state,
				armBlockers: keep(state.armBlockers ?? undefined, event.blockers),
				ownDeviceWrong: event.ownDeviceWrong,
			};
			return;
		case 'disk-observed':
			draft.state = { ...state, diskProblem: event.problem };
			return;
		case 'load-observed':
			loadObserved(draft, event.sample);
			return;
		case 'health-observed':
			healthObserved(draft, event.reading);
			return;
		case 'tellings-changed':
			draft.state = { ...state, tellings: event.tellings };
			return;
		case 'requested':
			requested(draft, event);
			return;
		case 'action-ended':
			actionEnded(draft, event.id, event.outcome);
	}
};
