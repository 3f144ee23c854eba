import type { Draft } from '#src/engine/draft.ts';
import { stretchedBy } from '#src/engine/limit.ts';
import { migrationUnderWay } from '#src/engine/migration.ts';
import { isResyncing } from '#src/drbd/role.ts';

/** Our own resync or migration loads the links: it must not look like a death. Only D is stretched, nothing else. */
export const stretchRule = (draft: Draft): void => {
	const { state } = draft;
	const resyncing = Object.values(state.resources?.value ?? {}).some(isResyncing);
	const loaded = resyncing || state.config.vms.some(({ vm }) => migrationUnderWay(state, vm));
	if (loaded === state.stretched) return;
	draft.state = { ...state, stretched: loaded };
	draft.actions.push({ type: 'stretch-detection', factor: loaded ? stretchedBy : 1 });
};
