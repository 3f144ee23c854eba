import type { CarriedAction } from '#src/engine/action.ts';
import { hasNoDisk } from '#src/drbd/role.ts';
import { mayDiscard } from '#src/engine/resolve.ts';
import type { State } from '#src/engine/state.ts';
import { assert } from '#src/std/assert.ts';

/** What must hold after every step, in production too. A failure stops the agent; the guests keep running. */
export const assertInvariants = (before: State, after: State): void => {
	if (before.persisted !== after.persisted) assertRecords(before, after);
	if (before.inFlight !== after.inFlight) assertActions(before, after);
};

const assertRecords = (before: State, after: State): void => {
	const { self, peer } = after.config;
	const hosts = new Set([self, peer]);
	for (const [resource, { record }] of Object.entries(after.persisted.resources)) {
		const old = before.persisted.resources[resource]?.record;
		assert(
			old === undefined || old === record || record.generation > old.generation,
			`the generation of ${resource} grows with every change`,
		);
		assert(
			record.owner === null || hosts.has(record.owner),
			`the owner of ${resource} is a host of the pair`,
		);
		assert(record.inSync.length > 0, `somebody holds the data of ${resource}`);
		assert(
			record.inSync.every(
				(host, index) => hosts.has(host) && (record.inSync[index - 1] ?? '') < host,
			),
			`inSync of ${resource} is a sorted set of hosts of the pair`,
		);
	}
	for (const resource of Object.keys(before.persisted.resources)) {
		assert(
			after.persisted.resources[resource] !== undefined,
			`the record of ${resource} is never forgotten`,
		);
	}
	assert(
		after.persisted.pair.generation >= before.persisted.pair.generation,
		'the pair record never goes back',
	);
};

const mayPromote = ({ persisted, config }: State, resource: string): boolean => {
	const record = persisted.resources[resource]?.record;
	if (record?.owner === config.self) return true;
	const journal = record?.journal;
	return journal?.kind === 'migration' && journal.phase === 'forth' && journal.to === config.self;
};

const assertActions = (before: State, after: State): void => {
	const { self } = after.config;
	for (const flight of after.inFlight) {
		const { action } = flight;
		if (before.inFlight.includes(flight)) continue;
		if (action.type === 'create-vm' || action.type === 'unpause-vm') {
			const vm = after.config.vms.find((each) => each.vm === action.vm);
			const record = vm === undefined ? undefined : after.persisted.resources[vm.resource]?.record;
			assert(record?.owner === self, `${action.vm} is started only by its owner`);
		}
		if (action.type === 'promote')
			assert(
				mayPromote(after, action.resource),
				`${action.resource} is promoted only by its owner, or for a live migration to this host`,
			);
		assertData(after, action);
		if (action.type === 'power-off')
			assert(
				after.persisted.openFence?.target === action.host,
				'an off is durable as an open fence before it is sent',
			);
	}
};

/** Nothing automatic gives data up (I8), and a frozen loser's writes reach no disk (V15). */
const assertData = (after: State, action: CarriedAction): void => {
	if (action.type === 'detach' || action.type === 'fail-io') {
		const local = after.persisted.resources[action.resource];
		assert(
			local?.record.owner === after.config.peer && local.selfExcludedAt !== null,
			`${action.resource} is released only where the record names the other host and this copy is out`,
		);
	}
	if (action.type === 'fail-io') {
		const observed = after.resources?.value[action.resource];
		assert(
			observed !== undefined && hasNoDisk(observed),
			`${action.resource} has no disk when its held-back writes are ended`,
		);
	}
	if (action.type === 'connect-discarding')
		assert(
			mayDiscard(after, action.resource),
			`${action.resource} is given up only by a person's order`,
		);
};
