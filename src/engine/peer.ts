import type { DeviceReading, MonotonicMs } from '#src/ports.ts';
import { stretchedBy } from '#src/engine/limit.ts';
import { busy, changePersisted, type Draft, note, wakeBy } from '#src/engine/draft.ts';
import { devicesAt, levelField, offBy, powerOf } from '#src/engine/ladder.ts';
import { restFactor } from '#src/engine/power-query.ts';
import type { LevelPower } from '#src/engine/state-fencing.ts';
import type { PeerStatus, Proof, State } from '#src/engine/state.ts';
import { aliveInWitness, arbiterOf, selfFenced } from '#src/engine/voters.ts';
import { isConnected } from '#src/drbd/role.ts';
import { landingMs, longestLateMs, triesAt, withTries } from '#src/fence/ladder.ts';
import { powerOfLevel } from '#src/fence/level.ts';

/** A power reading proves nothing any more when it is older: somebody may have pressed the button. */
const proofFreshMs = 30_000;
/** A device that did not answer for this long was away, not busy with our own `off`, ms. */
const deviceSilentMs = 60_000;

export const changePeer = (draft: Draft, change: Partial<State['peer']>): void => {
	draft.state = { ...draft.state, peer: { ...draft.state.peer, ...change } };
};

/** True while the kernels of both hosts talk about any resource: the peer's kernel lives. */
const anyConnected = (state: State): boolean =>
	state.config.vms.some(({ resource }) => {
		const observed = state.resources?.value[resource];
		return observed !== undefined && isConnected(observed);
	});

/** The peer's kernel refused a connection: it lives, its agent does not. */
const kernelAnswers = (state: State): boolean => state.peer.links.some((link) => link.refused);

/** The fence device of the peer is known to belong to another host: what it reads proves nothing. */
export const deviceWrong = (state: State): boolean =>
	state.persisted.deviceWrong || state.peer.document?.deviceWrong === true;

/** A slow device is asked more slowly, so its readings count for longer, ms. */
const freshMs = (power: LevelPower | null | undefined): number =>
	proofFreshMs + (2 + restFactor) * (power?.tookMs ?? 0);

/** The proof in force, or null: one that is too old does not count. */
export const proofOf = (state: State, nowMs: number): Proof | null => {
	const { proof } = state.peer;
	if (proof === null) return selfFenced(state, nowMs);
	if (proof.kind !== 'power-off') return proof;
	// With a person as the arbiter a reading is evidence for that person, never a proof by itself.
	const arbiter = arbiterOf(state);
	if (arbiter === 'person' || arbiter === 'changing') return null;
	const fresh = nowMs - proof.atMs <= freshMs(state.peer.power[proof.level ?? 0]);
	return fresh && !deviceWrong(state) ? proof : selfFenced(state, nowMs);
};

const statusOf = (state: State, nowMs: number): PeerStatus => {
	const { peer } = state;
	if (peer.hearing === 'online') return 'online';
	const proof = proofOf(state, nowMs);
	if (proof !== null) return proof.kind === 'left' ? 'left' : 'out';
	if (peer.hearing === null) return 'unknown';
	if (peer.hearing === 'suspect') return 'suspect';
	if (peer.document?.left === true) return 'left';
	if (anyConnected(state)) return 'agent-down';
	// DRBD not read yet: not seeing a connection is no information.
	if (state.resources === null || state.resourcesUnknownSinceMs !== null) return 'agent-down';
	const unreplicatedMs = peer.unreplicatedSinceMs === null ? 0 : nowMs - peer.unreplicatedSinceMs;
	// A dead agent on a living host must not freeze our VMs for ever (L9).
	if (kernelAnswers(state) && unreplicatedMs < state.config.timing.agentDownLostMs)
		return 'agent-down';
	return 'lost';
};

const becomeStatus = (draft: Draft, status: PeerStatus): void => {
	const { peer, config } = draft.state;
	if (peer.status === status) return;
	note(draft, status === 'online' || status === 'left' ? 'info' : 'warn', 'peer status change', {
		host: config.peer,
		from: peer.status,
		to: status,
		proof: peer.proof?.kind ?? null,
		connected: anyConnected(draft.state),
	});
	changePeer(draft, { status, statusSinceMs: draft.nowMs });
};

/** An `off` of the peer against this host may be under way since `sinceMs` at the latest; null: none is. */
export const targetedFrom = (draft: Draft, sinceMs: MonotonicMs | null): void => {
	const { config, fencing } = draft.state;
	const lastsMs = config.fencing === null ? 0 : landingMs(config.fencing.ownLevels);
	const targetedUntilMs = sinceMs === null ? 0 : sinceMs + lastsMs;
	draft.state = { ...draft.state, fencing: { ...fencing, targetedUntilMs } };
};

/**
 * Remembers since when the hosts do not hear each other both ways: the fencing turns count from there. That is the
 * sending of the youngest beat that was echoed, which both know alike, not the moment at which this host noticed the
 * loss: it may have stood still for more than a turn. Durable, so that neither an agent restart nor a flapping status
 * begins the turns anew (V12).
 */
const contactRule = (draft: Draft): void => {
	const { peer, persisted, bootId } = draft.state;
	if (peer.hearing === 'online' && peer.echoed) {
		// While they were apart the peer may have sent an `off` that has not landed: its next document tells.
		if (persisted.contactLost !== null || !peer.met) targetedFrom(draft, draft.nowMs);
		if (persisted.contactLost !== null) changePersisted(draft, { contactLost: null });
		const { tries, powerOnDue, hold } = draft.state.fencing;
		if (peer.met && tries.length === 0 && powerOnDue.length === 0 && hold === null) return;
		changePeer(draft, { met: true });
		draft.state = {
			...draft.state,
			fencing: {
				...draft.state.fencing,
				tries: [],
				notBeforeMs: draft.nowMs,
				powerOnDue: [],
				hold: null,
			},
		};
	} else if (peer.met && persisted.contactLost === null)
		changePersisted(draft, { contactLost: { bootId, atMs: peer.echoedMs ?? draft.nowMs } });
};

/** Follows what is known of the peer: hearing it voids every proof, a goodbye is one. */
export const peerRule = (draft: Draft): void => {
	const { peer } = draft.state;
	const connected = anyConnected(draft.state);
	if (connected && peer.unreplicatedSinceMs !== null)
		changePeer(draft, { unreplicatedSinceMs: null });
	if (!connected && peer.unreplicatedSinceMs === null)
		changePeer(draft, { unreplicatedSinceMs: draft.nowMs });
	if (peer.hearing === 'online' && peer.proof !== null) {
		note(draft, 'info', 'proof is void: the peer is heard', { kind: peer.proof.kind });
		changePeer(draft, { proof: null });
	}
	const power = powerOf(draft.state);
	const alive =
		connected ||
		(power?.state === 'on' && !deviceWrong(draft.state) && draft.nowMs - power.atMs < proofFreshMs);
	const { proof } = draft.state.peer;
	if (proof?.kind === 'person' && alive && power !== null && power.atMs > proof.atMs) {
		note(draft, 'warn', 'proof is void: the peer shows a sign of life', { kind: proof.kind });
		changePeer(draft, { proof: null });
	} else if (proof?.kind === 'person' && connected) {
		note(draft, 'warn', 'proof is void: DRBD is connected to the peer', { kind: proof.kind });
		changePeer(draft, { proof: null });
	}
	if (peer.hearing !== 'online' && draft.state.peer.proof === null && saidGoodbye(draft.state))
		changePeer(draft, {
			proof: { kind: 'left', atMs: draft.nowMs, by: 'its goodbye, durable here before it' },
		});
	contactRule(draft);
	becomeStatus(draft, statusOf(draft.state, draft.nowMs));
	wakeForPeer(draft);
};

/** Time alone ends a proof by a reading, and the patience with a kernel that only refuses. */
const wakeForPeer = (draft: Draft): void => {
	const { proof, power, status, unreplicatedSinceMs } = draft.state.peer;
	if (proof?.kind === 'power-off') wakeBy(draft, proof.atMs + freshMs(power[proof.level ?? 0]) + 1);
	if (status === 'agent-down' && unreplicatedSinceMs !== null)
		wakeBy(draft, unreplicatedSinceMs + draft.state.config.timing.agentDownLostMs);
};

/** P1: it announced a clean leave and every record already counts it out. */
const saidGoodbye = (state: State): boolean =>
	state.peer.document?.left === true &&
	state.config.vms.every(({ resource }) => {
		const record = state.persisted.resources[resource]?.record;
		return (
			record === undefined ||
			(record.owner !== state.config.peer && !record.inSync.includes(state.config.peer))
		);
	});

/** The devices changed with the configuration: what was read of and tried at others says nothing of them. */
export const forgetLadder = (draft: Draft): void => {
	changePeer(draft, { power: [] });
	draft.state = {
		...draft.state,
		fencing: { ...draft.state.fencing, tries: [], powerOnDue: [] },
	};
};

/** A device that falls silent is told once, with its own words. */
const noteSilent = (draft: Draft, before: LevelPower | null, read: LevelPower): void => {
	for (const { device, power, detail } of read.devices) {
		if (power !== null || detail === '') continue;
		const last = before?.devices.find((each) => each.device === device);
		if (last !== undefined && last.power === null) continue;
		note(draft, 'warn', 'a fence device does not answer', { device, detail });
	}
};

/** Takes in what the devices of a level said. Only devices that are configured for it count. */
const putPower = (
	draft: Draft,
	level: number,
	readings: readonly DeviceReading[],
	askedAtMs: number,
): LevelPower => {
	const { state } = draft;
	const before = state.peer.power[level] ?? null;
	const devices = devicesAt(state, level).map(
		(device) =>
			readings.find((reading) => reading.device === device) ?? { device, power: null, detail: '' },
	);
	const power = powerOfLevel(devices);
	const read = {
		state: power,
		devices,
		// The reading is as old as the question: what happened while it was under way is not in it.
		atMs: askedAtMs,
		tookMs: draft.nowMs - askedAtMs,
		knownAtMs: power === null ? (before?.knownAtMs ?? null) : draft.nowMs,
	};
	if ((before?.state ?? null) !== power)
		note(draft, 'info', 'power reading', {
			host: state.config.peer,
			...levelField(state, level),
			power: power ?? 'unknown',
		});
	noteSilent(draft, before, read);
	const count = state.config.fencing?.levels.length ?? 0;
	changePeer(draft, {
		power: Array.from({ length: count }, (_, index) =>
			index === level ? read : (state.peer.power[index] ?? null),
		),
	});
	// Devices that answer after a long silence deserve new attempts; the hourly limit still holds.
	const silentMs = draft.nowMs - (before?.knownAtMs ?? draft.nowMs);
	const { tries } = draft.state.fencing;
	if (power !== null && silentMs > deviceSilentMs && triesAt(tries, level).sent > 0)
		draft.state = {
			...draft.state,
			fencing: {
				...draft.state.fencing,
				tries: withTries(tries, level, { sent: 0, refused: 0 }),
			},
		};
	return read;
};

/**
 * Takes in what the devices of a level said when they were asked at `askedAtMs`; `off` of every device of any one
 * level is proof P2 as long as the peer is not heard.
 */
export const powerRead = (
	draft: Draft,
	level: number,
	readings: readonly DeviceReading[],
	askedAtMs: number,
): void => {
	// The level was taken out of the configuration while its devices were asked.
	if (devicesAt(draft.state, level).length === 0) return;
	const { state: power } = putPower(draft, level, readings, askedAtMs);
	const { peer } = draft.state;
	if (power === 'off') {
		fenceLanded(draft);
		// A goodbye and a person's word last longer than a reading, and where a person decides a reading is no proof.
		const weaker = peer.proof === null || peer.proof.kind === 'power-off';
		if (peer.hearing !== 'online' && !deviceWrong(draft.state) && weaker)
			proveOff(draft, level, askedAtMs);
	}
	if (power !== 'on') return;
	settleLateFence(draft);
	if (peer.proof?.kind === 'power-off' && peer.proof.level === level) powerIsBack(draft);
};

const proveOff = (draft: Draft, level: number, atMs: number): void =>
	changePeer(draft, {
		proof: { kind: 'power-off', atMs, by: offBy(draft.state, level), level },
	});

/** The level that proved the power-off reads on; another level that still reads off goes on proving it. */
const powerIsBack = (draft: Draft): void => {
	const { power } = draft.state.peer;
	const other = power.findIndex((each) => each?.state === 'off');
	if (other >= 0) {
		proveOff(draft, other, power[other]?.atMs ?? 0);
		return;
	}
	note(draft, 'info', 'proof is void: the peer has power again', {
		host: draft.state.config.peer,
	});
	changePeer(draft, { proof: null });
};

/** Only the reading shows that an `off` of ours landed, also one that ended unknown; then `afterFence` is due. */
const fenceLanded = (draft: Draft): void => {
	const { persisted, config, fencing } = draft.state;
	if (persisted.openFence === null) return;
	// Supply before what it feeds: the level that was tried last goes on first.
	const powerOnDue =
		config.fencing?.afterFence === 'on' ? persisted.openFence.levels.toReversed() : [];
	draft.state = { ...draft.state, fencing: { ...fencing, powerOnDue } };
	settleOpenFence(draft, 'its power reads off');
};

export const settleOpenFence = (draft: Draft, why: string): void => {
	const { openFence } = draft.state.persisted;
	if (openFence === null || openFence.target !== draft.state.config.peer) return;
	changePersisted(draft, { openFence: null });
	note(draft, 'info', 'open fence is settled', { target: openFence.target, why });
};

/**
 * An `off` that did not land within the declared latency, with the power on at every level it was sent through,
 * will not land (V12). Another level says nothing of it.
 */
const settleLateFence = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { openFence } = state.persisted;
	const { fencing } = state.config;
	if (openFence === null || fencing === null) return;
	if (busy(state, state.config.peer, ['power-off'])) return;
	const lateMs = longestLateMs(fencing.levels);
	// Sent in another boot of ours: its age is unknown, so it counts from this start.
	const sentMs = openFence.bootId === state.bootId ? openFence.atMs : state.startedAtMs;
	// The device may have taken the command at the very end of the call.
	const afterMs = landingMs(fencing.levels);
	const read = openFence.levels
		.filter((level) => level < fencing.levels.length)
		.map((level) => state.peer.power[level] ?? null);
	const over = read.every((power) => power?.state === 'on' && power.atMs - sentMs > afterMs);
	if (over && nowMs - sentMs > afterMs)
		settleOpenFence(draft, `the device's latency of ${lateMs} ms has passed with its power on`);
};

/** A device that reads off while its host lives, well after the reading, belongs to another host. Remembered. */
export const mappingRule = (draft: Draft): void => {
	const { peer, config, steadySinceMs } = draft.state;
	if (draft.state.persisted.deviceWrong) return;
	if (peer.document?.deviceWrong === true) {
		markDevice(draft, `${config.peer} reads another device as its own`);
		return;
	}
	const power = powerOf(draft.state);
	if (power?.state !== 'off' || peer.hearing !== 'online') return;
	// An older reading is of the time before it came back; and what a host hears that stood still may be old.
	if (power.atMs < Math.max(peer.hearingSinceMs, steadySinceMs)) return;
	const dueMs = power.atMs + stretchedBy * config.timing.detectionMs;
	if (draft.nowMs <= dueMs) {
		wakeBy(draft, dueMs + 1);
		return;
	}
	markDevice(draft, `${config.peer} lives although its power reads off`);
};

/** Durable: an agent restart in a partition must not believe the device again. */
export const markDevice = (draft: Draft, why: string): void => {
	changePersisted(draft, { deviceWrong: true });
	changePeer(draft, { proof: null });
	note(draft, 'error', 'the fence device belongs to another host: it proves nothing', {
		host: draft.state.config.peer,
		why,
	});
};

/** Sign of life that forbids a person's "it is dead", as a sentence; null when there is none. */
export const signOfLife = (state: State, nowMs: number): string | null => {
	const { peer, config } = state;
	if (peer.hearing === 'online' || peer.hearing === 'suspect')
		return `${config.peer} is heard on a heartbeat link (or was a moment ago)`;
	if (peer.hearing === null) return `it is not known yet whether ${config.peer} is silent`;
	if (state.resources === null || state.resourcesUnknownSinceMs !== null)
		return 'DRBD on this host does not answer, so it cannot be seen whether the hosts are connected';
	if (anyConnected(state)) return `DRBD is connected to ${config.peer}: its kernel is alive`;
	if (kernelAnswers(state)) return `the kernel of ${config.peer} refuses connections: it is alive`;
	if (aliveInWitness(state, nowMs))
		return `${config.peer} renews its vote in the witness: it is alive`;
	const power = powerOf(state);
	const read = power?.state === 'on' && nowMs - power.atMs <= freshMs(power);
	if (read && !deviceWrong(state))
		return `the power of ${config.peer} reads on: switch it off first`;
	return null;
};
