import { hasTwoHistories, isForgotten, visibleHead } from '#src/sim/data.ts';
import type { Replica, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, otherReplica, replicaOf, violate } from '#src/sim/model.ts';
import { durableRecord } from '#src/sim/truth.ts';

/** What an agent may take from a failed disk to the durable exclusion, ms: the stated exception of I3. */
const diskReactionMs = 5000;

/** What is on this copy, and on the other one if that is equal, is all that counts from here on. */
export const takeForTruth = (replica: Replica): void => {
	const { vm } = replica;
	const other = otherReplica(replica);
	const equal = other.head === replica.head;
	vm.acknowledged += 1;
	replica.head = vm.acknowledged;
	if (equal) other.head = vm.acknowledged;
};

/**
 * That this copy misses writes stood in the two files alone: its own was replaced by an older one, the witness could
 * not be told meanwhile, and on the disk there is no mark, because it had failed when it would have got one.
 */
const isUntold = ({ witness }: Simulation, { host, vm, flags }: Replica): boolean =>
	host.fileReplacedMs > 0 &&
	flags.upToDate &&
	witness?.written.get(vm.engine.resource)?.includes(host.name) === true;

/** Nothing acknowledged is lost: a VM that starts sees every acknowledged write. */
export const checkData = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	const replica = replicaOf(host, vm);
	const seen = visibleHead(replica);
	if (seen === vm.acknowledged) return;
	const atOnce = simulation.queue.nowMs - vm.wentOnAloneMs <= diskReactionMs;
	if (seen === -1 && (atOnce || replica.disk === 'Diskless')) {
		// Its disk failed in this very moment: it sees errors, not stale data.
		count(simulation, 'started as its disk failed');
		return;
	}
	// Who had the newest data was known to a file and to a disk, and both are gone: without a witness nobody can know.
	const replaced = simulation.hosts.some(({ fileReplacedMs }) => fileReplacedMs > 0);
	const destroyed = vm.dataDestroyed && replaced && simulation.witness === null;
	const unknowable = destroyed || isForgotten(simulation, vm) || isUntold(simulation, replica);
	const { writtenAlone } = vm;
	const inWindow = writtenAlone?.last === vm.acknowledged && seen >= writtenAlone.kept;
	if (vm.staleAccepted || inWindow || unknowable || hasTwoHistories(vm)) {
		// A person took the loss, or it is the stated one of V16.
		count(simulation, inWindow ? 'lost in the window of V16' : 'stale data accepted');
		vm.staleAccepted = false;
		takeForTruth(replica);
		return;
	}
	// A person's word took the VM from a host that lives and has not heard of it. What it then writes is still judged.
	if (vm.buried.get(host.name) === 'alive' && durableRecord(host, vm)?.inSync.includes(host.name)) {
		count(simulation, 'started where a person had counted it out');
		return;
	}
	violate(
		simulation,
		'no-loss',
		`${vm.name} starts on ${host.name} without acknowledged writes (${seen} of ${vm.acknowledged})`,
	);
};

/** I3: a write on one disk alone only after the other host was durably taken out of inSync. */
export const checkLoneWrite = (simulation: Simulation, writer: Replica, copy: Replica): void => {
	const { vm, host } = writer;
	const record = durableRecord(host, vm);
	const otherCopy = otherReplica(copy);
	const other = otherCopy.host.name;
	if (record !== undefined && !record.inSync.includes(other)) return;
	const local = host.store.content;
	if (other === host.name && local !== null && local !== 'corrupt') {
		if (local.resources[vm.engine.resource]?.selfExcludedAt !== null) return;
	}
	if (vm.wentOnAloneMs > 0) {
		// Nobody reacts while the agent is down, stopped, or cannot see DRBD; and which copy is in use is known by the VM.
		const { agent } = host;
		const stands = agent?.alive !== true || agent.stopped || agent.loopStalled;
		const hungMs = Math.max(host.drbdHungUntilMs, host.xlHungUntilMs);
		const sinceMs = Math.max(vm.wentOnAloneMs, host.agentSinceMs, hungMs);
		if (stands || simulation.queue.nowMs - sinceMs <= diskReactionMs) {
			vm.writtenAlone = { last: vm.acknowledged, kept: otherCopy.head };
			return;
		}
	}
	violate(
		simulation,
		'I3',
		`a write of ${vm.name} is acknowledged on ${copy.host.name} alone while ${other} counts as in sync`,
	);
};
