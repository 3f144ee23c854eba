import type { HypervisorObservation, Outcome, ShutdownReason } from '#src/ports.ts';
import { settle } from '#src/sim/data.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import type { Domain } from '#src/sim/model-migration.ts';
import { count, delay, onHost, replicaOf, tell, violate } from '#src/sim/model.ts';

/** `xl` of one host: domains that are created paused, run, shut down, crash, and die with their host. */

type Done = (outcome: Outcome) => void;

const succeeded: Outcome = { result: 'succeeded', value: null };
const failed = (code: string): Outcome => ({ result: 'failed', code, detail: code });

/** After every change of a VM's domain: what the agent sees, one line of the trace. */
export const changed = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	simulation.changes += 1;
	simulation.hooks.hypervisorChanged(host);
	if (simulation.trace === null) return;
	const domain = host.domains.get(vm.name);
	const reason = domain?.reason ?? null;
	const words = domain === undefined ? 'absent' : domain.presence;
	tell(simulation, host.name, `xl ${vm.name}: ${words}${reason === null ? '' : ` (${reason})`}`);
};

export const usedMib = (simulation: Simulation, host: SimHost): number => {
	let sum = 0;
	for (const vm of simulation.vms) {
		if (host.domains.has(vm.name) || host.creating.has(vm.name)) sum += vm.engine.memoryMib;
		const twin = host.migrations.get(vm.name)?.twin ?? null;
		if (twin !== null) sum += vm.engine.memoryMib;
	}
	return sum;
};

export const observeHypervisor = (
	simulation: Simulation,
	host: SimHost,
): HypervisorObservation => ({
	vms: [...host.domains].map(([vm, domain]) => ({
		vm,
		// The driver sees the unit of a create that is still under way.
		presence:
			domain.presence === 'paused' && host.creating.get(vm)?.byHand === false
				? 'creating'
				: domain.shownPaused
					? 'paused'
					: domain.presence,
		reason: domain.presence === 'stopped' ? domain.reason : null,
		neverRan: domain.neverRan,
		instance: domain.instance,
	})),
	...observeMigrations(host),
	freeMemoryMib: host.memoryMib - usedMib(simulation, host),
});

/** A receiver that waits is nothing yet. */
const observeMigrations = (host: SimHost): Pick<HypervisorObservation, 'migrations'> => {
	const migrations = [...host.migrations].flatMap(([vm, { twin, xl }]) => {
		const underWay = xl === 'sends' || xl === 'receives';
		return twin === null && !underWay ? [] : [{ vm, twin: twin?.name ?? null, underWay }];
	});
	return migrations.length === 0 ? {} : { migrations };
};

/**
 * `xl create -p -e` in a unit of its own: it goes on when the agent dies. The domain is listed as
 * paused long before it is complete.
 */
export const createVm = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	{ byHand }: { readonly byHand: boolean },
	done: Done,
): void => {
	if (host.domains.has(vm.name) || host.creating.has(vm.name)) {
		done(failed('xl-exists'));
		return;
	}
	if (host.memoryMib - usedMib(simulation, host) < vm.engine.memoryMib) {
		done(failed('xl-no-memory'));
		return;
	}
	host.creating.set(vm.name, { opened: false, byHand });
	const { createMs } = simulation.timings;
	const totalMs = delay(simulation, Math.floor(createMs / 2), Math.floor(createMs * 1.5));
	onHost(simulation, host, Math.floor(totalMs / 10), () => {
		const domain = appear(simulation, host, vm);
		onHost(simulation, host, Math.floor(totalMs * 0.4), () => {
			const fails = vm.createFails.get(host.name) ?? 0;
			if (fails === 0) openDisk(simulation, host, vm, { domain, restMs: totalMs / 2, done });
			else {
				vm.createFails.set(host.name, fails - 1);
				createFailed(simulation, host, vm, { domain, restMs: 0, done }, 'xl-failed');
			}
		});
	});
};

interface Creating {
	readonly domain: Domain;
	readonly restMs: number;
	readonly done: Done;
}

const appear = (simulation: Simulation, host: SimHost, vm: SimVm): Domain => {
	simulation.nextInstance += 1;
	const domain: Domain = {
		presence: 'paused',
		neverRan: true,
		reason: null,
		instance: `${vm.name}-${simulation.nextInstance}`,
		shutdownDue: false,
		shownPaused: false,
	};
	host.domains.set(vm.name, domain);
	changed(simulation, host, vm);
	return domain;
};

const createFailed = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	creating: Creating,
	code: string,
): void => {
	host.creating.delete(vm.name);
	if (host.domains.get(vm.name) === creating.domain) {
		settle(simulation, vm);
		host.domains.delete(vm.name);
		changed(simulation, host, vm);
	}
	creating.done(failed(code));
};

const openDisk = (simulation: Simulation, host: SimHost, vm: SimVm, creating: Creating): void => {
	const replica = replicaOf(host, vm);
	if (!replica.up || replica.role !== 'Primary' || host.domains.get(vm.name) !== creating.domain) {
		// A Secondary cannot be opened (EMEDIUMTYPE); a domain may have been destroyed meanwhile.
		createFailed(simulation, host, vm, creating, 'xl-disk');
		return;
	}
	const byHand = host.creating.get(vm.name)?.byHand === true;
	host.creating.set(vm.name, { opened: true, byHand });
	if (replica.frozen) {
		// Reading the disk's first blocks hangs until DRBD goes on.
		onHost(simulation, host, 500, () => openDisk(simulation, host, vm, creating));
		return;
	}
	onHost(simulation, host, Math.ceil(creating.restMs), () => {
		host.creating.delete(vm.name);
		changed(simulation, host, vm);
		if (host.domains.get(vm.name) === creating.domain) creating.done(succeeded);
		else creating.done(failed('xl-failed'));
	});
};

export const unpauseVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const domain = host.domains.get(vm.name);
	if (domain === undefined || domain.presence === 'dying' || domain.presence === 'stopped') {
		done(failed('xl-absent'));
		return;
	}
	if (domain.presence === 'paused') {
		settle(simulation, vm);
		domain.presence = 'running';
		domain.neverRan = false;
		count(simulation, 'VM starts');
		changed(simulation, host, vm);
		if (host.creating.has(vm.name)) {
			violate(simulation, 'half-built', `${vm.name} is unpaused before its create has ended`);
		}
		simulation.hooks.vmRuns(host, vm);
		domain.received = false;
		if (domain.shutdownDue) shutDownSoon(simulation, host, vm, domain);
	}
	done(succeeded);
};

/** A guest writes all the time: when its disk is frozen, its last write is in the kernel as it stops. */
export const holdBack = (host: SimHost, vm: SimVm): void => {
	const replica = replicaOf(host, vm);
	if (replica.frozen) replica.pending = true;
};

export const pauseVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const domain = host.domains.get(vm.name);
	if (domain === undefined) {
		done(failed('xl-absent'));
		return;
	}
	if (simulation.mutation === 'pause-shown') domain.shownPaused = true;
	else if (domain.presence === 'running') {
		settle(simulation, vm);
		holdBack(host, vm);
		domain.presence = 'paused';
		changed(simulation, host, vm);
	}
	done(succeeded);
};

export const shutdownVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const domain = host.domains.get(vm.name);
	if (domain === undefined) {
		done(failed('xl-absent'));
		return;
	}
	if (!domain.shutdownDue && !vm.ignoresShutdown) {
		domain.shutdownDue = true;
		shutDownSoon(simulation, host, vm, domain);
	}
	done(succeeded);
};

/** A guest that is asked flushes and powers off; one whose disk is frozen waits for it. */
export const shutDownSoon = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	domain: Domain,
): void => {
	const { guestShutdownMs } = simulation.timings;
	const ms = delay(simulation, Math.floor(guestShutdownMs / 4), guestShutdownMs * 2);
	const end = () => {
		if (host.domains.get(vm.name) !== domain || domain.presence !== 'running') return;
		if (replicaOf(host, vm).frozen) {
			onHost(simulation, host, 1000, end);
			return;
		}
		guestEnds(simulation, host, vm, 'poweroff');
	};
	onHost(simulation, host, ms, end);
};

/** The guest stops by itself; under `-e` the domain stays as shut down until the agent destroys it. */
export const guestEnds = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	reason: ShutdownReason,
): void => {
	const domain = host.domains.get(vm.name);
	if (domain === undefined || domain.presence !== 'running') return;
	settle(simulation, vm);
	domain.presence = 'stopped';
	domain.reason = reason;
	changed(simulation, host, vm);
};

export const destroyVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const domain = host.domains.get(vm.name);
	if (domain === undefined) {
		done(succeeded);
		return;
	}
	settle(simulation, vm);
	if (domain.presence === 'running') holdBack(host, vm);
	domain.presence = 'dying';
	changed(simulation, host, vm);
	const gone = () => {
		if (host.domains.get(vm.name) !== domain) return;
		if (replicaOf(host, vm).frozen) {
			// blkback still holds requests that DRBD does not end.
			onHost(simulation, host, 500, gone);
			return;
		}
		host.domains.delete(vm.name);
		changed(simulation, host, vm);
		done(succeeded);
	};
	onHost(simulation, host, delay(simulation, 100, 800), gone);
};
