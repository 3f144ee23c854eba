import type { Condition } from '#src/alert/condition.ts';
import { isWriting } from '#src/sim/data.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { hostNamed, replicaOf, vmNamed } from '#src/sim/model.ts';
import type { Sight } from '#src/sim/step.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';

/** What a scenario run has gathered so far besides the world itself. */
export interface Gathered {
	readonly notes: readonly { readonly host: string; readonly text: string }[];
	readonly replies: ReadonlyMap<string, string>;
	readonly conditions: ReadonlyMap<string, readonly Condition[]>;
}

/** True when all that the sight says holds now. */
export const isSeen = (simulation: Simulation, gathered: Gathered, sight: Sight): boolean => {
	const vm = sight.vm === undefined ? null : vmNamed(simulation, sight.vm);
	const host = sight.host === undefined ? null : hostNamed(simulation, sight.host);
	return (
		(vm === null || isVmSeen(simulation, vm, sight)) &&
		(host === null || isHostSeen(host, sight)) &&
		(vm === null || host === null || isReplicaSeen(host, vm, sight)) &&
		isGathered(gathered, sight) &&
		(sight.moves === undefined || isCounted(movesOf(simulation, vm), sight.moves)) &&
		(sight.claim === undefined || claimant(simulation) === sight.claim) &&
		(sight.ledger === undefined || isLedgerIntact(simulation, vm))
	);
};

const isVmSeen = (simulation: Simulation, vm: SimVm, sight: Sight): boolean => {
	const on = simulation.hosts.filter((host) => isRunnable(host, vm));
	return (
		(sight.runsOn === undefined || on.some((host) => host.name === sight.runsOn)) &&
		(sight.runs === undefined || on.length > 0 === sight.runs) &&
		(sight.copies === undefined || on.length === sight.copies) &&
		(sight.writing === undefined ||
			simulation.hosts.some((host) => isWriting(simulation, host, vm)) === sight.writing)
	);
};

const isHostSeen = (host: SimHost, sight: Sight): boolean =>
	(sight.power === undefined || (sight.power === 'on') === host.powered) &&
	(sight.arbiter === undefined || arbiterSeen(host) === sight.arbiter) &&
	(sight.agent === undefined || (sight.agent === 'running') === (host.agent?.alive === true));

/** Of one VM, or of all together. */
const movesOf = ({ vms }: Simulation, vm: SimVm | null): number =>
	(vm === null ? vms : [vm]).reduce((sum, { load }) => sum + load.moves, 0);

const isCounted = (
	amount: number,
	{ exactly, atLeast, atMost }: NonNullable<Sight['moves']>,
): boolean =>
	(exactly === undefined || amount === exactly) &&
	(atLeast === undefined || amount >= atLeast) &&
	(atMost === undefined || amount <= atMost);

const claimant = (simulation: Simulation): string | null =>
	simulation.witness?.record?.claim?.by ?? null;

const arbiterSeen = (host: SimHost): string | null => {
	const { content } = host.store;
	if (content === null || content === 'corrupt') return null;
	if (content.arbiter === null) return host.config.arbiter;
	return content.arbiter.next === null ? content.arbiter.now : 'changing';
};

const isReplicaSeen = (host: SimHost, vm: SimVm, sight: Sight): boolean => {
	const replica = replicaOf(host, vm);
	const record = durableRecord(host, vm);
	return (
		(sight.presence === undefined ||
			(host.domains.get(vm.name)?.presence ?? 'absent') === sight.presence) &&
		(sight.role === undefined || (replica.up && replica.role === sight.role)) &&
		(sight.disk === undefined || (replica.up && replica.disk === sight.disk)) &&
		(sight.connection === undefined || (replica.up && replica.connection === sight.connection)) &&
		(sight.frozen === undefined || replica.frozen === sight.frozen) &&
		(sight.owner === undefined || record?.owner === sight.owner) &&
		(sight.inSync === undefined ||
			record?.inSync.toSorted().join() === sight.inSync.toSorted().join())
	);
};

const isGathered = (gathered: Gathered, sight: Sight): boolean => {
	const { condition, says, note, reply, status } = sight;
	if (note !== undefined) {
		const seen = gathered.notes.some(
			(each) => each.text.includes(note) && (sight.host === undefined || each.host === sight.host),
		);
		if (!seen) return false;
	}
	if (condition !== undefined) {
		const seen = [...gathered.conditions].some(
			([host, list]) =>
				(sight.host === undefined || host === sight.host) &&
				list.some(
					(each) =>
						each.name === condition &&
						(sight.vm === undefined || each.subject === sight.vm) &&
						(says === undefined || `${each.summary} ${each.next}`.includes(says)),
				),
		);
		if (!seen) return false;
	}
	if (reply === undefined) return true;
	const answer = gathered.replies.get(reply);
	return answer !== undefined && (status === undefined || answer === status);
};

/** Where the VM runs, or on at least one disk, is every acknowledged write; no promise about data was broken. */
const isLedgerIntact = (simulation: Simulation, only: SimVm | null): boolean => {
	if (simulation.violations.some((each) => each.checker === 'no-loss')) return false;
	const vms = only === null ? simulation.vms : [only];
	return vms.every((vm) => vm.replicas.some((replica) => replica.head === vm.acknowledged));
};
