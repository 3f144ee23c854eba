import { isConnected, isFrozen, lowestDisk, lowestPeerDisk } from '#src/drbd/role.ts';
import type { State } from '#src/engine/state.ts';
import type {
	ConnectionState,
	DiskState,
	ReplicationState,
	ResourceObservation,
	Role,
} from '#src/ports.ts';
import type { Replica, SimVm, Simulation } from '#src/sim/model.ts';
import { newUuid } from '#src/sim/model.ts';
import { writeMetadata } from '#src/sim/replica.ts';

/** The copies of a simulated VM as an agent sees those of a real one, its own and what the peer tells of the other. */

interface Seen {
	readonly role: Role;
	readonly peerRole: Role;
	readonly disk: DiskState;
	readonly peerDisk: DiskState;
	readonly connection: ConnectionState;
	readonly replication: ReplicationState;
	readonly frozen: boolean;
}

/** What the other side of a connection shows. */
const mirrored: Readonly<Partial<Record<ReplicationState, ReplicationState>>> = {
	StartingSyncS: 'StartingSyncT',
	StartingSyncT: 'StartingSyncS',
	WFBitMapS: 'WFBitMapT',
	WFBitMapT: 'WFBitMapS',
	SyncSource: 'SyncTarget',
	SyncTarget: 'SyncSource',
	VerifyS: 'VerifyT',
	VerifyT: 'VerifyS',
	PausedSyncS: 'PausedSyncT',
	PausedSyncT: 'PausedSyncS',
	Ahead: 'Behind',
	Behind: 'Ahead',
};

/** The least settled one: a resource of several volumes is one copy here. */
const replicationOf = ({ volumes }: ResourceObservation): ReplicationState =>
	volumes.find(({ replication }) => replication !== 'Established')?.replication ?? 'Established';

const ownCopy = (observed: ResourceObservation): Seen => ({
	role: observed.role,
	peerRole: observed.peerRole,
	disk: lowestDisk(observed),
	peerDisk: lowestPeerDisk(observed),
	connection: observed.connection,
	replication: isConnected(observed) ? replicationOf(observed) : 'Off',
	frozen: isFrozen(observed),
});

/** Connected copies show each other; of one that is not, the peer has told. */
const peerCopy = (state: State, resource: string, own: Seen | null): Seen | null => {
	const sight = state.peer.document?.sights[resource];
	if (sight === undefined || sight.role === null || sight.disk === null) return null;
	if (own?.connection === 'Connected')
		return {
			role: own.peerRole,
			peerRole: own.role,
			disk: own.peerDisk,
			peerDisk: own.disk,
			connection: 'Connected',
			replication: mirrored[own.replication] ?? own.replication,
			frozen: sight.frozen,
		};
	return {
		role: sight.role,
		peerRole: 'Unknown',
		disk: sight.disk,
		peerDisk: 'DUnknown',
		connection: sight.connection ?? 'Connecting',
		replication: 'Off',
		frozen: sight.frozen,
	};
};

const place = (replica: Replica, seen: Seen): void => {
	const { role, peerRole, disk, peerDisk, connection, replication, frozen } = seen;
	Object.assign(replica, { role, peerRole, disk, peerDisk, connection, replication, frozen });
	replica.up = true;
	replica.connects = 1;
	replica.exposed = replica.current;
	writeMetadata(replica);
};

/** Which data each copy has: equal, unless one is behind the other or was written without it. */
const placeGenerations = (
	simulation: Simulation,
	vm: SimVm,
	seen: readonly (Seen | null)[],
	split: boolean,
): void => {
	const common = newUuid(simulation);
	vm.replicas.forEach((replica, index) => {
		const copy = seen[index] ?? null;
		const other = seen[1 - index] ?? null;
		replica.current = common;
		const behind = copy?.disk === 'Inconsistent' || copy?.disk === 'Outdated';
		const ahead = other?.disk === 'Inconsistent' || other?.disk === 'Outdated';
		const alone = copy?.role === 'Primary' && copy.connection !== 'Connected' && !copy.frozen;
		if (behind) replica.head = -1;
		if (!split && !ahead && !alone) return;
		replica.bitmap = common;
		replica.current = newUuid(simulation);
		replica.changed = true;
	});
};

/** Puts both copies of a VM where the agent of the first host sees them. Returns the generation of each. */
export const placeCopies = (simulation: Simulation, vm: SimVm, state: State): void => {
	const { resource } = vm.engine;
	const observed = state.resources?.value[resource];
	const own = observed === undefined ? null : ownCopy(observed);
	const seen = [own, peerCopy(state, resource, own)];
	placeGenerations(simulation, vm, seen, state.splitReports[resource] === true);
	vm.replicas.forEach((replica, index) => {
		const copy = seen[index] ?? null;
		if (copy !== null) place(replica, copy);
	});
};

/** DRBD's connection is cut although the hosts hear each other: nothing of it is connected or gets any further. */
export const isReplicationCut = (state: State): boolean => {
	const resources = Object.values(state.resources?.value ?? {});
	return resources.length > 0 && resources.every(({ connection }) => connection === 'Connecting');
};
