import type { Note } from '#src/engine/action.ts';

/** What the engine decides, by the sentences it logs: counted for the report of many seeds. */
const kinds: ReadonlyMap<string, string> = new Map([
	['takeover', 'takeover'],
	['fence', 'fence'],
	['no fence', 'hold: no fence'],
	['the peer is claimed: no beat is echoed from now on', 'claim'],
	['the claim is withdrawn', 'claim withdrawn'],
	['the claim of a silent host is voided', 'claim voided'],
	['the peer is taken out of the data through the witness', 'exclusion by the witness'],
	['asking the peer to outdate its copy', 'exclusion asked of the peer'],
	['this host counts its own copy out', 'self-exclusion'],
	['a VM is paused: this host has no vote', 'pause for want of a vote'],
	['a VM goes on: this host has a vote and the record', 'unpause with a vote'],
	['a paused VM is let go: this host has no vote', 'let go'],
	['a VM runs here that belongs to the other host: it is paused', 'pause of a second copy'],
	['a superseded copy was released', 'release of a frozen loser'],
	['this host resets itself', 'reset of the own host'],
	['the records conflict: held', 'hold: records conflict'],
	['VM start waits', 'hold: start waits'],
	['VM start given up', 'hold: start given up'],
	['hand-over cancelled', 'hand-over cancelled'],
	['hand-over ended', 'hand-over'],
	['a person gives a copy up', 'copy given up'],
	['a person accepted stale data', 'stale data accepted'],
	['both hosts seed the witness', 'seed of the witness'],
	['both hosts confirmed the run of the witness', 'run of the witness confirmed'],
	['a connection does not get on: it is made anew, once', 'reconnect'],
]);

/** The kind of decision that a log message stands for; undefined for none. */
export const decisionOf = ({ message }: Note): string | undefined => kinds.get(message);
