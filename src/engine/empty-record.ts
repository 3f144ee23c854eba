import type { EngineConfig } from '#src/engine/config.ts';
import { type Persisted, stateFormat } from '#src/store/record.ts';

/** What a host remembers that has no state file: nothing, and the pair is not armed. */
export const emptyRecord = (config: EngineConfig): Omit<Persisted, 'bootId'> => ({
	format: stateFormat,
	pairId: config.pairId,
	host: config.self,
	joinedBootId: null,
	peerBootIds: [],
	pair: { generation: 0, armed: false, by: 'vmpair', reason: 'never armed', at: '' },
	pauseClock: null,
	resources: {},
	openFence: null,
	deviceWrong: false,
	contactLost: null,
	fences: [],
	witness: null,
	arbiter: null,
	standby: null,
	leaving: null,
	loadMoves: {},
});
