import type { Condition } from '#src/alert/condition.ts';

/**
 * What is told at once although the pair is paused: a VM that does not run or cannot write, because while the pair is
 * paused nobody but a person mends that, data in danger, and the pause itself. Everything else that fires is what work
 * on hosts, links, fence devices and the witness looks like, and waits for the end of the pause.
 */
export const toldInPause: ReadonlySet<string> = new Set([
	'paused',
	'vm-down',
	'vm-frozen',
	'vm-superseded',
	'vm-without-vote',
	'release-stuck',
	'record-conflict',
	'split-brain',
	'split-brain-suspected',
	'state-disk',
	'writes-on-one-copy',
]);

/**
 * The conditions that receivers are told of while the pair is paused. One that they know of stays, or they would be
 * told that it is over.
 * @param open keys of conditions that receivers were told of before.
 */
export const toldOf = (
	conditions: readonly Condition[],
	open: { has: (key: string) => boolean },
): readonly Condition[] =>
	conditions.filter(({ name, key }) => toldInPause.has(name) || open.has(key));
