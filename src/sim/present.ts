import type { EngineConfig, EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import type { Ladder } from '#src/fence/ladder.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import {
	type HostName,
	type Presence,
	presences,
	type ResourceName,
	type VmName,
} from '#src/ports.ts';
import type { WitnessRecord } from '#src/ports-witness.ts';
import type { Device } from '#src/sim/model-device.ts';
import type { Domain } from '#src/sim/model-migration.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { replicaOf, vmNamed } from '#src/sim/model.ts';
import { isReplicationCut, placeCopies } from '#src/sim/present-copies.ts';
import { type ScenarioWorld, worldSchema } from '#src/sim/scenario.ts';
import { type Persisted, type ResourceRecord, stateFormat } from '#src/store/record.ts';

/**
 * A simulated pair that stands where a real one stands now, by what the agent of one host knows: its records, what it
 * sees, and what the peer has told. The first host is always the one whose agent was asked.
 */
export interface Present {
	readonly world: ScenarioWorld;
	readonly configs: readonly [EngineConfig, EngineConfig];
	/** Memory for VMs of each host. */
	readonly memoryMib: readonly [number, number];
	/** Puts hosts, copies, domains and records where they are. */
	readonly begin: (simulation: Simulation) => void;
}

/** An answer of a fence device takes about so long, ms. */
const deviceMs = 300;
const runId = 'run-1';

/** The configuration of the other host, which differs in who is who; checks of health are each host's own. */
const mirrored = (config: EngineConfig, digest: string): EngineConfig => ({
	...config,
	self: config.peer,
	peer: config.self,
	fencing: config.fencing && {
		...config.fencing,
		levels: config.fencing.ownLevels,
		ownLevels: config.fencing.levels,
	},
	healthChecks: [],
	digest,
});

/** Hosts whose watchdog is armed, or will be when the pair is. */
const watchdogsOf = (
	{ config, persisted, witness }: State,
	document: PeerDocument,
): readonly HostName[] => {
	const unarmed = new Set<HostName>();
	if (persisted.pair.armed && witness.watchdog?.armed !== true) unarmed.add(config.self);
	if (persisted.pair.armed && (document.witness?.watchdogMs ?? null) === null)
		unarmed.add(config.peer);
	return (config.witness?.watchdogs ?? []).filter((host) => !unarmed.has(host));
};

const worldOf = (
	state: State,
	document: PeerDocument,
	replicationLink: string | null,
): ScenarioWorld => {
	const { config } = state;
	const direct = config.links.find(({ switched }) => !switched);
	const replicates = replicationLink ?? direct?.link ?? config.links.at(-1)?.link;
	const usual = worldSchema.parse({ hosts: ['one', 'other'], vms: [{ name: 'vm', host: 'one' }] });
	return {
		...usual,
		hosts: [config.self, config.peer],
		arbiter: config.arbiter,
		...(config.witness !== null && {
			witness: { watchdogs: [...watchdogsOf(state, document)] },
		}),
		detection: config.timing.detectionMs,
		networks: config.links.map(({ link, switched }) => ({
			name: link,
			switched,
			replication: link === replicates,
		})),
		vms: config.vms.flatMap((vm) =>
			usual.vms.map((like) => ({ ...like, name: vm.vm, host: vm.preferredHost })),
		),
	};
};

/** Generation numbers of the real copies mean nothing here: the record names that of its owner's copy. */
const recordIn = (
	simulation: Simulation,
	resource: ResourceName,
	record: ResourceRecord,
): ResourceRecord => {
	const vm = simulation.vms.find(({ engine }) => engine.resource === resource);
	if (vm === undefined || record.uuids === null) return record;
	const owner = simulation.hosts.find(({ name }) => name === record.owner) ?? simulation.hosts[0];
	return { ...record, uuids: [replicaOf(owner, vm).current] };
};

const mapped = <From, To>(
	values: Readonly<Record<string, From>>,
	change: (key: string, value: From) => To,
): Record<string, To> =>
	Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(key, value)]));

/** What the first host remembers; of the witness as if it had always been this one. */
const ownRecord = (simulation: Simulation, { persisted }: State): Persisted => ({
	...persisted,
	resources: mapped(persisted.resources, (resource, local) => ({
		...local,
		record: recordIn(simulation, resource, local.record),
	})),
	witness: persisted.witness && {
		...persisted.witness,
		confirmedRunId: persisted.witness.confirmedRunId === null ? null : runId,
	},
});

/** What the other one remembers, by what it tells: its records and wishes are in its document, its past is not. */
const peerRecord = (simulation: Simulation, state: State, document: PeerDocument): Persisted => {
	const { persisted } = state;
	const memory = persisted.witness;
	return {
		format: stateFormat,
		pairId: persisted.pairId,
		host: document.host,
		bootId: document.bootId,
		joinedBootId: document.joined ? document.bootId : null,
		peerBootIds: [state.bootId],
		pair: document.pair,
		// What is left of a pause it learns from the first host.
		pauseClock: null,
		resources: mapped(document.records, (resource, record) => {
			const sight = document.sights[resource];
			const held = sight?.held === true ? persisted.resources[resource]?.held : null;
			return {
				record: recordIn(simulation, resource, record),
				selfExcludedAt: sight?.excluded === true ? record.generation : null,
				held: held ?? null,
				detached: false,
				lastRun: sight?.lastRun ?? null,
				lastDrill: null,
			};
		}),
		openFence:
			document.openFence === null
				? null
				: { ...document.openFence, bootId: document.bootId, atMs: 0, levels: [0] },
		deviceWrong: document.deviceWrong,
		contactLost: null,
		fences: [],
		witness: memory && {
			...memory,
			confirmedRunId: memory.confirmedRunId === null ? null : runId,
			version: Math.min(memory.version, document.witness?.version ?? memory.version),
			voidBelow: document.witness?.voidBelow ?? memory.voidBelow,
			peerUnarmed: false,
			reserved: {},
			claiming: document.witness?.claiming === true,
			paused: {},
		},
		arbiter: document.arbiter,
		standby: document.standby ? { by: document.host, reason: '', at: '' } : null,
		leaving: null,
		loadMoves: {},
	};
};

const witnessRecordIn = (simulation: Simulation, record: WitnessRecord): WitnessRecord => ({
	...record,
	hosts: {},
	resources: mapped(record.resources, (resource, each) => recordIn(simulation, resource, each)),
});

const placeDomain = (
	host: SimHost,
	vm: VmName,
	domain: Pick<Domain, 'presence' | 'reason' | 'neverRan' | 'instance'>,
): void => {
	host.domains.set(vm, { ...domain, shutdownDue: false, shownPaused: false });
};

const isPresence = (word: string): word is Presence =>
	(presences as readonly string[]).includes(word);

const placeDomains = (simulation: Simulation, state: State, document: PeerDocument): void => {
	const [self, peer] = simulation.hosts;
	for (const { vm, resource } of state.config.vms) {
		const own = state.vms?.value[vm];
		if (own !== undefined) placeDomain(self, vm, own);
		const there = document.sights[resource]?.presence ?? 'unknown';
		if (!isPresence(there)) continue;
		const reason = there === 'stopped' ? 'poweroff' : null;
		placeDomain(peer, vm, { presence: there, reason, neverRan: false, instance: `${vm}-there` });
		vmNamed(simulation, vm).load.ranOn = peer.name;
	}
};

const placeDevices = (state: State, { hosts: [self, peer] }: Simulation): void => {
	const { fencing } = state.config;
	if (fencing === null) return;
	const silent = (level: number, device: string): boolean => {
		const asked = state.peer.power[level] ?? null;
		const reading = asked?.devices.find((each) => each.device === device);
		return asked !== null && asked.state === null && (reading?.power ?? null) === null;
	};
	const devicesOf = (ladder: Ladder, isDead: (level: number, device: string) => boolean) =>
		ladder.flatMap(({ devices }, level) =>
			devices.map((name): Device => ({
				name,
				level,
				behaviour: isDead(level, name) ? 'dead' : 'ok',
				latencyMs: deviceMs,
				byMs: deviceMs,
				diesWithHost: false,
				outlet: true,
				offAsked: false,
			})),
		);
	self.devices.splice(0, self.devices.length, ...devicesOf(fencing.ownLevels, () => false));
	peer.devices.splice(0, peer.devices.length, ...devicesOf(fencing.levels, silent));
};

const placeHosts = (simulation: Simulation, state: State, document: PeerDocument): void => {
	const [self, peer] = simulation.hosts;
	self.bootId = state.bootId;
	// Its clock goes on: what is remembered with a time of this boot keeps its age.
	self.bootedMs = -Math.floor(state.steppedAtMs);
	peer.bootId = document.bootId;
	for (const host of simulation.hosts) host.gatewayAnswers = state.peer.gatewayAnswers;
	for (const { link, state: seen } of state.peer.links) {
		const network = simulation.networks.find(({ name }) => name === link);
		if (seen === 'silent') network?.cutHeartbeat.fill(true);
	}
	if (isReplicationCut(state))
		simulation.networks.find(({ replication }) => replication)?.cutReplication.fill(true);
};

const placeWitness = (simulation: Simulation, { witness: { view, usable } }: State): void => {
	const third = simulation.witness;
	if (third === null) return;
	third.up = usable;
	const record = view?.record ?? null;
	third.record = record && witnessRecordIn(simulation, record);
};

const usedMib = ({ config }: State, isThere: (vm: EngineVm) => boolean): number =>
	config.vms.filter(isThere).reduce((sum, { memoryMib }) => sum + memoryMib, 0);

/**
 * The pair as this state knows it; both hosts live and hear each other.
 * @param document what the peer told last.
 * @param replicationLink the link that DRBD is taken to use; null: a direct cable, otherwise the last one.
 */
export const presentOf = (
	state: State,
	document: PeerDocument,
	replicationLink: string | null,
): Present => {
	const config: EngineConfig = {
		...state.config,
		healthChecks: [],
		// How busy the hosts would be is not known.
		balance: { ...state.config.balance, mode: 'off' },
	};
	return {
		world: worldOf(state, document, replicationLink),
		configs: [config, mirrored(config, document.configDigest)],
		memoryMib: [
			state.freeMemoryMib + usedMib(state, ({ vm }) => state.vms?.value[vm] !== undefined),
			document.freeMemoryMib +
				usedMib(state, ({ resource }) =>
					isPresence(document.sights[resource]?.presence ?? 'unknown'),
				),
		],
		begin: (simulation) => {
			placeHosts(simulation, state, document);
			placeDevices(state, simulation);
			for (const vm of simulation.vms) placeCopies(simulation, vm, state);
			placeDomains(simulation, state, document);
			placeWitness(simulation, state);
			const [self, peer] = simulation.hosts;
			self.store.content = ownRecord(simulation, state);
			peer.store.content = peerRecord(simulation, state, document);
		},
	};
};
