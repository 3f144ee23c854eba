import type { SimHost, Simulation } from '#src/sim/model.ts';
import type { SimWatchdog } from '#src/sim/model-witness.ts';
import { tell } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';
import type { ScenarioWorld } from '#src/sim/scenario.ts';
import { timingTable } from '#src/config/timing.ts';
import { resetDelayMs } from '#src/watchdog/deadline.ts';

/**
 * The watchdog in hardware and the feeder, which feeds it as far as the heartbeat thread grants, and no further. While
 * the feeder runs, it tells the kernel to reset the host shortly before the hardware would (`sysrq`, as usual).
 */

export const createWatchdog = (world: ScenarioWorld, host: string): SimWatchdog | null => {
	if (world.witness === undefined) return null;
	if (!(world.witness.watchdogs ?? world.hosts).includes(host)) return null;
	const { watchdogMs } = timingTable(world.detection);
	return { timeoutMs: watchdogMs, armed: false, failed: false, grantMs: 0, leftMs: 0, timer: null };
};

const resetAt = (simulation: Simulation, host: SimHost, atMs: number): void => {
	const { watchdog } = host;
	if (watchdog === null) return;
	if (watchdog.timer !== null) watchdog.timer.callback = null;
	watchdog.timer = schedule(simulation.queue, atMs, () => {
		watchdog.timer = null;
		if (simulation.mutation === 'fed-for-ever') return;
		tell(simulation, host.name, 'watchdog resets the host');
		simulation.hooks.watchdogFires(host);
	});
};

/** The heartbeat thread lets the feeder feed until `untilMs` (true time); it never takes a grant back. */
export const grantWatchdog = (simulation: Simulation, host: SimHost, untilMs: number): void => {
	const { watchdog } = host;
	if (watchdog === null || watchdog.failed) return;
	if (watchdog.armed && untilMs <= watchdog.grantMs) return;
	if (untilMs < simulation.queue.nowMs) return;
	watchdog.armed = true;
	watchdog.grantMs = untilMs;
	resetAt(simulation, host, untilMs + resetDelayMs(watchdog.timeoutMs));
};

/** The feeder closes the device in order. */
export const stopWatchdog = (simulation: Simulation, host: SimHost): void => {
	if (host.watchdog?.armed !== true) return;
	tell(simulation, host.name, 'watchdog is stopped');
	simulation.hooks.watchdogStops(host);
	disarmWatchdog(host);
};

/** The whole host stands still: nobody feeds from now on, the hardware counts on. */
export const starveWatchdog = (simulation: Simulation, host: SimHost): void => {
	if (host.watchdog?.armed !== true) return;
	const { nowMs } = simulation.queue;
	resetAt(simulation, host, Math.min(nowMs, host.watchdog.grantMs) + host.watchdog.timeoutMs);
};

/** It goes on before the hardware's time was over. */
export const feedWatchdog = (simulation: Simulation, host: SimHost): void => {
	if (host.watchdog?.armed !== true) return;
	const { grantMs, timeoutMs, timer } = host.watchdog;
	const toldMs = Math.max(simulation.queue.nowMs, grantMs + resetDelayMs(timeoutMs));
	// Fed again within the grant; beyond it the hardware counts on, whatever the kernel is told.
	const boardMs = simulation.queue.nowMs <= grantMs ? grantMs + timeoutMs : timer?.atMs;
	resetAt(simulation, host, Math.min(toldMs, boardMs ?? toldMs));
};

/** The hardware stands still with its host. */
export const holdWatchdog = (simulation: Simulation, host: SimHost): void => {
	const { watchdog } = host;
	if (watchdog === null || watchdog.timer === null) return;
	watchdog.leftMs = watchdog.timer.atMs - simulation.queue.nowMs;
	watchdog.timer.callback = null;
	watchdog.timer = null;
};

/** It goes on where it stood, and knows nothing of the time between. */
export const releaseWatchdog = (simulation: Simulation, host: SimHost, stoodMs: number): void => {
	const { watchdog } = host;
	if (watchdog?.armed !== true) return;
	watchdog.grantMs += stoodMs;
	resetAt(simulation, host, simulation.queue.nowMs + watchdog.leftMs);
};

/** Power is gone, or the feeder closed the device. */
export const disarmWatchdog = (host: SimHost): void => {
	const { watchdog } = host;
	if (watchdog === null) return;
	if (watchdog.timer !== null) watchdog.timer.callback = null;
	watchdog.timer = null;
	watchdog.armed = false;
	watchdog.grantMs = 0;
};
