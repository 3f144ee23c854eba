import type { Action, CarriedAction, ImmediateAction } from '#src/engine/action.ts';
import type { EngineConfig, EngineVm } from '#src/engine/config.ts';
import type { Event } from '#src/engine/event.ts';
import { initialState, type State } from '#src/engine/state.ts';
import { step } from '#src/engine/step.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import type { FenceLevel } from '#src/fence/ladder.ts';
import type { PowerState, ResourceObservation } from '#src/ports.ts';
import type { Persisted } from '#src/store/record.ts';

/** Helpers for engine tests: two engines, no world; the test says what each one sees. */

export const vmConfig = (vm: string, change: Partial<EngineVm> = {}): EngineVm => ({
	vm,
	resource: `r-${vm}`,
	priority: 0,
	after: [],
	memoryMib: 256,
	preferredHost: 'left',
	shutdownMs: 60_000,
	restartsMax: 3,
	restartWindowMs: 600_000,
	balance: { pinned: false, near: [], apart: [] },
	liveBlocker: null,
	...change,
});

/** The one fence device of a host of these tests. */
export const bmcOf = (host: string): FenceLevel => ({
	devices: [`bmc-of-${host}`],
	attempts: 3,
	callMs: 10_000,
	lateMs: 30_000,
});

export const engineConfig = (
	self: string,
	peer: string,
	vms: readonly EngineVm[] = [vmConfig('web')],
): EngineConfig => ({
	pairId: 'pair',
	self,
	peer,
	arbiter: 'fencing',
	witness: null,
	timing: {
		detectionMs: 3000,
		beatIntervalMs: 200,
		suspectMs: 600,
		powerQueryMs: 2000,
		agentDownLostMs: 30_000,
		handlerMs: 110_000,
	},
	links: [
		{ link: 'management', switched: true },
		{ link: 'replication', switched: false },
	],
	fencing: { levels: [bmcOf(peer)], ownLevels: [bmcOf(self)], perHourMax: 3, afterFence: 'off' },
	balance: {
		mode: 'off',
		holdMs: 180_000,
		limits: { cpu: 0.85, dom0: 0.85, memory: 0.95, disk: 0.95, network: 0.9 },
		target: 0.6,
		gain: 0.1,
		vmCooldownMs: 1_800_000,
		pairCooldownMs: 900_000,
		spare: 'required',
	},
	healthChecks: [],
	vms,
	reservedMemoryMib: 0,
	startsAtOnce: 4,
	digest: 'digest',
	version: '0.0.0',
});

export const healthy = (vm: string, primaryHere = false, primaryThere = false) =>
	({
		resource: `r-${vm}`,
		role: primaryHere ? 'Primary' : 'Secondary',
		suspended: [],
		connection: 'Connected',
		peerRole: primaryThere ? 'Primary' : 'Secondary',
		volumes: [
			{
				volume: 0,
				disk: 'UpToDate',
				peerDisk: 'UpToDate',
				replication: 'Established',
				outOfSyncKib: 0,
			},
		],
	}) satisfies ResourceObservation;

/** The same resource after its replication link was lost. */
export const unconnected = (
	resource: ResourceObservation,
	change: Partial<ResourceObservation> = {},
): ResourceObservation => ({
	...resource,
	connection: 'Connecting',
	peerRole: 'Unknown',
	suspended: resource.role === 'Primary' ? ['fencing'] : [],
	volumes: resource.volumes.map((volume) => ({
		...volume,
		peerDisk: 'DUnknown',
		replication: 'Off',
	})),
	...change,
});

const publishedBy = (actions: readonly Action[]): PeerDocument | null =>
	actions.find((action) => action.type === 'publish')?.document ?? null;

/** What is news; free memory is told in coarse steps, and what was heard is no news by itself. */
const newsOf = ({ seq: _seq, heard: _heard, freeMemoryMib, ...news }: PeerDocument) => ({
	...news,
	memory: Math.floor(freeMemoryMib / 64),
});

/**
 * What the peer has and what a document written anew would say: equal, or a change was not published. Null while
 * nothing was published yet, or when a tick publishes by itself.
 */
export const toldAndNew = (state: State, nowMs: number, last: PeerDocument | null) => {
	const tick = { type: 'tick' } as const;
	if (last === null || publishedBy(step(state, tick, nowMs).actions) !== null) return null;
	const anew = publishedBy(step({ ...state, published: null }, tick, nowMs).actions);
	return { told: newsOf(last), anew: anew === null ? null : newsOf(anew) };
};

/** One engine and what it asked for so far. */
export class Host {
	state: State;
	#nowMs = 1000;
	readonly actions: Action[] = [];
	readonly notes: string[] = [];
	persisted: Persisted | null;
	document: PeerDocument | null = null;

	constructor(config: EngineConfig, persisted: Persisted | null = null, boot = 'boot-1') {
		this.persisted = persisted;
		this.state = initialState(
			config,
			persisted,
			{ bootId: `${config.self}-${boot}`, session: `${config.self}-session` },
			this.nowMs,
		);
		// What is seen in the very moment of a start, or of a stall's end, may be older.
		this.#nowMs += 1;
	}

	get nowMs(): number {
		return this.#nowMs;
	}

	/** Time passes with a tick every second, as in the loop; a gap would be a stall of the agent. */
	set nowMs(ms: number) {
		while (ms - this.#nowMs > 1000) {
			this.#nowMs += 1000;
			this.take({ type: 'tick' });
		}
		this.#nowMs = ms;
	}

	take(event: Event): this {
		const result = step(this.state, event, this.nowMs);
		this.state = result.state;
		if (result.persist !== null) this.persisted = result.persist;
		this.actions.push(...result.actions);
		this.notes.push(...result.notes.map((note) => note.message));
		for (const action of result.actions)
			if (action.type === 'publish') this.document = action.document;
		return this;
	}

	sees(...resources: ResourceObservation[]): this {
		return this.take({ type: 'replication-observed', resources });
	}

	domains(...vms: { vm: string; presence: 'running' | 'paused' | 'stopped' | 'dying' }[]): this {
		return this.take({
			type: 'hypervisor-observed',
			observation: {
				vms: vms.map((each) => ({
					...each,
					reason: each.presence === 'stopped' ? ('poweroff' as const) : null,
					neverRan: each.presence === 'paused',
					instance: '1',
				})),
				freeMemoryMib: 4096,
			},
		});
	}

	hears(peer: Host, hearing: 'online' | 'suspect' | 'silent' = 'online'): this {
		return this.take({
			type: 'hearing-changed',
			hearing,
			bootId: peer.state.bootId,
			echoed: hearing === 'online',
			echoedMs: hearing === 'online' ? this.nowMs : null,
			peerLagMs: 0,
		});
	}

	receives(peer: Host): this {
		return peer.document === null
			? this
			: this.take({ type: 'document-received', document: peer.document });
	}

	at(ms: number): this {
		this.nowMs = ms;
		return this.take({ type: 'tick' });
	}

	/** The action of this type that is under way. */
	open<Type extends CarriedAction['type']>(type: Type): Extract<CarriedAction, { type: Type }>[] {
		return this.state.inFlight
			.map(({ action }) => action)
			.filter((action) => action.type === type) as Extract<CarriedAction, { type: Type }>[];
	}

	/** Ends the only open action of this type. */
	ends(type: CarriedAction['type'], value: unknown = null): this {
		const [action, ...others] = this.open(type);
		if (action === undefined || others.length > 0)
			throw new Error(
				`${this.state.config.self}: ${others.length + (action ? 1 : 0)} open ${type}`,
			);
		return this.take({
			type: 'action-ended',
			id: action.id,
			outcome: { result: 'succeeded', value },
		});
	}

	/** The open power query of a level ends: every device of it says the same. */
	readsPower(power: PowerState | null, level = 0): this {
		const action = this.open('query-power').find((each) => each.level === level);
		if (action === undefined) throw new Error(`level ${level} is not asked`);
		const devices = this.state.config.fencing?.levels[level]?.devices ?? [];
		const value = devices.map((device) => ({ device, power, detail: '' }));
		const outcome = { result: 'succeeded' as const, value };
		return this.take({ type: 'action-ended', id: action.id, outcome });
	}

	sent<Type extends ImmediateAction['type']>(
		type: Type,
	): Extract<ImmediateAction, { type: Type }>[] {
		return this.actions.filter((action) => action.type === type) as Extract<
			ImmediateAction,
			{ type: Type }
		>[];
	}

	record(vm = 'web') {
		return this.state.persisted.resources[`r-${vm}`]?.record;
	}
}

/** Delivers the newest documents both ways until nothing changes any more. */
export const exchange = (one: Host, other: Host): void => {
	for (let round = 0; round < 10; round += 1) {
		const before = [one.document?.seq, other.document?.seq].join();
		one.receives(other);
		other.receives(one);
		if ([one.document?.seq, other.document?.seq].join() === before) return;
	}
	throw new Error('the documents never settle');
};

/** A healthy, armed pair; the VMs run on `left`. */
export const pairOf = (
	vms: readonly EngineVm[] = [vmConfig('web')],
	change: Partial<EngineConfig> = {},
): [Host, Host] => {
	const left = new Host({ ...engineConfig('left', 'right', vms), ...change });
	const right = new Host({ ...engineConfig('right', 'left', vms), ...change });
	for (const host of [left, right]) {
		host.take({ type: 'preflight-observed', blockers: [], ownDeviceWrong: false });
		host.sees(...vms.map(({ vm }) => healthy(vm))).domains();
	}
	left.hears(right);
	right.hears(left);
	exchange(left, right);
	for (const host of [left, right])
		for (const { level } of host.open('query-power')) host.readsPower('on', level);
	left.take({
		type: 'requested',
		id: 'arm',
		request: { verb: 'arm', by: 'test', reason: '' },
		at: '2026-01-01T00:00:00Z',
	});
	exchange(left, right);
	for (const { vm } of vms) {
		left.take({
			type: 'action-ended',
			id: left.open('promote').find((action) => action.resource === `r-${vm}`)?.id ?? -1,
			outcome: { result: 'succeeded', value: null },
		});
	}
	left.sees(...vms.map(({ vm }) => healthy(vm, true)));
	right.sees(...vms.map(({ vm }) => healthy(vm, false, true)));
	for (const action of left.open('create-vm'))
		left.take({
			type: 'action-ended',
			id: action.id,
			outcome: { result: 'succeeded', value: null },
		});
	for (const action of left.open('unpause-vm'))
		left.take({
			type: 'action-ended',
			id: action.id,
			outcome: { result: 'succeeded', value: null },
		});
	left.domains(...vms.map(({ vm }) => ({ vm, presence: 'running' as const })));
	exchange(left, right);
	return [left, right];
};
