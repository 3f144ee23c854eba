import { idleMs } from '#src/migrate/transport.ts';
import { failed, succeeded } from '#src/ports-outcome.ts';
import { settle } from '#src/sim/data.ts';
import { changed, holdBack, unpauseVm, usedMib } from '#src/sim/hypervisor.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, delay, onHost, replicaOf, tell } from '#src/sim/model.ts';
import type { Domain, SimMigration, Stream, StreamEnd } from '#src/sim/model-migration.ts';
import { migrationOn, tidyMigration } from '#src/sim/model-migration.ts';
import { breakSource, breakTarget, dropTwin, isOver, resume } from '#src/sim/migration-break.ts';
import { isCut, isHeldUp, passes, standsStill } from '#src/sim/migration-path.ts';
import { schedule } from '#src/sim/queue.ts';

/**
 * The two xl of one live migration and the stream between them, as xl_migrate.c has them: memory first, then the
 * guest stops, then the target opens the disks, then the source lets go of the name and says go.
 */

/** The stream is looked at this often, ms. */
const lookMs = 500;
/** xl waits so long for a guest to suspend; one that is paused does not, ms. */
const suspendLimitMs = 60_000;
/** What stands still for so long has ended for the other side, ms. */
const hungLimitMs = 30_000;

/** The receiver has taken the connection: from here on both xl are at work. */
export const beginCopy = (simulation: Simulation, stream: Stream): void => {
	const { vm, target } = stream;
	const there = migrationOn(target.host, vm);
	there.xl = 'receives';
	there.stream = stream;
	stream.stage = 'copies';
	stream.restMs = delay(simulation, 2000, 20_000);
	changed(simulation, target.host, vm);
	onHost(simulation, target.host, delay(simulation, 50, 300), () => {
		if (isOver(target)) return;
		const freeMib = target.host.memoryMib - usedMib(simulation, target.host);
		if (there.twin !== null || freeMib < vm.engine.memoryMib) breakTarget(simulation, stream);
		else appear(simulation, target.host, vm, there);
	});
	pump(simulation, stream);
};

const appear = (simulation: Simulation, host: SimHost, vm: SimVm, there: SimMigration): void => {
	simulation.nextInstance += 1;
	const domain: Domain = {
		presence: 'paused',
		reason: null,
		instance: `${vm.name}-${simulation.nextInstance}`,
		neverRan: true,
		shutdownDue: false,
		shownPaused: false,
		received: true,
	};
	there.twin = { name: 'incoming', domain, disk: 'closed' };
	tell(simulation, host.name, `xl ${vm.name}--incoming: paused`);
	changed(simulation, host, vm);
};

/** Looks after the stream until both ends are over. */
const pump = (simulation: Simulation, stream: Stream): void => {
	schedule(simulation.queue, simulation.queue.nowMs + lookMs, () => {
		watch(simulation, stream);
		if (isOver(stream.source) && isOver(stream.target)) return;
		if (stream.stage === 'copies' && !isOver(stream.source)) copy(simulation, stream);
		pump(simulation, stream);
	});
};

const sinceWhen = (before: number | null, isSo: boolean, nowMs: number): number | null =>
	isSo ? (before ?? nowMs) : null;

/** Each end notices by itself that the other one is gone: at once where packets pass, else when its patience ends. */
const watch = (simulation: Simulation, stream: Stream): void => {
	const { nowMs } = simulation.queue;
	const { source, target } = stream;
	stream.cutSinceMs = sinceWhen(stream.cutSinceMs, isCut(simulation, stream), nowMs);
	const hung = source.host.hung || target.host.hung;
	stream.hungSinceMs = sinceWhen(stream.hungSinceMs, hung, nowMs);
	stream.stillSinceMs = sinceWhen(stream.stillSinceMs, standsStill(simulation, stream), nowMs);
	if (!isOver(source) && hasEnded(simulation, stream, source, target))
		breakSource(simulation, stream);
	if (!isOver(target) && hasEnded(simulation, stream, target, source))
		breakTarget(simulation, stream);
};

const hasEnded = (
	{ queue }: Simulation,
	stream: Stream,
	end: StreamEnd,
	other: StreamEnd,
): boolean => {
	const { cutSinceMs, hungSinceMs, stillSinceMs, stage } = stream;
	if (stillSinceMs !== null && queue.nowMs - stillSinceMs > idleMs) return true;
	if (cutSinceMs !== null && queue.nowMs - cutSinceMs > end.patienceMs) return true;
	if (hungSinceMs !== null && queue.nowMs - hungSinceMs > hungLimitMs) return true;
	if (cutSinceMs !== null || hungSinceMs !== null) return false;
	// A target that is over after it heard the go has a report on its way.
	const reports = other === stream.target && (stage === 'starts' || stage === 'received');
	return other.killed || (other.over && !reports);
};

/** So much more of the memory is over there. */
const copy = (simulation: Simulation, stream: Stream): void => {
	const { source, vm, domain } = stream;
	if (source.host.domains.get(vm.name) !== domain || isGone(domain)) {
		breakSource(simulation, stream);
		return;
	}
	if (isHeldUp(simulation, stream)) return;
	if (stream.restMs > 0) stream.restMs -= lookMs * passes(simulation);
	else stream.restMs -= lookMs;
	if (stream.restMs > 0) return;
	if (domain.presence === 'running') suspend(simulation, stream);
	else if (stream.restMs < -suspendLimitMs) breakSource(simulation, stream);
};

const isGone = ({ presence }: Domain): boolean => presence === 'dying' || presence === 'stopped';

/** Carries something to the other end as soon as it can pass; never when that end is over by then. */
const pass = (
	simulation: Simulation,
	stream: Stream,
	{ to, ms }: { readonly to: StreamEnd; readonly ms: number },
	arrive: () => void,
): void => {
	schedule(simulation.queue, simulation.queue.nowMs + ms, () => {
		if (isOver(to)) return;
		if (isHeldUp(simulation, stream)) pass(simulation, stream, { to, ms: 100 }, arrive);
		else arrive();
	});
};

/** Work of one xl after a moment, unless it is over by then. */
const work = (simulation: Simulation, end: StreamEnd, ms: number, callback: () => void): void => {
	onHost(simulation, end.host, ms, () => {
		if (!isOver(end)) callback();
	});
};

const suspend = (simulation: Simulation, stream: Stream): void => {
	const { source, target, vm, domain } = stream;
	settle(simulation, vm);
	holdBack(source.host, vm);
	domain.presence = 'stopped';
	domain.reason = 'suspend';
	stream.stage = 'suspended';
	changed(simulation, source.host, vm);
	work(simulation, source, delay(simulation, 50, 400), () => {
		const ms = delay(simulation, 5, 50);
		pass(simulation, stream, { to: target, ms }, () => attach(simulation, stream));
	});
};

/** The disks come last; a Secondary cannot be opened, and on a frozen Primary the first read hangs. */
const attach = (simulation: Simulation, stream: Stream): void => {
	const { target, source, vm } = stream;
	const twin = target.host.migrations.get(vm.name)?.twin ?? null;
	const replica = replicaOf(target.host, vm);
	if (isOver(target)) return;
	if (twin === null || !replica.up || replica.role !== 'Primary') {
		tell(simulation, target.host.name, `xl ${vm.name}--incoming: its disk cannot be opened`);
		target.over = true;
		dropTwin(simulation, target.host, vm, delay(simulation, 100, 400));
		return;
	}
	twin.disk = 'opening';
	const ms = replica.frozen ? lookMs : delay(simulation, 100, 500);
	work(simulation, target, ms, () => {
		if (replica.frozen) {
			attach(simulation, stream);
			return;
		}
		twin.disk = 'open';
		pass(simulation, stream, { to: source, ms: delay(simulation, 5, 30) }, () =>
			work(simulation, source, delay(simulation, 5, 50), () => letGo(simulation, stream)),
		);
	});
};

/** The point of no return: the name is given up, and the target is told to go. */
const letGo = (simulation: Simulation, stream: Stream): void => {
	const { source, target, vm, domain } = stream;
	const own = source.host.migrations.get(vm.name);
	const there = source.host.domains.get(vm.name) === domain && domain.presence === 'stopped';
	if (own === undefined || !there || own.twin !== null) {
		breakSource(simulation, stream);
		return;
	}
	settle(simulation, vm);
	source.host.domains.delete(vm.name);
	own.twin = { name: 'away', domain, disk: 'open' };
	stream.stage = 'told';
	tell(simulation, source.host.name, `xl ${vm.name}--migratedaway: stopped (suspend)`);
	changed(simulation, source.host, vm);
	pass(simulation, stream, { to: target, ms: delay(simulation, 5, 100) }, () => {
		stream.stage = 'starts';
		work(simulation, target, delay(simulation, 20, 300), () => rename(simulation, stream));
	});
};

/** The target gives its copy the VM's name and leaves it paused (`-p`). */
const rename = (simulation: Simulation, stream: Stream): void => {
	const { source, target, vm, domain } = stream;
	const { host } = target;
	const there = host.migrations.get(vm.name);
	const twin = there?.twin ?? null;
	const fails = vm.createFails.get(host.name) ?? 0;
	if (there === undefined || twin === null || fails > 0 || host.domains.has(vm.name)) {
		vm.createFails.set(host.name, Math.max(0, fails - 1));
		refuse(simulation, stream);
		return;
	}
	there.twin = null;
	there.xl = null;
	target.over = true;
	stream.stage = 'received';
	twin.domain.shutdownDue = domain.shutdownDue;
	host.domains.set(vm.name, twin.domain);
	tidyMigration(host, vm);
	count(simulation, 'VMs received');
	changed(simulation, host, vm);
	if (simulation.mutation === 'unpaused-by-xl') unpauseVm(simulation, host, vm, () => {});
	pass(simulation, stream, { to: source, ms: delay(simulation, 5, 100) }, () => {
		work(simulation, source, delay(simulation, 100, 800), () => leave(simulation, stream));
	});
};

/** It cannot be started there: the target takes its copy away and then lets the source go on. */
const refuse = (simulation: Simulation, stream: Stream): void => {
	const { source, target, vm, domain } = stream;
	target.over = true;
	dropTwin(simulation, target.host, vm, delay(simulation, 50, 300), () => {
		pass(simulation, stream, { to: source, ms: delay(simulation, 5, 100) }, () => {
			const own = source.host.migrations.get(vm.name);
			const back = own?.twin?.domain === domain && !source.host.domains.has(vm.name);
			source.over = true;
			if (back) {
				own.twin = null;
				source.host.domains.set(vm.name, domain);
			}
			resume(simulation, stream, delay(simulation, 50, 300));
		});
	});
};

/** The target has it: the old copy is destroyed. */
const leave = (simulation: Simulation, stream: Stream): void => {
	const { source, vm, done } = stream;
	source.over = true;
	dropTwin(simulation, source.host, vm, 0, () => done(succeeded(null)));
};

/** Every xl of a migration on this host is killed, receivers included. Nothing is put in order here. */
export const killXl = (simulation: Simulation, host: SimHost): void => {
	for (const [name, found] of host.migrations) {
		const { xl, stream } = found;
		const vm = simulation.vms.find((each) => each.name === name);
		if (xl === null || vm === undefined) continue;
		found.xl = null;
		found.receivers += 1;
		count(simulation, `xl killed that ${xl}`);
		if (stream !== null && xl === 'sends') {
			stream.source.killed = true;
			const why = 'xl was killed';
			onHost(simulation, host, delay(simulation, 50, 300), () =>
				stream.done(failed('migrate-failed', why)),
			);
		} else if (stream !== null && xl === 'receives') {
			stream.target.killed = true;
			// What it had built may be taken down by what is left of it, or stay.
			if (delay(simulation, 0, 1) === 0)
				dropTwin(simulation, host, vm, delay(simulation, 1000, 3000));
		}
		tidyMigration(host, vm);
		changed(simulation, host, vm);
	}
};
