import type { CarriedAction } from '#src/engine/action.ts';
import type { DeviceReading, Outcome } from '#src/ports.ts';
import {
	connectAgain,
	demote,
	detach,
	down,
	failIo,
	outdate,
	promote,
	readEvidence,
	readGenerations,
	reconnect,
	resumeIo,
	up,
} from '#src/sim/drbdadm.ts';
import { createVm, destroyVm, pauseVm, shutdownVm, unpauseVm } from '#src/sim/hypervisor.ts';
import { cutMigration, destroyTwin, receiveVm, sendVm } from '#src/sim/migration.ts';
import type { Replica, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import {
	delay,
	hostNamed,
	kernelAnswers,
	onHost,
	peerOf,
	replicaOf,
	vmNamed,
} from '#src/sim/model.ts';
import { queryPower, switchPower } from '#src/sim/power.ts';
import { askWitness } from '#src/sim/third.ts';
import { mayBothBePrimary, setTwoPrimaries } from '#src/sim/two-primaries.ts';
import { succeeded, unknown } from '#src/ports-outcome.ts';
import { assert } from '#src/std/assert.ts';

/** The executor table of the simulated world: one entry per action type, as in the real agent. */

type Done = (outcome: Outcome) => void;

export const execute = (
	simulation: Simulation,
	host: SimHost,
	action: CarriedAction,
	done: Done,
): void => {
	if (isDropped(simulation, action)) return;
	switch (action.type) {
		case 'create-vm':
		case 'unpause-vm':
		case 'pause-vm':
		case 'shutdown-vm':
		case 'destroy-vm':
		case 'receive-vm':
		case 'send-vm':
		case 'cut-migration':
		case 'destroy-twin':
			onXl(simulation, host, () => {
				domainAction(simulation, host, action, vmNamed(simulation, action.vm), done);
			});
			return;
		case 'query-power':
			fenceQuery(simulation, hostNamed(simulation, action.host), action.level, done);
			return;
		case 'power-off':
		case 'power-on':
			fenceSwitch(simulation, hostNamed(simulation, action.host), action, done);
			return;
		case 'witness':
			// The main loop's own connection is kept open between commands, which are rare.
			askWitness(simulation, host, { command: action.command, connection: null }, (answer) => {
				done(answer === null ? unknown('the witness does not answer') : succeeded(answer));
			});
			return;
		case 'resource-up':
		case 'resource-connect':
		case 'promote':
		case 'demote':
		case 'outdate':
		case 'resume-io':
		case 'read-evidence':
		case 'snapshot':
		case 'connect-discarding':
		case 'resource-reconnect':
		case 'detach':
		case 'fail-io':
		case 'resource-down':
		case 'allow-two-primaries':
		case 'forbid-two-primaries':
		case 'read-generations': {
			const vm = simulation.vms.find((each) => each.engine.resource === action.resource);
			assert(vm !== undefined, `there is a resource ${action.resource}`);
			onDrbd(simulation, host, () => {
				resourceAction(simulation, replicaOf(host, vm), action.type, done);
			});
			return;
		}
	}
};

const isDropped = ({ mutation }: Simulation, action: CarriedAction): boolean =>
	(mutation === 'idle' || mutation === 'idle-and-mute') &&
	['promote', 'create-vm', 'unpause-vm'].includes(action.type);

/** A tool starts after a moment; while it hangs, only after that. */
const onTool = (
	simulation: Simulation,
	host: SimHost,
	hungUntilMs: () => number,
	work: () => void,
): void => {
	const run = () => {
		const waitMs = hungUntilMs() - simulation.queue.nowMs;
		if (waitMs > 0) onHost(simulation, host, waitMs, run);
		else work();
	};
	onHost(simulation, host, delay(simulation, 5, 120), run);
};

const onXl = (simulation: Simulation, host: SimHost, work: () => void): void =>
	onTool(simulation, host, () => host.xlHungUntilMs, work);

const onDrbd = (simulation: Simulation, host: SimHost, work: () => void): void =>
	onTool(simulation, host, () => host.drbdHungUntilMs, work);

/** `xl unpause` may wait for the device model, whose own disk may be frozen; `xl list` answers meanwhile. */
const unpauseLater = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const slowMs = vm.slowUnpauseMs.get(host.name);
	vm.slowUnpauseMs.delete(host.name);
	if (slowMs === undefined) unpauseVm(simulation, host, vm, done);
	else onHost(simulation, host, slowMs, () => unpauseVm(simulation, host, vm, done));
};

const domainAction = (
	simulation: Simulation,
	host: SimHost,
	action: CarriedAction,
	vm: SimVm,
	done: Done,
): void => {
	if (action.type === 'create-vm') {
		createVm(simulation, host, vm, { byHand: false }, done);
	} else if (action.type === 'unpause-vm') unpauseLater(simulation, host, vm, done);
	else if (action.type === 'pause-vm') pauseVm(simulation, host, vm, done);
	else if (action.type === 'shutdown-vm') shutdownVm(simulation, host, vm, done);
	else if (action.type === 'receive-vm') receiveVm(simulation, host, vm, done);
	else if (action.type === 'send-vm') sendVm(simulation, host, vm, done);
	else if (action.type === 'cut-migration') cutMigration(simulation, host, vm, done);
	else if (action.type === 'destroy-twin') destroyTwin(simulation, host, vm, done);
	else destroyVm(simulation, host, vm, done);
};

const pretendOutdated = (simulation: Simulation, replica: Replica, done: Done): void => {
	replica.shownOutdated = true;
	simulation.hooks.replicationChanged(replica.host);
	done({ result: 'succeeded', value: null });
};

const forbidTwoPrimaries = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (simulation.mutation === 'two-primaries-stay') done({ result: 'succeeded', value: null });
	else setTwoPrimaries(simulation, replica, false, done);
};

const resourceAction = (
	simulation: Simulation,
	replica: Replica,
	type: CarriedAction['type'],
	done: Done,
): void => {
	if (type === 'resource-up') up(simulation, replica, done);
	else if (type === 'resource-connect') {
		// A real `connect` with the option: it takes the flag along and connects what is StandAlone.
		if (simulation.mutation === 'reconnect-discards' && replica.role === 'Secondary')
			reconnect(simulation, replica, { discard: true }, done);
		else connectAgain(simulation, replica, done);
	} else if (type === 'resource-reconnect' || type === 'connect-discarding')
		reconnect(simulation, replica, { discard: type === 'connect-discarding' }, done);
	else if (type === 'read-evidence') readEvidence(replica, done);
	else if (type === 'snapshot') done({ result: 'succeeded', value: ['snapshot'] });
	else if (type === 'promote') {
		promote(simulation, replica, { force: false }, done);
	} else if (type === 'demote') {
		if (simulation.mutation === 'both-stay-primary' && mayBothBePrimary(replica))
			done({ result: 'succeeded', value: null });
		else demote(simulation, replica, done);
	} else if (type === 'outdate') {
		if (simulation.mutation === 'outdate-not-done') pretendOutdated(simulation, replica, done);
		else outdate(simulation, replica, done);
	} else if (type === 'resume-io') resumeIo(simulation, replica, done);
	else if (type === 'detach') {
		if (simulation.mutation === 'resume-before-detach') resumeIo(simulation, replica, () => {});
		detach(simulation, replica, done);
	} else if (type === 'fail-io') failIo(simulation, replica, done);
	else if (type === 'resource-down') down(simulation, replica, done);
	else if (type === 'allow-two-primaries') setTwoPrimaries(simulation, replica, true, done);
	else if (type === 'forbid-two-primaries') forbidTwoPrimaries(simulation, replica, done);
	else readGenerations(replica, done);
};

const fenceQuery = (simulation: Simulation, target: SimHost, level: number, done: Done): void => {
	const { mutation } = simulation;
	const answer = (value: readonly DeviceReading[]): void => done({ result: 'succeeded', value });
	const allOff = (): DeviceReading[] =>
		target.devices
			.filter((device) => device.level === level)
			.map(({ name }) => ({ device: name, power: 'off', detail: '' }));
	if (
		(mutation === 'silence-is-off' && !kernelAnswers(target)) ||
		(mutation === 'suspect-is-off' && peerOf(simulation, target).agent?.ears.flowing !== true)
	) {
		answer(allOff());
		return;
	}
	queryPower(simulation, target, level, (readings) => {
		const some = mutation === 'any-device' && readings.some(({ power }) => power === 'off');
		answer(some ? allOff() : readings);
	});
};

const fenceSwitch = (
	simulation: Simulation,
	target: SimHost,
	{ type, level }: { readonly type: 'power-off' | 'power-on'; readonly level: number },
	done: Done,
): void => {
	const to = type === 'power-off' ? 'off' : 'on';
	if (to === 'off') simulation.hooks.fenceSent(target);
	switchPower(simulation, target, { level, to }, done);
	if (simulation.mutation !== 'fence-both' || to === 'on') return;
	switchPower(simulation, peerOf(simulation, target), { level, to }, () => {});
};
