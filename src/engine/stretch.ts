import type { Draft } from '#src/engine/draft.ts';
import { isResyncing } from '#src/drbd/role.ts';

/** Our own resync loads the links: it must not look like a death. Only D is stretched, nothing else. */
export const stretchRule = (draft: Draft): void => {
	const resyncing = Object.values(draft.state.resources?.value ?? {}).some(isResyncing);
	if (resyncing === draft.state.stretched) return;
	draft.state = { ...draft.state, stretched: resyncing };
	draft.actions.push({ type: 'stretch-detection', factor: resyncing ? 3 : 1 });
};
