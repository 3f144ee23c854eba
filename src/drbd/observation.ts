import type { ObjectKind, Values, View } from '#src/drbd/events2.ts';
import {
	connectionStates,
	diskStates,
	replicationStates,
	roles,
	suspensions,
	type HostName,
	type ResourceName,
	type ResourceObservation,
	type Suspension,
	type VolumeObservation,
} from '#src/ports.ts';

/** What a view says about the managed resources. */
export interface Seen {
	/** Managed resources that are up, by name. A resource that is down is not listed. */
	readonly resources: readonly ResourceObservation[];
	/** Things a person has to correct, as sentences; the observation itself is right. */
	readonly findings: readonly string[];
	/**
	 * Words DRBD used that are not known here, or keys that are missing. When not empty, nothing of
	 * this may be acted on: an unknown state is no information, and that is never permission.
	 */
	readonly problems: readonly string[];
}

/** Looks a word up in DRBD's vocabulary; a word outside of it is a problem and takes the `instead`. */
const word = <Word extends string>(
	problems: string[],
	values: Values,
	key: string,
	words: readonly Word[],
	instead: NoInfer<Word>,
): Word => {
	const value = values.get(key);
	const known = words.find((each) => each === value);
	if (known !== undefined) return known;
	problems.push(`${values.get('name') ?? '?'}: ${key} is ${value ?? 'missing'}`);
	return instead;
};

const numberOf = (text: string | undefined): number | null =>
	text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;

const isSuspension = (reason: string): reason is Suspension =>
	suspensions.some((known) => known === reason);

const suspendedOf = (problems: string[], values: Values): Suspension[] => {
	const value = values.get('suspended');
	if (value === 'no') return [];
	const words = value?.split(',') ?? ['missing'];
	const unknown = words.filter((reason) => !isSuspension(reason));
	if (unknown.length > 0) {
		problems.push(`${values.get('name') ?? '?'}: suspended is ${unknown.join(',')}`);
	}
	return words.filter(isSuspension);
};

/** The objects of one resource by kind. */
type Parts = Record<ObjectKind, Values[]>;

const noParts: Readonly<Parts> = {
	resource: [],
	connection: [],
	device: [],
	'peer-device': [],
	path: [],
};

const partsByResource = (view: View): Map<ResourceName, Parts> => {
	const byResource = new Map<ResourceName, Parts>();
	for (const { object, values } of view.objects.values()) {
		const name = values.get('name') ?? '';
		const parts = byResource.get(name) ?? structuredClone(noParts);
		parts[object].push(values);
		byResource.set(name, parts);
	}
	return byResource;
};

/** DRBD 8.4 calls every peer `peer`, so the name decides only where there is a choice. */
const chooseConnection = (
	findings: string[],
	connections: readonly Values[],
	resource: ResourceName,
	peer: HostName,
): Values | undefined => {
	if (connections.length <= 1) return connections[0];
	const names = connections.map((values) => values.get('conn-name') ?? '?').join(', ');
	findings.push(
		`Resource ${resource} has ${connections.length} peers (${names}), vmpair manages exactly two hosts: ` +
			`remove every "on" section but those of this host and ${peer} from its resource file.`,
	);
	return connections.find((values) => values.get('conn-name') === peer);
};

const volumeOf = (
	problems: string[],
	device: Values,
	peerDevice: Values | undefined,
): VolumeObservation => ({
	volume: numberOf(device.get('volume')) ?? -1,
	disk: word(problems, device, 'disk', diskStates, 'DUnknown'),
	peerDisk:
		peerDevice === undefined
			? 'DUnknown'
			: word(problems, peerDevice, 'peer-disk', diskStates, 'DUnknown'),
	replication:
		peerDevice === undefined
			? 'Off'
			: word(problems, peerDevice, 'replication', replicationStates, 'Off'),
	outOfSyncKib: numberOf(peerDevice?.get('out-of-sync')),
});

const observeResource = (
	problems: string[],
	parts: Parts,
	values: Values,
	connection: Values | undefined,
): ResourceObservation => {
	const nodeId = connection?.get('peer-node-id');
	const peerDevices = parts['peer-device'].filter((part) => part.get('peer-node-id') === nodeId);
	const volumes = parts.device.map((device) =>
		volumeOf(
			problems,
			device,
			peerDevices.find((part) => part.get('volume') === device.get('volume')),
		),
	);
	return {
		resource: values.get('name') ?? '',
		role: word(problems, values, 'role', roles, 'Unknown'),
		suspended: suspendedOf(problems, values),
		// DRBD 8.4 destroys the connection object when it goes StandAlone.
		connection:
			connection === undefined
				? 'StandAlone'
				: word(problems, connection, 'connection', connectionStates, 'StandAlone'),
		peerRole:
			connection === undefined ? 'Unknown' : word(problems, connection, 'role', roles, 'Unknown'),
		volumes: volumes.sort((a, b) => a.volume - b.volume),
	};
};

/**
 * The managed resources of a view. `managed` gives the peer's host name per resource: with DRBD 9
 * and several connections only the one of that name counts, and that is a finding.
 */
export const observe = (view: View, managed: ReadonlyMap<ResourceName, HostName>): Seen => {
	const problems: string[] = [];
	const findings: string[] = [];
	const resources: ResourceObservation[] = [];
	const byResource = partsByResource(view);
	for (const [resource, peer] of [...managed].sort(([a], [b]) => (a < b ? -1 : 1))) {
		const parts = byResource.get(resource);
		const [values] = parts?.resource ?? [];
		if (parts === undefined || values === undefined) continue;
		const connection = chooseConnection(findings, parts.connection, resource, peer);
		resources.push(observeResource(problems, parts, values, connection));
	}
	return { resources, findings, problems };
};

/** The minor number of each volume of a resource. */
export const minorsOf = (view: View, resource: ResourceName): ReadonlyMap<number, number> => {
	const minors = new Map<number, number>();
	for (const { object, values } of view.objects.values()) {
		const volume = numberOf(values.get('volume'));
		const minor = numberOf(values.get('minor'));
		if (object !== 'device' || values.get('name') !== resource) continue;
		if (volume !== null && minor !== null) minors.set(volume, minor);
	}
	return minors;
};
