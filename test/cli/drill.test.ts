import test from 'ava';
import fc from 'fast-check';
import type { VmView } from '#src/api/view.ts';
import { durations, legLines, noMoments, withLook } from '#src/cli/drill-text.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';
import { witness } from '#test/web/example.ts';

const leg = { vm: 'ldap', from: 'north', to: 'south', hard: false };

/** The VM of a drill after so many of its phases. */
const at = (phase: number): VmView => {
	const vm = exampleVm('ldap');
	const [here, there] = vm.sights;
	if (here === undefined || there === undefined) throw new Error('two sights');
	return {
		...vm,
		state: phase >= 4 ? 'running' : 'moving',
		owner: phase >= 2 ? 'south' : 'north',
		runsOn: phase >= 4 ? 'south' : phase === 0 ? 'north' : null,
		failover: { ...vm.failover, ready: phase === 5 },
		sights: [
			{ ...here, presence: phase >= 1 ? 'absent' : 'running', role: 'Secondary' },
			{
				...there,
				presence: phase >= 4 ? 'running' : 'absent',
				role: phase >= 3 ? 'Primary' : 'Secondary',
			},
		],
	};
};

const look = (moments: typeof noMoments, phase: number, atMs: number): typeof noMoments =>
	withLook(moments, leg, exampleStatus([at(phase)]), atMs);

test('each phase ends when it is first seen to be over', (t) => {
	let moments = look(noMoments, 0, 100);
	t.deepEqual(moments, noMoments);
	for (const [phase, atMs] of [
		[1, 4000],
		[2, 4100],
		[2, 4200],
		[3, 4400],
		[4, 5500],
		[5, 5600],
	] as const)
		moments = look(moments, phase, atMs);
	t.deepEqual(durations(moments), {
		stopped: 4000,
		passed: 100,
		promoted: 300,
		runs: 1100,
		protected: 100,
	});
	const text = legLines(leg, moments, exampleStatus([at(5)]), 80).join('\n');
	t.regex(text, /guest shut down on north +4\.0 s +-/);
	t.regex(text, /proof that north is out +- +3\.0 s and the fence device$/m);
	t.regex(text, /running on south +1\.1 s +as here/);
	t.regex(text, /ldap was away for 5\.5 s\. After the proof a failover would take about 1\.4 s;/);
});

test('a phase whose end no look caught is over with the next one, and none is before the one ahead of it', (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5000 })), {
				maxLength: 12,
			}),
			(looks) => {
				let nowMs = 0;
				let moments = noMoments;
				for (const [phase, afterMs] of looks) {
					nowMs += afterMs;
					moments = look(moments, phase, nowMs);
				}
				const ends = Object.values(moments);
				const known = ends.flatMap((ms) => (ms === null ? [] : [ms]));
				t.deepEqual(
					known,
					known.toSorted((one, other) => one - other),
				);
				t.is(ends.findIndex((ms) => ms === null) === -1 ? 5 : ends.indexOf(null), known.length);
				const sum = Object.values(durations(moments)).reduce<number>(
					(all, ms) => all + (ms ?? 0),
					0,
				);
				t.is(sum, known.at(-1) ?? 0);
			},
		),
	);
});

test('what was not seen is a question, and the watchdog of the host counts as a proof', (t) => {
	const status = exampleStatus([at(2)], { witness });
	const moments = look(noMoments, 2, 3000);
	const lines = legLines({ ...leg, hard: true }, moments, status, 100).join('\n');
	t.regex(lines, /guest destroyed on north +3\.0 s/);
	t.regex(lines, /running on south +\? /);
	t.notRegex(lines, /was away/);
	t.regex(lines, /3\.0 s and the fence device, or 12 s by its watchdog/);
});
