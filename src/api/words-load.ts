import type { HealthView } from '#src/api/view-load.ts';
import type { WordTone } from '#src/api/words.ts';

/** Load and health in words, the same ones on the screen of `vmpair status` and on the page. */

/** 0.926 as `93 %`. */
export const percent = (share: number | null): string =>
	share === null ? '?' : `${Math.round(share * 100)} %`;

/** What a check counts as; while that is open, what it said last. */
export const stateWords = ({ state, said }: HealthView): string => {
	if (state !== 'pending') return state;
	return said === null ? 'not run yet' : `${said} (not for long)`;
};

export const healthTones: Readonly<Record<HealthView['state'], WordTone>> = {
	ok: 'good',
	warning: 'warn',
	critical: 'bad',
	unknown: 'warn',
	pending: 'plain',
};
