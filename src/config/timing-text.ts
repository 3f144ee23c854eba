import type { Config } from '#src/config/config.ts';
import { engineFencing } from '#src/config/policy.ts';
import { leaseMarginMs, resetGraceMs, suspectBeats, timingTable } from '#src/config/timing.ts';
import { longestLateMs, turnMs } from '#src/fence/ladder.ts';
import { formatDuration } from '#src/std/duration.ts';

export interface TimingRow {
	readonly name: string;
	readonly valueMs: number;
	/** Why it is this number. */
	readonly why: string;
}

/** What each number is and why, for people. */
export const timingRows = (config: Config): readonly TimingRow[] => {
	const table = timingTable(config.detectionMs);
	const rows: TimingRow[] = [
		row(
			'detection time D',
			table.detectionMs,
			'set by detection; silence on every link after which the peer is lost',
		),
		row('beat interval', table.beatIntervalMs, 'fixed; one beat on every link'),
		row(
			'suspect',
			table.suspectMs,
			`${suspectBeats} beats missed on every link; the power status is asked at once`,
		),
		row('power query', table.powerQueryMs, 'fixed; between two power-status queries of a suspect'),
		row(
			'agent down',
			table.agentDownLostMs,
			'fixed; a host whose agent alone died is held this long before it is lost',
		),
		row(
			'fence-peer handler',
			table.handlerMs,
			'fixed; under the 121 s that DRBD waits for an answer',
		),
		row(
			'lease L',
			table.leaseMs,
			`D + ${formatDuration(leaseMarginMs)}; used by an arbiter with leases only`,
		),
		row('watchdog T_wd', table.watchdogMs, 'equal to L; used by an arbiter with leases only'),
		row(
			'take T_take',
			table.takeMs,
			`(L + T_wd + ${formatDuration(resetGraceMs)}) with clocks that differ by 0.5 %; used by an arbiter with leases only`,
		),
	];
	const fencing = engineFencing(config);
	if (fencing !== null) rows.push(...fencingRows(fencing, table.detectionMs));
	return rows;
};

const fencingRows = (
	{ levels, ownLevels }: NonNullable<ReturnType<typeof engineFencing>>,
	detectionMs: number,
): readonly TimingRow[] => {
	const count = Math.max(levels.length, ownLevels.length);
	const perLevel = Array.from({ length: count }, (_, index) => {
		const both = [levels[index], ownLevels[index]].filter((level) => level !== undefined);
		const name = count === 1 ? '' : `, level ${index + 1}`;
		return [
			row(
				`fence call${name}`,
				Math.max(...both.map((level) => level.callMs)),
				'the longest limitMs of its devices on either host; one "off" or "status"',
			),
			row(
				`late off${name}`,
				longestLateMs(both),
				'the longest lateMs of its devices; an "off" may still take effect this late',
			),
		];
	});
	const why =
		'every attempt of every level, the latest "off" and 6 D; the host that goes second waits one';
	return [...perLevel.flat(), row('fence turn', turnMs([levels, ownLevels], detectionMs), why)];
};

const row = (name: string, valueMs: number, why: string): TimingRow => ({ name, valueMs, why });

/** The table as lines of text, without a line end. */
export const timingText = (config: Config): string => {
	const rows = timingRows(config).map((each) => ({ ...each, value: formatDuration(each.valueMs) }));
	const nameWidth = Math.max(...rows.map((each) => each.name.length));
	const valueWidth = Math.max(...rows.map((each) => each.value.length));
	return rows
		.map(
			(each) => `${each.name.padEnd(nameWidth)}  ${each.value.padStart(valueWidth)}  ${each.why}`,
		)
		.join('\n');
};
