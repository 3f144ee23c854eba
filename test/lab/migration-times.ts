/** What live migrations by bare xl and by vmpair took, beside each other. Pure. */
import type { Entry, VmVerdict } from './ledger.ts';

/** A span of one host's wall clock, ms since 1970. */
export type Span = { readonly fromMs: number; readonly toMs: number };

/** One migration. */
export type Turn = {
	readonly by: 'xl' | 'vmpair';
	readonly from: string;
	readonly to: string;
	/** What a person waits for at the command. */
	readonly commandMs: number;
	/** From the order to the end, as the product reports it; of xl the command. */
	readonly orderMs: number;
	/** How long `xl migrate` ran. */
	readonly xlMs: number;
	/** How long both hosts were Primary, by the host that says the longer. */
	readonly bothPrimaryMs: number;
	/** The longest time between two acknowledged writes of the guest. */
	readonly silenceMs: number;
};

const eventLine = /^(\S+) \w+ (resource|connection) name:(\S+)(?: \S+)*? role:(\w+)/u;

/** The spans in which both hosts were Primary, by one host's `drbdsetup events2 --timestamps`; closed ones only. */
export function bothPrimary(text: string, resource: string): Span[] {
	const roles = { resource: '', connection: '' };
	const spans: Span[] = [];
	let fromMs: number | undefined;
	for (const line of text.split('\n')) {
		const [, at = '', kind, name, role = ''] = eventLine.exec(line) ?? [];
		if (name !== resource) continue;
		roles[kind === 'resource' ? 'resource' : 'connection'] = role;
		const both = roles.resource === 'Primary' && roles.connection === 'Primary';
		if (both) fromMs ??= Date.parse(at);
		else if (fromMs !== undefined) {
			spans.push({ fromMs, toMs: Date.parse(at) });
			fromMs = undefined;
		}
	}
	return spans;
}

/**
 * How long a unit of systemd ran, in ms, by what `journalctl -o short-unix` has of process 1; undefined when its start
 * or its good end is not there.
 */
export function unitMs(text: string, unit: string): number | undefined {
	const when = (word: string): number | undefined => {
		const line = text.split('\n').find((each) => each.includes(unit) && each.includes(word));
		return line === undefined ? undefined : Number(line.split(' ')[0]) * 1000;
	};
	const [fromMs, toMs] = [when('Started'), when('Deactivated successfully')];
	return fromMs === undefined || toMs === undefined ? undefined : Math.round(toMs - fromMs);
}

/** The longest time between two acknowledgements of a VM of which at least one lies behind `sinceMs`, in ms. */
export function silenceSince(entries: readonly Entry[], vm: string, sinceMs: number): number {
	const acks = entries.filter((entry) => entry.kind === 'ack' && entry.vm === vm);
	const gaps = acks.map(({ atMs }, at) =>
		atMs < sinceMs ? 0 : atMs - (acks[at - 1]?.atMs ?? atMs),
	);
	return Math.round(Math.max(0, ...gaps));
}

const median = (values: readonly number[]): number => {
	const sorted = values.toSorted((a, b) => a - b);
	const [low = 0, high = low] = sorted.slice(
		Math.floor((sorted.length - 1) / 2),
		Math.floor(sorted.length / 2) + 1,
	);
	return (low + high) / 2;
};

export type Comparison = {
	readonly turns: readonly Turn[];
	readonly ledger: readonly VmVerdict[];
	/** Medians, in ms: xl's command, and vmpair's order to end. */
	readonly xlMs: number;
	readonly oursMs: number;
	readonly ratio: number;
	/** What ours may be: 1.05 times xl and two seconds. */
	readonly limitMs: number;
	/** How much longer than xl ran both hosts were Primary, at most, of vmpair's migrations. */
	readonly primaryOverMs: number;
	/** What is missed; empty when everything is met. */
	readonly failures: readonly string[];
};

const mostOf = { ratio: 1.05, extraMs: 2000, bothPrimaryMs: 1000 };

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Compares the turns; `told` are failures found elsewhere. */
export function compare(
	turns: readonly Turn[],
	ledger: readonly VmVerdict[],
	told: readonly string[],
): Comparison {
	const bare = turns.filter(({ by }) => by === 'xl');
	const ours = turns.filter(({ by }) => by === 'vmpair');
	const [xlMs, oursMs] = [median(bare.map((t) => t.orderMs)), median(ours.map((t) => t.orderMs))];
	const limitMs = xlMs * mostOf.ratio + mostOf.extraMs;
	const over = ours.map((turn) => turn.bothPrimaryMs - turn.xlMs);
	const primaryOverMs = Math.max(...over);
	const failures = [...told];
	if (oursMs > limitMs)
		failures.push(`vmpair took ${seconds(oursMs)}, at most ${seconds(limitMs)} are wanted`);
	if (primaryOverMs > mostOf.bothPrimaryMs)
		failures.push(
			`both hosts were Primary for ${seconds(primaryOverMs)} more than xl ran, at most ${seconds(mostOf.bothPrimaryMs)} are wanted`,
		);
	for (const { vm, boots, violations } of ledger) {
		if (boots.length !== 1) failures.push(`${vm} was booted ${boots.length} times`);
		failures.push(...violations.map(({ rule, text }) => `${vm}: ${rule}: ${text}`));
	}
	return { turns, ledger, xlMs, oursMs, ratio: oursMs / xlMs, limitMs, primaryOverMs, failures };
}

const columns = ['by', 'from', 'to', 'command', 'order to end', 'xl', 'both Primary', 'silence'];

/** For a terminal. */
export function comparisonText(comparison: Comparison): string {
	const { turns, xlMs, oursMs, ratio, limitMs, primaryOverMs, ledger, failures } = comparison;
	const rows = turns.map((turn) => [
		turn.by,
		turn.from,
		turn.to,
		...[turn.commandMs, turn.orderMs, turn.xlMs, turn.bothPrimaryMs, turn.silenceMs].map(seconds),
	]);
	const line = (cells: readonly string[]): string =>
		cells
			.map((cell, at) => cell.padStart(at < 3 ? 7 : 13))
			.join(' ')
			.trimEnd();
	return [
		'The same guest between the same hosts: bare xl over ssh with the agents stopped, and vmpair.',
		line(columns),
		...rows.map(line),
		`Median: xl ${seconds(xlMs)}, vmpair ${seconds(oursMs)}; ratio ${ratio.toFixed(2)}; wanted at most ${seconds(limitMs)}`,
		`Both Primary for ${seconds(primaryOverMs)} more than xl ran, at most; wanted ${seconds(mostOf.bothPrimaryMs)}`,
		...ledger.map(
			({ vm, acknowledged, onDisk, boots }) =>
				`${vm}: ${acknowledged} acknowledged, ${onDisk ?? 'none'} on disk, ${boots.length} boots`,
		),
		...failures.map((failure) => `FAILED  ${failure}`),
		`migrate-beside-xl: ${failures.length === 0 ? 'passed' : 'FAILED'}`,
	].join('\n');
}
