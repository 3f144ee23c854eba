import type { SimHost, Simulation } from '#src/sim/model.ts';
import { replicaOf } from '#src/sim/model.ts';
import { promote, up } from '#src/sim/drbdadm.ts';
import { switchPower } from '#src/sim/power.ts';
import { settleAll } from '#src/sim/data.ts';

/** Planted bugs that are whole programs of their own: what the promises must be checked against. */

/** `xendomains`: every VM is promoted by force and started when the host has booted. */
export const startAll = (simulation: Simulation, host: SimHost): void => {
	settleAll(simulation);
	for (const vm of simulation.vms) {
		const replica = replicaOf(host, vm);
		up(simulation, replica, () => {});
		promote(simulation, replica, { force: true }, () => {});
		simulation.nextInstance += 1;
		host.domains.set(vm.name, {
			presence: 'running',
			neverRan: false,
			reason: null,
			instance: `${vm.name}-${simulation.nextInstance}`,
			shutdownDue: false,
			shownPaused: false,
		});
		simulation.hooks.vmRuns(host, vm);
	}
};

/** A device that keeps switching a host off that was fenced once. */
export const fenceAgain = (simulation: Simulation, host: SimHost): void => {
	if (host.fencedAtMs.length === 0) return;
	switchPower(simulation, host, { level: 0, to: 'off' }, () => {
		switchPower(simulation, host, { level: 0, to: 'on' }, () => {});
	});
};
