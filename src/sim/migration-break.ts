import { failed } from '#src/ports-outcome.ts';
import { settle } from '#src/sim/data.ts';
import { changed, shutDownSoon } from '#src/sim/hypervisor.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, delay, onHost, replicaOf, tell } from '#src/sim/model.ts';
import type { Stream, StreamEnd } from '#src/sim/model-migration.ts';
import { tidyMigration } from '#src/sim/model-migration.ts';
import { chance } from '#src/std/prng.ts';

/** What each xl of a live migration does when the stream between them breaks. */

/** How often a target leaves its half copy where it is. */
const leftChance = 0.3;
/** How often xl is slow to let the guest go on. */
const slowChance = 0.15;

/** Nothing more is done by this xl. */
export const isOver = ({ host, life, killed, over }: StreamEnd): boolean =>
	killed || over || host.life !== life;

/** The domain beside the VM's own is destroyed after a moment; while its disk hangs, it stays. */
export const dropTwin = (
	simulation: Simulation,
	host: SimHost,
	vm: SimVm,
	ms: number,
	gone: () => void = () => {},
): void => {
	const twin = host.migrations.get(vm.name)?.twin ?? null;
	const end = (): void => {
		const found = host.migrations.get(vm.name);
		const { frozen, pending } = replicaOf(host, vm);
		const hangs = twin !== null && frozen && (twin.disk === 'opening' || pending);
		if (found !== undefined && found.twin === twin && hangs) {
			onHost(simulation, host, 500, end);
			return;
		}
		if (found !== undefined) {
			if (found.twin === twin) found.twin = null;
			if (isXlDone(found.stream, host)) found.xl = null;
			tidyMigration(host, vm);
			if (twin !== null) tell(simulation, host.name, `xl ${vm.name}: ${twin.name} is gone`);
			changed(simulation, host, vm);
		}
		gone();
	};
	onHost(simulation, host, ms, end);
};

const isXlDone = (stream: Stream | null, host: SimHost): boolean =>
	stream !== null && isOver(stream.source.host === host ? stream.source : stream.target);

/** xl is at its end on this host; what is left of the migration is for others. */
const endXl = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	const found = host.migrations.get(vm.name);
	if (found === undefined) return;
	found.xl = null;
	tidyMigration(host, vm);
	changed(simulation, host, vm);
};

/** Before it has said go the source lets its guest go on; after that it leaves all as it is. */
export const breakSource = (simulation: Simulation, stream: Stream): void => {
	const { source, vm, stage, done } = stream;
	if (isOver(source)) return;
	source.over = true;
	count(simulation, `migrations broken: ${stage}`);
	tell(simulation, source.host.name, `xl migrate ${vm.name}: the stream is broken (${stage})`);
	if (stage === 'suspended') {
		// A busy toolstack takes its time: the guest stays suspended, and may go on at any moment.
		const slow = chance(simulation.random, slowChance);
		resume(
			simulation,
			stream,
			slow ? delay(simulation, 5000, 20_000) : delay(simulation, 100, 2000),
		);
		return;
	}
	onHost(simulation, source.host, delay(simulation, 50, 500), () => {
		endXl(simulation, source.host, vm);
		done(failed('migrate-failed', `the stream broke: ${stage}`));
	});
};

/** `Migration failed, resuming at sender`: the guest goes on where it was, unless it is gone by now. */
export const resume = (simulation: Simulation, stream: Stream, ms: number): void => {
	const { source, vm, domain, done } = stream;
	const { host } = source;
	onHost(simulation, host, ms, () => {
		if (host.domains.get(vm.name) === domain && domain.presence === 'stopped') {
			settle(simulation, vm);
			domain.presence = 'running';
			domain.reason = null;
			simulation.hooks.vmRuns(host, vm);
			if (domain.shutdownDue) shutDownSoon(simulation, host, vm, domain);
		}
		endXl(simulation, host, vm);
		done(failed('migrate-failed', 'resumed at the source'));
	});
};

/** A target that has not heard the go takes its half copy away, or leaves it; one that has goes on. */
export const breakTarget = (simulation: Simulation, stream: Stream): void => {
	const { target, vm, stage } = stream;
	if (isOver(target) || stage === 'starts' || stage === 'received') return;
	target.over = true;
	tell(simulation, target.host.name, `xl migrate-receive ${vm.name}: the stream is broken`);
	const ms = delay(simulation, 1000, 3000);
	if (chance(simulation.random, leftChance)) {
		count(simulation, 'half copies left');
		onHost(simulation, target.host, ms, () => endXl(simulation, target.host, vm));
	} else dropTwin(simulation, target.host, vm, ms);
};
