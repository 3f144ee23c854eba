import test from 'ava';
import { type Course, type Question, whatIfSchema } from '#src/api/what-if.ts';
import type { State } from '#src/engine/state.ts';
import { whatIf } from '#src/sim/what-if.ts';
import { isRunnable } from '#src/sim/truth.ts';
import type { Simulation } from '#src/sim/model.ts';
import { happen, runFor, simulationOf, storyNamed, worldOf } from '#test/sim/_moment.ts';

/** A minute is long enough for the devices to be asked once more, and for every alert. */
const minuteMs = 60_000;

const frozen = <Value>(value: Value): Value => {
	if (typeof value === 'object' && value !== null) {
		Object.values(value).forEach(frozen);
		Object.freeze(value);
	}
	return value;
};

/** The state as it comes over the local socket. */
const stateOf = (simulation: Simulation, index: 0 | 1): State => {
	const { agent } = simulation.hosts[index];
	return frozen(JSON.parse(JSON.stringify(agent?.loop.state)) as State);
};

/** A pair of its own: `alpha` runs the first two VMs, `beta` the third. */
const pair = (change: Partial<Parameters<typeof worldOf>[0]> = {}): Simulation => {
	const simulation = simulationOf(
		worldOf({
			hosts: ['alpha', 'beta'],
			vms: [
				{ name: 'ldap', host: 'alpha', priority: 200 },
				{ name: 'samba', host: 'alpha', after: ['ldap'] },
				{ name: 'batch', host: 'beta' },
			],
			...change,
		}),
	);
	runFor(simulation, minuteMs);
	return simulation;
};

const ask = (simulation: Simulation, index: 0 | 1, question: Question) =>
	whatIfSchema.parse(whatIf(stateOf(simulation, index), question));

const only = (courses: readonly Course[]): Course => {
	const [first, ...others] = courses;
	if (first === undefined || others.length > 0) throw new Error('there is one course');
	return first;
};

const fates = ({ vms }: Course): string =>
	vms.map(({ vm, to, fate }) => `${vm} ${fate} ${to ?? '-'}`).join(', ');

const placesOf = ({ vms }: Course): string =>
	vms.map(({ vm, to, fate }) => `${vm}@${to ?? '-'}${fate === 'frozen' ? ' frozen' : ''}`).join();

const truePlaces = ({ vms, hosts }: Simulation): string =>
	vms
		.map((vm) => {
			const host = hosts.find((each) => isRunnable(each, vm));
			const held = host !== undefined && vm.replicas[host.index].frozen;
			return `${vm.name}@${host?.name ?? '-'}${held ? ' frozen' : ''}`;
		})
		.join();

for (const name of [
	'power-cut',
	'partition-with-witness',
	'l02-witness-lost-then-host-lost',
	'person-arbiter-takeover',
	'ladder-first-level-dead',
	'replication-cut',
	'standby-takes-nothing',
	'migrate',
] as const)
	for (const victim of [0, 1] as const)
		test(`${name}: what is told of the death of host ${victim + 1} is what then happens`, (t) => {
			const { world, seed } = storyNamed(name);
			for (const asked of [0, 1] as const) {
				const simulation = simulationOf(world, seed);
				runFor(simulation, 2 * minuteMs);
				const { name: host } = simulation.hosts[victim];
				const told = only(ask(simulation, asked, { kind: 'dead', host }).courses);
				happen(simulation, { do: 'power-cut', host, bmcToo: false });
				runFor(simulation, 3 * minuteMs);
				t.is(placesOf(told), truePlaces(simulation));
			}
		});

test('it tells who takes over what, in which order, by what proof and when', (t) => {
	const answer = ask(pair(), 1, { kind: 'dead', host: 'alpha' });
	t.is(answer.idle, '');
	const course = only(answer.courses);
	t.is(fates(course), 'ldap taken-over beta, samba taken-over beta, batch stays beta');
	t.deepEqual(
		course.vms.map(({ order, proof }) => [order, proof]),
		[
			[1, 'power-off'],
			[2, 'power-off'],
			[null, null],
		],
	);
	const [ldap, samba, batch] = course.vms;
	t.true((ldap?.downMs ?? 0) > 1000 && (ldap?.downMs ?? 0) < 15_000);
	t.true((samba?.downMs ?? 0) > (ldap?.downMs ?? 0));
	t.is(batch?.downMs, 0);
	t.true((batch?.heldMs ?? 0) > 0);
	const texts = course.moments.map(({ host, text }) => `${host}: ${text}`);
	t.is(texts[0], 'alpha: is without power');
	t.true(texts.indexOf('beta: alpha is out (proof: power-off)') > 0);
	t.true(
		texts.indexOf('beta: ldap runs') > texts.indexOf('beta: takes over ldap (proof: power-off)'),
	);
	t.like(
		course.alerts.find(({ key }) => key === 'peer-out/alpha'),
		{ severity: 'critical', host: 'beta', resolvedMs: null },
	);
	t.true(course.quiet);
});

test('the host that is asked need not be the survivor, and both tell the same', (t) => {
	const simulation = pair();
	const own = ask(simulation, 0, { kind: 'dead', host: 'alpha' });
	t.is(
		fates(only(own.courses)),
		fates(only(ask(simulation, 1, { kind: 'dead', host: 'alpha' }).courses)),
	);
	t.regex(own.assumptions.at(-1) ?? '', /on beta: vmpair what-if alpha dead/);
});

test('the state that is asked, and the pair that it is of, are as before', (t) => {
	const simulation = pair();
	const before = JSON.stringify([
		stateOf(simulation, 0),
		[...simulation.counts],
		simulation.queue.timers.map(({ atMs, order }) => [atMs, order]),
		simulation.hosts.map(({ store }) => store.content),
	]);
	// Frozen to its last field: a write to it would throw.
	ask(simulation, 0, { kind: 'dead', host: 'beta' });
	ask(simulation, 0, { kind: 'migrate', vm: 'ldap' });
	t.is(
		JSON.stringify([
			stateOf(simulation, 0),
			[...simulation.counts],
			simulation.queue.timers.map(({ atMs, order }) => [atMs, order]),
			simulation.hosts.map(({ store }) => store.content),
		]),
		before,
	);
});

test('the same question about the same state has the same answer', (t) => {
	const simulation = pair();
	const question = { kind: 'dead', host: 'beta' } as const;
	t.deepEqual(ask(simulation, 0, question), ask(simulation, 0, question));
});

test('of a disarmed pair it says that nothing would be done, and what a person does then', (t) => {
	const simulation = pair();
	happen(simulation, { do: 'disarm', host: 'alpha', reason: 'new firmware' });
	runFor(simulation, minuteMs);
	const answer = ask(simulation, 1, { kind: 'dead', host: 'alpha' });
	t.regex(answer.idle, /disarmed by person: new firmware/);
	const course = only(answer.courses);
	t.is(fates(course), 'ldap stays-down -, samba stays-down -, batch stays beta');
	t.false(course.moments.some(({ text }) => /takes over|fence device/.test(text)));
	t.regex(course.vms[0]?.blocker ?? '', /ldap shall run and does not: the pair is disarmed/);
	t.regex(course.vms[0]?.next ?? '', /vmpair takeover --confirm-dead alpha/);
});

test('without a fence device that answers it tells that VMs freeze and stay down, and why', (t) => {
	const simulation = pair();
	happen(simulation, { do: 'device', host: 'alpha', behaviour: 'dead' });
	runFor(simulation, 2 * minuteMs);
	const course = only(ask(simulation, 1, { kind: 'dead', host: 'alpha' }).courses);
	t.is(fates(course), 'ldap stays-down -, samba stays-down -, batch frozen beta');
	for (const { blocker, next } of course.vms) {
		t.not(blocker, '');
		t.regex(next, /vmpair takeover --confirm-dead alpha/);
	}
	happen(simulation, { do: 'power-cut', host: 'alpha', bmcToo: false });
	runFor(simulation, 3 * minuteMs);
	t.is(placesOf(course), truePlaces(simulation));
});

test('a cut of one link of two is followed for each link that DRBD may use', (t) => {
	const { courses } = ask(pair(), 0, { kind: 'cut', link: 'replication' });
	t.deepEqual(
		courses.map(({ assuming }) => assuming),
		['DRBD uses replication', 'DRBD uses management'],
	);
	for (const course of courses)
		t.is(fates(course), 'ldap stays alpha, samba stays alpha, batch stays beta');
	const held = courses.map(({ vms }) => vms.some(({ heldMs }) => heldMs > 0));
	t.deepEqual(held, [true, false]);
	for (const { alerts } of courses)
		t.true(alerts.some(({ key }) => key === 'link-silent/replication'));
});

test('a cut of the only link ends with one host switched off and its VMs on the other one', (t) => {
	const simulation = pair({ networks: [{ name: 'only', replication: true }] });
	const course = only(ask(simulation, 0, { kind: 'cut', link: 'only' }).courses);
	t.is(fates(course), 'ldap stays alpha, samba stays alpha, batch taken-over alpha');
	const texts = course.moments.map(({ host, text }) => `${host}: ${text}`);
	t.true(texts.includes('alpha: tells the fence device of beta: off'));
	t.true(texts.includes('beta: is without power'));
});

test('a live migration is followed to its end, or the refusal is told', (t) => {
	const simulation = pair();
	for (const asked of [0, 1] as const) {
		const course = only(ask(simulation, asked, { kind: 'migrate', vm: 'ldap' }).courses);
		t.is(course.reply?.status, 'accepted');
		t.is(fates(course), 'ldap moved beta, samba stays alpha, batch stays beta');
		t.is(course.vms[0]?.order, null);
	}
	happen(simulation, { do: 'stop', vm: 'ldap', host: 'alpha' });
	runFor(simulation, minuteMs);
	const refused = only(ask(simulation, 0, { kind: 'migrate', vm: 'ldap' }).courses);
	t.is(refused.reply?.status, 'refused');
	t.is(fates(refused), 'ldap stopped -, samba stays alpha, batch stays beta');
});

test('with the other host away, or a pair that can not be simulated, nothing is made up', (t) => {
	const simulation = pair();
	happen(simulation, { do: 'create-fails', vm: 'batch', host: 'beta', times: 100 });
	happen(simulation, { do: 'guest', vm: 'batch', does: 'crash' });
	runFor(simulation, minuteMs);
	t.throws(() => ask(simulation, 0, { kind: 'dead', host: 'beta' }), {
		code: 'what-if-unlike',
		message: /batch/,
	});
	happen(simulation, { do: 'power-cut', host: 'beta', bmcToo: false });
	runFor(simulation, minuteMs);
	t.throws(() => ask(simulation, 0, { kind: 'dead', host: 'beta' }), {
		code: 'what-if-alone',
		message: /beta is out/,
	});
});
