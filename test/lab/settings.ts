/** What the lab makes of a scenario's world. */
import type { Scenario } from '#src/sim/scenario.ts';
import type { ProductSettings, ProductVm } from './product.ts';
import { hosts, networks, vms as slots, type Network } from './world.ts';

/**
 * With a lease and a watchdog a host that stands still resets itself. Emulated hosts stand still for up to 20 s while a
 * VM is created beside a busy agent; a lease and a time-out of 10 s each survive that.
 */
const leasedMs = 8000;

/** Throws where the world cannot be made. */
export function settingsOf(scenario: Scenario): ProductSettings {
	const { world } = scenario;
	const names = hosts.map((host) => host.name);
	if (world.hosts.join(' ') !== names.join(' ')) {
		throw new Error(
			`this lab's hosts are ${names.join(' and ')}: set VMPAIR_LAB_HOSTS=${world.hosts.join(',')}`,
		);
	}
	if (world.vms.length > slots.length) throw new Error(`the lab has ${slots.length} VMs at most`);
	const vms = world.vms.map((vm, at): ProductVm => {
		const slot = slots[at];
		if (slot === undefined) throw new Error('the lab has too few VMs');
		const { name, host, priority, after, balance } = vm;
		const { shutdown: shutdownMs, writeEvery: writeEveryMs } = vm;
		return { name, slot, host, priority, after, shutdownMs, writeEveryMs, balance };
	});
	const { attempts, perHourMax, afterFence } = world.fencing;
	for (const [host, devices] of Object.entries(world.devices)) {
		const plain = devices.every(
			({ level, behaviour }) => level === 1 && /ok|dead/u.test(behaviour),
		);
		if (devices.length > 1 || !plain) throw new Error(`the lab has no such devices for ${host}`);
	}
	const { arbiter } = world;
	return {
		arbiter,
		detectionMs:
			world.witness === undefined ? world.detection : Math.max(world.detection, leasedMs),
		afterFence,
		attempts,
		perHour: perHourMax,
		witness: world.witness !== undefined,
		balance: world.balance,
		watchdogs: world.witness === undefined ? [] : (world.witness.watchdogs ?? names),
		vms,
	};
}

/** The networks without a switch. */
export const cablesOf = (scenario: Scenario): Network[] =>
	scenario.world.networks.flatMap(({ name, switched }) =>
		networks.filter((network) => network === name && !switched),
	);
