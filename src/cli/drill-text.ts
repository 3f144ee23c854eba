import type { Status } from '#src/api/view.ts';
import { cell, table, wrap, type Cell } from '#src/cli/text.ts';
import { span } from '#src/std/span.ts';

/** What a drill took, phase by phase, beside what a failover takes. */

/** One way of a drill. */
export interface Leg {
	readonly vm: string;
	readonly from: string;
	readonly to: string;
	readonly hard: boolean;
}

/** The phases in their order. */
const phases = ['stopped', 'passed', 'promoted', 'runs', 'protected'] as const;
type Phase = (typeof phases)[number];

/** When each phase was first seen to be over, ms since the order; null: not yet. */
export type Moments = Readonly<Record<Phase, number | null>>;

export const noMoments: Moments = {
	stopped: null,
	passed: null,
	promoted: null,
	runs: null,
	protected: null,
};

/** The moments after one more look at the status, `atMs` after the order. What was over once stays so. */
export const withLook = (moments: Moments, leg: Leg, status: Status, atMs: number): Moments => {
	const vm = status.vms.find((each) => each.vm === leg.vm);
	if (vm === undefined) return moments;
	const there = vm.sights.find(({ host }) => host === leg.to);
	const here = vm.sights.find(({ host }) => host === leg.from);
	const passed = vm.owner === leg.to;
	const runs = passed && vm.runsOn === leg.to;
	const over: Readonly<Record<Phase, boolean>> = {
		stopped: here?.presence === 'absent',
		passed,
		promoted: passed && there?.role === 'Primary',
		runs,
		protected: runs && vm.state === 'running' && vm.failover.ready,
	};
	const next = { ...moments };
	let later = false;
	// A look may have missed the end of a phase: what comes after it is over only after it.
	for (const phase of phases.toReversed()) {
		later ||= over[phase];
		if (later) next[phase] ??= atMs;
	}
	return next;
};

/** How long each phase took, ms; null: it was not seen to end. */
export const durations = (moments: Moments): Readonly<Record<Phase, number | null>> => {
	const result: Record<Phase, number | null> = { ...noMoments };
	let beforeMs: number | null = 0;
	for (const phase of phases) {
		const atMs: number | null = moments[phase];
		result[phase] = atMs === null || beforeMs === null ? null : atMs - beforeMs;
		beforeMs = atMs;
	}
	return result;
};

/** What the proof costs that a failover waits for instead of the end of the guest. */
const proofText = ({ timing, witness }: Status, from: string): string => {
	const watched = witness?.watchdogs.some(
		({ host, timeoutMs }) => host === from && timeoutMs !== null,
	);
	const fenced = `${span(timing.detectionMs)} and the fence device`;
	return watched === true && witness !== null
		? `${fenced}, or ${span(witness.takeMs)} by its watchdog`
		: fenced;
};

/** The report of one way: a table of the phases, and what it comes to. */
export const legLines = (leg: Leg, moments: Moments, status: Status, columns: number): string[] => {
	const { vm, from, to, hard } = leg;
	const took = durations(moments);
	const row = (name: string, phase: Phase | null, failover: string): readonly Cell[] => {
		const ms = phase === null ? null : took[phase];
		return [cell(name), cell(phase === null ? '-' : ms === null ? '?' : span(ms)), cell(failover)];
	};
	const same = 'as here';
	const known = [took.promoted, took.runs].every((each) => each !== null);
	const startMs = (took.promoted ?? 0) + (took.runs ?? 0);
	return [
		...table(
			[
				{ title: `${vm}: ${from} to ${to}`, shed: 0 },
				{ title: 'DRILL', shed: 0 },
				{ title: 'FAILOVER', shed: 0 },
			],
			[
				row(`guest ${hard ? 'destroyed' : 'shut down'} on ${from}`, 'stopped', '-'),
				row(`proof that ${from} is out`, null, proofText(status, from)),
				row(`handed over to ${to}`, 'passed', 'with the proof'),
				row(`disk Primary on ${to}`, 'promoted', same),
				row(`running on ${to}`, 'runs', same),
				row('protected again', 'protected', `once ${from} is back`),
			],
			columns,
			false,
		),
		...(moments.runs === null || !known
			? []
			: wrap(
					`${vm} was away for ${span(moments.runs)}. After the proof a failover would take about ${span(startMs)}; the guest's own boot comes on top of both.`,
					columns,
				)),
	];
};
