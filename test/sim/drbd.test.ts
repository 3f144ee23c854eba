import test from 'ava';
import type { Outcome } from '#src/ports.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import {
	connectAgain,
	demote,
	detach,
	down,
	failIo,
	outdate,
	promote,
	resumeIo,
	up,
} from '#src/sim/drbdadm.ts';
import { applyStep } from '#src/sim/fault.ts';
import { destroyVm, pauseVm } from '#src/sim/hypervisor.ts';
import type { Replica, SimHost, Simulation } from '#src/sim/model.ts';
import { runNext } from '#src/sim/queue.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import type { ScenarioInput } from '#src/sim/scenario.ts';
import { stepSchema } from '#src/sim/step.ts';

/**
 * The simulated DRBD against what the real one was seen to do (DRBD 8.4.11, `fencing
 * resource-and-stonith`): each title names the captured fact.
 */
interface Bench {
	readonly simulation: Simulation;
	readonly one: Replica;
	readonly other: Replica;
	/** What the handler answers next; counts how often it is asked. */
	exitCode: number;
	calls: number;
}

const scenario = (runs: boolean): ScenarioInput => ({
	format: 1,
	name: 'drbd',
	story: 'the world alone',
	world: {
		hosts: ['host1', 'host2'],
		vms: [{ name: 'vm1', host: 'host1', runs }],
		timing: { resync: '1s' },
	},
	steps: [{ do: 'nothing' }],
	expect: [{ finally: { vm: 'vm1' } }],
});

const bench = (runs = true): Bench => {
	const made: { bench: Bench | null } = { bench: null };
	const simulation = createSimulation({
		world: parseScenario(scenario(runs)).world,
		seed: 1,
		mutation: 'none',
		trace: null,
		persistMaxMs: 10,
		observeMaxMs: 10,
		clockRates: [1, 1],
		observer: (world) =>
			createObserver(world, {
				honestDevices: true,
				strict: true,
				onNote: null,
				onReply: null,
				onStep: null,
			}),
		handler: (_replica, answer) => {
			if (made.bench === null) return;
			made.bench.calls += 1;
			answer(made.bench.exitCode);
		},
	});
	const [vm] = simulation.vms;
	if (vm === undefined) throw new Error('the world has a VM');
	made.bench = { simulation, one: vm.replicas[0], other: vm.replicas[1], exitCode: 1, calls: 0 };
	return made.bench;
};

const wait = ({ simulation }: Bench, ms: number): void => {
	const untilMs = simulation.queue.nowMs + ms;
	while (runNext(simulation.queue, untilMs));
	simulation.queue.nowMs = untilMs;
};

const play = (on: Bench, step: object, thenMs = 6000): void => {
	applyStep(on.simulation, stepSchema.parse(step), 'test');
	wait(on, thenMs);
};

const cut = (on: Bench): void => play(on, { do: 'cut', network: 'replication' });
const mend = (on: Bench): void => play(on, { do: 'mend', network: 'replication' });

type Command = (simulation: Simulation, replica: Replica, done: (outcome: Outcome) => void) => void;

const run = (on: Bench, command: Command, replica: Replica, ms = 5000): Outcome | null => {
	const ended: { outcome: Outcome | null } = { outcome: null };
	command(on.simulation, replica, (outcome) => {
		ended.outcome = outcome;
	});
	wait(on, ms);
	return ended.outcome;
};

const primary: Command = (simulation, replica, done) =>
	promote(simulation, replica, { force: false }, done);

const code = (outcome: Outcome | null): string =>
	outcome === null ? 'no answer' : outcome.result === 'failed' ? outcome.code : outcome.result;

const boot = (on: Bench, host: SimHost): void => {
	play(on, { do: 'power-on', host: host.name }, 60_000);
};

test('a Primary that loses its peer freezes and asks the handler; 1 leaves it frozen (t4 C2)', (t) => {
	const on = bench();
	cut(on);
	t.like(on.one, {
		connection: 'Connecting',
		disk: 'UpToDate',
		peerDisk: 'DUnknown',
		frozen: true,
	});
	t.is(on.calls, 1);
});

test('resume-io begins a new data generation and sets no note that the peer is outdated (t4 C2)', (t) => {
	const on = bench();
	const before = on.one.current;
	cut(on);
	t.is(code(run(on, resumeIo, on.one)), 'succeeded');
	t.false(on.one.frozen);
	t.is(on.one.bitmap, before);
	t.not(on.one.current, before);
	t.false(on.one.flags.peerOutdated);
	mend(on);
	t.is(on.other.disk, 'UpToDate');
	t.is(on.other.current, on.one.current);
	t.is(on.one.bitmap, '');
});

test('when the link returns a frozen Primary thaws in the same data generation (t4 C3)', (t) => {
	const on = bench();
	const before = on.one.current;
	cut(on);
	mend(on);
	t.like(on.one, { frozen: false, current: before, bitmap: '', connection: 'Connected' });
});

test('exit 4 makes the peer Outdated, thaws and begins a new generation (t4 C4, C5)', (t) => {
	const on = bench();
	on.exitCode = 4;
	const before = on.one.current;
	cut(on);
	t.like(on.one, { frozen: false, peerDisk: 'Outdated', bitmap: before });
	t.true(on.one.flags.peerOutdated);
});

test('an outdated Secondary is not promoted and the handler is not even asked (t4 C4)', (t) => {
	const on = bench();
	cut(on);
	t.is(code(run(on, outdate, on.other)), 'succeeded');
	const before = on.calls;
	on.exitCode = 7;
	t.is(code(run(on, primary, on.other)), 'drbd-needs-up-to-date');
	t.is(on.calls, before);
});

test('outdate is refused on a Primary and while connected', (t) => {
	const on = bench();
	t.is(code(run(on, outdate, on.one)), 'drbd-needs-up-to-date');
	t.is(code(run(on, outdate, on.other)), 'drbd-connected');
});

test('a disconnected UpToDate Secondary is promoted only by the handler; 1 is asked again and refused (t4)', (t) => {
	const on = bench();
	cut(on);
	const before = on.calls;
	t.is(code(run(on, primary, on.other)), 'drbd-peer-not-outdated');
	t.true(on.calls - before >= 2 && on.calls - before <= 4);
	on.exitCode = 7;
	t.is(code(run(on, primary, on.other)), 'succeeded');
	t.like(on.other, { role: 'Primary', peerDisk: 'Outdated' });
});

test('a frozen loser meets the promoted winner: both StandAlone; after a reboot it resyncs (t5 D)', (t) => {
	const on = bench();
	cut(on);
	on.exitCode = 7;
	run(on, primary, on.other);
	on.exitCode = 1;
	mend(on);
	t.like(on.one, { connection: 'StandAlone', frozen: true });
	t.like(on.other, { connection: 'StandAlone', frozen: false });
	run(on, connectAgain, on.other);
	play(on, { do: 'power-cut', host: 'host1' });
	on.simulation.hosts[0].store.content = on.simulation.hosts[1].store.content;
	boot(on, on.simulation.hosts[0]);
	run(on, up, on.one, 20_000);
	t.like(on.one, { disk: 'UpToDate', connection: 'Connected', role: 'Secondary' });
	t.is(on.one.current, on.other.current);
});

test('a frozen loser whose disk is taken away first fails its writes and resyncs without a split brain (t9)', (t) => {
	const on = bench();
	const { simulation, one, other } = on;
	cut(on);
	on.exitCode = 7;
	t.is(code(run(on, primary, other)), 'succeeded');
	on.exitCode = 1;
	mend(on);
	t.is(one.connection, 'StandAlone');
	const { acknowledged } = one.vm;
	const { current, head } = one;
	run(on, (world, { host, vm }, done) => pauseVm(world, host, vm, done), one);
	t.is(code(run(on, failIo, one)), 'drbd-has-disk');
	t.is(code(run(on, detach, one)), 'succeeded');
	t.like(one, { disk: 'Failed', frozen: true });
	t.is(code(run(on, failIo, one)), 'succeeded');
	t.like(one, { disk: 'Diskless', frozen: false, current, head });
	t.is(one.vm.acknowledged, acknowledged);
	run(on, (world, { host, vm }, done) => destroyVm(world, host, vm, done), one);
	t.is(code(run(on, demote, one)), 'succeeded');
	t.is(code(run(on, down, one)), 'succeeded');
	t.is(code(run(on, up, one)), 'succeeded');
	run(on, connectAgain, other, 20_000);
	t.like(one, { role: 'Secondary', disk: 'UpToDate', connection: 'Connected' });
	t.is(simulation.counts.get('split brains') ?? 0, 0);
});

test('a frozen loser that goes on with its disk writes what it held back, in a generation of its own (t4 C2)', (t) => {
	const on = bench();
	const { one } = on;
	cut(on);
	run(on, (world, { host, vm }, done) => pauseVm(world, host, vm, done), one);
	const { acknowledged } = one.vm;
	const { current } = one;
	t.is(code(run(on, resumeIo, one)), 'succeeded');
	t.is(one.vm.acknowledged, acknowledged + 1);
	t.not(one.current, current);
});

test('after a boot alone a copy is Consistent and only 4 or 7 promotes it, stale or not (t5 E, E2)', (t) => {
	const on = bench(false);
	cut(on);
	on.exitCode = 7;
	run(on, primary, on.one);
	play(on, { do: 'power-cut', host: 'host1' });
	play(on, { do: 'power-cut', host: 'host2' });
	boot(on, on.simulation.hosts[1]);
	run(on, up, on.other);
	t.is(on.other.disk, 'Consistent');
	on.exitCode = 1;
	t.is(code(run(on, primary, on.other)), 'drbd-needs-up-to-date');
	on.exitCode = 7;
	t.is(code(run(on, primary, on.other)), 'succeeded');
	t.is(on.other.disk, 'UpToDate');
});

test('the one that was alone attaches UpToDate by its own note; a stale promote ends in split brain (t5 E2)', (t) => {
	const on = bench(false);
	cut(on);
	on.exitCode = 7;
	run(on, primary, on.one);
	play(on, { do: 'power-cut', host: 'host1' });
	run(on, primary, on.other);
	boot(on, on.simulation.hosts[0]);
	run(on, up, on.one);
	t.like(on.one, { disk: 'UpToDate', peerDisk: 'Outdated', connection: 'Connecting' });
	mend(on);
	t.is(on.one.connection, 'StandAlone');
	t.is(on.other.connection, 'StandAlone');
});

test('a connected peer that is Primary refuses a second one (t1)', (t) => {
	const on = bench();
	t.is(code(run(on, primary, on.other)), 'drbd-multiple-primaries');
});

test('secondary is refused while the device is open (t1)', (t) => {
	const on = bench();
	t.is(code(run(on, demote, on.one)), 'drbd-held-open');
	const [vm] = on.simulation.vms;
	const [host] = on.simulation.hosts;
	if (vm !== undefined) destroyVm(on.simulation, host, vm, () => {});
	wait(on, 2000);
	t.is(code(run(on, demote, on.one)), 'succeeded');
});

test('an orderly disconnect outdates the Secondary and calls no handler (t6)', (t) => {
	const on = bench();
	t.is(code(run(on, down, on.other)), 'succeeded');
	t.is(on.calls, 0);
	t.like(on.one, { frozen: false, peerDisk: 'Outdated', role: 'Primary' });
	t.false(on.other.flags.upToDate);
});

test('primary beside a dead peer that still looks connected: ping, drop, handler, promoted', (t) => {
	const on = bench(false);
	on.exitCode = 7;
	play(on, { do: 'power-cut', host: 'host1' }, 1);
	t.is(on.other.connection, 'Connected');
	t.is(code(run(on, primary, on.other, 3000)), 'succeeded');
	t.like(on.other, { role: 'Primary', peerDisk: 'Outdated' });
});

test('an answer to an older loss is ignored: the connection came back in between', (t) => {
	const on = bench();
	const late: ((exitCode: number) => void)[] = [];
	on.simulation.hooks.callHandler = (_replica, answer) => late.push(answer);
	cut(on);
	mend(on);
	cut(on);
	t.is(late.length, 2);
	late[0]?.(4);
	t.true(on.one.frozen);
	late[1]?.(4);
	t.false(on.one.frozen);
});

test('a failed disk does not freeze: the Primary goes on over the network, the peer begins a generation', (t) => {
	const on = bench();
	const before = on.other.current;
	play(on, { do: 'disk-fail', host: 'host1', vm: 'vm1' });
	t.like(on.one, { disk: 'Diskless', frozen: false, role: 'Primary' });
	t.is(on.other.peerDisk, 'Diskless');
	t.is(on.other.bitmap, before);
});
