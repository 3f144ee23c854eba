import type { DeviceReading, Outcome } from '#src/ports.ts';
import { settleAll } from '#src/sim/data.ts';
import { refreshAllReplication } from '#src/sim/handshake.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import type { Device } from '#src/sim/model-device.ts';
import { count, delay, peerOf, replicaOf, tell } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';
import { changed } from '#src/sim/replica.ts';
import {
	disarmWatchdog,
	feedWatchdog,
	holdWatchdog,
	releaseWatchdog,
	starveWatchdog,
} from '#src/sim/watchdog.ts';

/** Power of the hosts, their boots, and the fence devices that switch it. */

type Done = (outcome: Outcome) => void;

const devicesAt = (host: SimHost, level: number): Device[] =>
	host.devices.filter((device) => device.level === level);

/** Some outlet of every level feeds the host: levels stand in a row, the devices of a level side by side. */
const hasOutlet = (host: SimHost): boolean =>
	host.devices.every(({ level }) => devicesAt(host, level).some((device) => device.outlet));

/** Everything volatile of a host is gone: its memory, guests, agent and connections. */
const losePower = (simulation: Simulation, host: SimHost): void => {
	settleAll(simulation);
	host.powered = false;
	tell(simulation, host.name, 'power is off');
	stopKernel(simulation, host);
};

const stopKernel = (simulation: Simulation, host: SimHost): void => {
	host.life += 1;
	host.kernelUp = false;
	host.hung = false;
	host.standsSinceMs = null;
	host.crashAtWrite = null;
	host.frozenWork.length = 0;
	host.xlHungUntilMs = 0;
	host.drbdHungUntilMs = 0;
	disarmWatchdog(host);
	if (host.agent !== null) {
		host.oldDocument = host.agent.outbox ?? host.oldDocument;
		host.agent.alive = false;
		host.agent.loop.stop();
		simulation.hooks.agentDied(host.agent);
	}
	host.domains.clear();
	host.creating.clear();
	host.migrations.clear();
	for (const vm of simulation.vms) {
		const replica = replicaOf(host, vm);
		if (replica.lossTimer !== null) replica.lossTimer.callback = null;
		replica.lossTimer = null;
		replica.latePromoteMs = null;
		const wasUp = replica.up;
		replica.up = false;
		replica.role = 'Secondary';
		replica.disk = 'Diskless';
		replica.connection = 'StandAlone';
		replica.replication = 'Off';
		replica.frozen = false;
		replica.pending = false;
		replica.discards = false;
		replica.stuck = null;
		replica.twoPrimaries = false;
		replica.newGenerationDue = false;
		if (wasUp) changed(simulation, replica);
	}
	simulation.changes += 1;
	refreshAllReplication(simulation);
	simulation.hooks.hearingMayChange();
};

/** Power returns or the kernel panicked: the host boots and its agent starts. */
const bootHost = (simulation: Simulation, host: SimHost): void => {
	const { bootMs } = simulation.timings;
	const ms = delay(simulation, Math.floor(bootMs * 0.7), Math.floor(bootMs * 1.3));
	const { life } = host;
	schedule(simulation.queue, simulation.queue.nowMs + ms, () => {
		if (host.life !== life || !host.powered) return;
		host.kernelUp = true;
		host.boots += 1;
		host.bootId = `${host.name}-boot-${host.boots}`;
		host.bootedMs = simulation.queue.nowMs - 5000;
		tell(simulation, host.name, `booted as ${host.bootId}`);
		simulation.changes += 1;
		simulation.hooks.hearingMayChange();
		simulation.hooks.booted(host);
	});
};

export const panic = (simulation: Simulation, host: SimHost): void => {
	if (!host.kernelUp) return;
	settleAll(simulation);
	tell(simulation, host.name, 'kernel panic');
	stopKernel(simulation, host);
	bootHost(simulation, host);
};

/** Power is what mains and outlets give; applies a change of either. */
export const refreshPower = (
	simulation: Simulation,
	host: SimHost,
	by: 'fence' | 'fault',
): void => {
	const powered = host.mains && hasOutlet(host);
	if (powered === host.powered) return;
	if (!powered) {
		host.offBy = by;
		losePower(simulation, host);
		if (by === 'fence') simulation.hooks.fenced(host);
		return;
	}
	host.powered = true;
	host.offBy = null;
	tell(simulation, host.name, 'power is on');
	bootHost(simulation, host);
};

/**
 * The machine stands still: it answers nobody, its guests, its kernel and its programs wait. `whole`: its clock and
 * its watchdog do as well, as in a virtual machine that is paused.
 */
export const hangHost = (simulation: Simulation, host: SimHost, whole: boolean): void => {
	if (!host.kernelUp || host.hung) return;
	settleAll(simulation);
	host.hung = true;
	if (whole) {
		host.standsSinceMs = simulation.queue.nowMs;
		holdWatchdog(simulation, host);
	} else starveWatchdog(simulation, host);
	tell(simulation, host.name, 'hangs');
	simulation.changes += 1;
	refreshAllReplication(simulation);
	simulation.hooks.hearingMayChange();
};

export const resumeHost = (simulation: Simulation, host: SimHost): void => {
	if (!host.hung) return;
	settleAll(simulation);
	host.hung = false;
	host.resumedMs = simulation.queue.nowMs;
	if (host.standsSinceMs === null) feedWatchdog(simulation, host);
	else {
		const stoodMs = simulation.queue.nowMs - host.standsSinceMs;
		host.standsSinceMs = null;
		host.bootedMs += stoodMs;
		releaseWatchdog(simulation, host, stoodMs);
	}
	tell(simulation, host.name, 'goes on');
	simulation.changes += 1;
	// What is judged by how long its agent has been at work begins here, before what waited is done.
	host.agentSinceMs = simulation.queue.nowMs;
	const work = host.frozenWork.splice(0);
	for (const each of work) each();
	simulation.hooks.agentGoesOn(host);
	refreshAllReplication(simulation);
	simulation.hooks.hearingMayChange();
};

/** Another level has cut the supply of this one. */
const isCut = (device: Device, host: SimHost): boolean =>
	host.devices.some(
		({ level }) => level !== device.level && devicesAt(host, level).every((each) => !each.outlet),
	);

/** It answers nobody: it is broken, or has no supply of its own and its host's is cut. */
export const isDead = (device: Device, host: SimHost): boolean =>
	device.behaviour === 'dead' || (device.diesWithHost && (!host.mains || isCut(device, host)));

/** The host that a device really switches. */
const victimOf = (simulation: Simulation, host: SimHost, device: Device): SimHost =>
	device.behaviour === 'wrong-host' ? peerOf(simulation, host) : host;

const answerMs = (device: Device): number =>
	device.behaviour === 'slow' ? device.byMs : device.latencyMs;

const statusOf = (simulation: Simulation, host: SimHost, device: Device): 'on' | 'off' => {
	if (device.behaviour === 'lying' && device.offAsked) return 'off';
	if (device.behaviour === 'wrong-host') {
		return peerOf(simulation, host).powered ? 'on' : 'off';
	}
	// A BMC reports its host's supply rail: off only when this outlet is, or mains are.
	return device.outlet && host.mains ? 'on' : 'off';
};

/** The driver gives a device up this long before the engine would give up the whole level, ms. */
const reapMs = 500;

/**
 * `status` of every device of a level. A dead one is missing when the others have answered; where none answers,
 * nothing does until the engine's own limit.
 */
export const queryPower = (
	simulation: Simulation,
	host: SimHost,
	level: number,
	done: (readings: readonly DeviceReading[]) => void,
): void => {
	count(simulation, 'power queries');
	const devices = devicesAt(host, level);
	const readings = devices.map(({ name }): DeviceReading => ({
		device: name,
		power: null,
		detail: 'no answer',
	}));
	let waiting = devices.length;
	let ended = false;
	const end = (): void => {
		if (ended) return;
		ended = true;
		done(readings);
	};
	for (const [index, device] of devices.entries()) {
		if (isDead(device, host)) continue;
		schedule(simulation.queue, simulation.queue.nowMs + answerMs(device), () => {
			if (isDead(device, host)) return;
			const power = statusOf(simulation, host, device);
			readings[index] = { device: device.name, power, detail: '' };
			waiting -= 1;
			if (waiting === 0) end();
		});
	}
	if (devices.length === 1) return;
	const limitMs = (host.config.fencing?.ownLevels[level]?.callMs ?? reapMs) - reapMs;
	schedule(simulation.queue, simulation.queue.nowMs + limitMs, () => {
		if (waiting < devices.length) end();
	});
};

/** `off` or `on` for every device of a level. */
export const switchPower = (
	simulation: Simulation,
	host: SimHost,
	command: { readonly level: number; readonly to: 'on' | 'off' },
	done: Done,
): void => {
	const { level, to } = command;
	count(simulation, to === 'off' ? 'fences sent' : 'power-ons sent');
	if (level > 0) count(simulation, `commands to level ${level + 1}`);
	const devices = devicesAt(host, level);
	let waiting = devices.length;
	for (const device of devices) {
		if (isDead(device, host)) continue;
		const answersMs = answerMs(device);
		const late = device.behaviour === 'late' && to === 'off';
		const actsMs = late ? device.byMs : answersMs;
		schedule(simulation.queue, simulation.queue.nowMs + actsMs, () => {
			if (!isDead(device, host)) switchOutlet(simulation, host, device, to);
		});
		schedule(simulation.queue, simulation.queue.nowMs + answersMs, () => {
			if (isDead(device, host)) return;
			waiting -= 1;
			if (waiting === 0) done({ result: 'succeeded', value: null });
		});
	}
};

const switchOutlet = (
	simulation: Simulation,
	host: SimHost,
	device: Device,
	to: 'on' | 'off',
): void => {
	device.offAsked = to === 'off';
	if (device.behaviour === 'lying' || device.behaviour === 'stuck') return;
	const victim = victimOf(simulation, host, device);
	const outlets = victim === host ? [device] : victim.devices;
	for (const outlet of outlets) outlet.outlet = to === 'on';
	tell(simulation, victim.name, `fence device: outlet ${to}`);
	refreshPower(simulation, victim, 'fence');
};
