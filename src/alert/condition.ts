import { assert } from '#src/std/assert.ts';
import type { MonotonicMs } from '#src/ports.ts';

/** `critical` pages somebody at night; `warning` is for the morning; `info` is only told. */
export type Severity = 'critical' | 'warning' | 'info';

/**
 * Something that is wrong now and will be over some day. The engine lists all conditions of a state,
 * whole every time; what fires and what resolves is the difference of two lists.
 */
export interface Condition {
	/** Stable: `name/subject`, or `name` alone when the subject is the pair. The same trouble always has the same key. */
	readonly key: string;
	/** Kebab-case, for instance `replication-degraded`. */
	readonly name: string;
	/** The VM, host, link or device it is about; the pair's name when it is about the pair. */
	readonly subject: string;
	readonly severity: Severity;
	/** One sentence for the person on call. It may change while the condition lasts; that alone fires nothing. */
	readonly summary: string;
	/** The next command or step; empty when nothing has to be done. */
	readonly next: string;
}

/** What became of a condition. `changed`: it became more severe while it lasted. */
export type TransitionKind = 'fired' | 'changed' | 'resolved';

export interface ConditionTransition {
	readonly kind: TransitionKind;
	readonly condition: Condition;
}

/** A condition that has fired and is not resolved yet, as it is remembered over a restart of the agent. */
export interface Incident {
	/** Names this one occurrence; a condition that comes back later is another incident. */
	readonly incident: string;
	readonly condition: Condition;
	/** Wall-clock time it fired, ISO 8601; only for people. */
	readonly since: string;
	/** Who sees to it; left out while nobody has said so. */
	readonly acknowledged?: Acknowledgement;
}

/** That a person knows of an incident and sees to it. */
export interface Acknowledgement {
	readonly by: string;
	/** Wall-clock time, ISO 8601. */
	readonly at: string;
	/** Empty when none was given. */
	readonly reason: string;
}

/** The more severe, the higher. */
export const rank: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };

/** A condition with its key built the one way; `subject` null means the pair itself. */
export const condition = (parts: {
	name: string;
	subject: string | null;
	pairId: string;
	severity: Severity;
	summary: string;
	next: string;
}): Condition => ({
	key: parts.subject === null ? parts.name : `${parts.name}/${parts.subject}`,
	name: parts.name,
	subject: parts.subject ?? parts.pairId,
	severity: parts.severity,
	summary: parts.summary,
	next: parts.next,
});

const byKey = (conditions: readonly Condition[]): ReadonlyMap<string, Condition> => {
	const map = new Map(conditions.map((each) => [each.key, each]));
	assert(map.size === conditions.length, 'every condition of a list has its own key');
	return map;
};

/**
 * What fired, became more severe and resolved between two whole lists: first what resolved, then the
 * rest in the order of `current`, so that a receiver never sees more trouble open than there is.
 */
export const diffConditions = (
	previous: readonly Condition[],
	current: readonly Condition[],
): readonly ConditionTransition[] => {
	const before = byKey(previous);
	const now = byKey(current);
	const transitions: ConditionTransition[] = previous
		.filter((each) => !now.has(each.key))
		.map((each) => ({ kind: 'resolved', condition: each }));
	for (const each of current) {
		const old = before.get(each.key);
		if (old === undefined) transitions.push({ kind: 'fired', condition: each });
		else if (rank[each.severity] > rank[old.severity])
			transitions.push({ kind: 'changed', condition: each });
	}
	return transitions;
};

/** When a condition was last listed, so that one that flickers does not page at every flicker. */
export type Cleared = ReadonlyMap<string, MonotonicMs>;

/**
 * The list to compare with: `current`, and those of `open` that are gone for less than `holdMs` yet.
 * Firing is never held back; resolving is, because a condition that flickers is one incident.
 */
export const heldConditions = (
	open: readonly Condition[],
	current: readonly Condition[],
	cleared: Cleared,
	nowMs: MonotonicMs,
	holdMs: number,
): { readonly conditions: readonly Condition[]; readonly cleared: Cleared } => {
	const now = byKey(current);
	const next = new Map<string, MonotonicMs>();
	const held: Condition[] = [];
	for (const each of open) {
		if (now.has(each.key)) continue;
		const since = cleared.get(each.key) ?? nowMs;
		if (nowMs - since >= holdMs) continue;
		next.set(each.key, since);
		held.push(each);
	}
	return { conditions: [...held, ...current], cleared: next };
};
