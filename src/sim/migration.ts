import type { Outcome } from '#src/ports.ts';
import { failed, succeeded } from '#src/ports-outcome.ts';
import { breakSource, breakTarget, dropTwin, isOver } from '#src/sim/migration-break.ts';
import { isPathOpen } from '#src/sim/migration-path.ts';
import { beginCopy } from '#src/sim/migration-stream.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, delay, kernelAnswers, onHost, peerOf, tell } from '#src/sim/model.ts';
import type { Stream, StreamEnd } from '#src/sim/model-migration.ts';
import { migrationOn, tidyMigration } from '#src/sim/model-migration.ts';

/** What the agent may ask of xl for a live migration. Each goes on by itself when the agent dies. */

type Done = (outcome: Outcome) => void;

/** A receiver without a sender ends after this long, ms. */
const receiverMs = 60_000;

const refused = (code: string): Outcome => failed(code, code);

/** Waits for one connection. */
export const receiveVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	onHost(simulation, host, delay(simulation, 100, 500), () => {
		const own = migrationOn(host, vm);
		if (own.twin !== null || own.xl === 'receives' || own.xl === 'sends') {
			done(refused('xl-exists'));
			return;
		}
		own.xl = 'waits';
		own.receivers += 1;
		const { receivers } = own;
		tell(simulation, host.name, `xl ${vm.name}: waits for its memory`);
		onHost(simulation, host, receiverMs, () => {
			if (own.xl !== 'waits' || own.receivers !== receivers) return;
			own.xl = null;
			tidyMigration(host, vm);
		});
		done(succeeded(null));
	});
};

const endOn = (simulation: Simulation, host: SimHost): StreamEnd => ({
	host,
	life: host.life,
	killed: false,
	over: false,
	patienceMs: delay(simulation, 4000, 7000),
});

/** `xl migrate -p` to the peer. */
export const sendVm = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const domain = host.domains.get(vm.name);
	const found = host.migrations.get(vm.name);
	const built = domain?.presence === 'running' || domain?.presence === 'paused';
	if (domain === undefined || !built || host.creating.has(vm.name)) done(refused('xl-absent'));
	else if (found !== undefined && (found.twin !== null || found.xl !== null))
		done(refused('xl-exists'));
	else {
		const stream: Stream = {
			vm,
			source: endOn(simulation, host),
			target: endOn(simulation, peerOf(simulation, host)),
			domain,
			stage: 'connects',
			restMs: 0,
			cutSinceMs: null,
			hungSinceMs: null,
			stillSinceMs: null,
			done,
		};
		const own = migrationOn(host, vm);
		own.xl = 'sends';
		own.stream = stream;
		count(simulation, 'migrations begun');
		simulation.hooks.hypervisorChanged(host);
		const limitMs = simulation.queue.nowMs + delay(simulation, 3000, 6000);
		connect(simulation, stream, limitMs);
	}
};

/** A host that answers without a receiver refuses at once; one that is not reached is tried until xl gives up. */
const connect = (simulation: Simulation, stream: Stream, limitMs: number): void => {
	const { source, target, vm } = stream;
	onHost(simulation, source.host, delay(simulation, 200, 700), () => {
		if (isOver(source)) return;
		const reached = isPathOpen(simulation) && kernelAnswers(target.host);
		const waits = target.host.migrations.get(vm.name)?.xl === 'waits' && !isOver(target);
		if (reached && waits) beginCopy(simulation, stream);
		else if (reached || simulation.queue.nowMs > limitMs) breakSource(simulation, stream);
		else connect(simulation, stream, limitMs);
	});
};

/** Ends the transport on this host. */
export const cutMigration = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	done: Done,
): void => {
	onHost(simulation, host, delay(simulation, 20, 200), () => {
		const own = host.migrations.get(vm.name);
		if (own?.xl === 'waits') {
			own.xl = null;
			tidyMigration(host, vm);
		} else if (own?.xl === 'sends' && own.stream !== null) breakSource(simulation, own.stream);
		else if (own?.xl === 'receives' && own.stream !== null) breakTarget(simulation, own.stream);
		done(succeeded(null));
	});
};

/** Destroys what a migration left beside the VM's own domain; xl that is still at work there fails by it. */
export const destroyTwin = (simulation: Simulation, host: SimHost, vm: SimVm, done: Done): void => {
	const own = host.migrations.get(vm.name);
	if (own === undefined || own.twin === null) {
		done(succeeded(null));
		return;
	}
	if (own.xl === 'receives' && own.stream !== null) own.stream.target.killed = true;
	dropTwin(simulation, host, vm, delay(simulation, 100, 900), () => done(succeeded(null)));
};
