import { plantedLoadRules } from '#test/sim/_planted-load.ts';

interface Edit {
	readonly file: string;
	/** The words of the rule, found exactly once in the file. */
	readonly rule: string;
	/** What stands there instead. */
	readonly without: string;
}

interface PlantedRule {
	/** The break of the protocol's first wording that comes back. */
	readonly brings: string;
	readonly edits: readonly Edit[];
}

const edit = (file: string, rule: string, without: string): Edit => ({ file, rule, without });

const engine = (file: string): string => `src/engine/${file}.ts`;

/** A file that was put back is believed, whatever DRBD says, and loses to any newer record. */
const olderFileBelieved = [
	edit(engine('takeover'), 'return byFlag || byUuid;', 'return byFlag || byUuid || true;'),
	edit(engine('join'), 'if (!alone) return;', 'return;'),
];

/** Rules of the engine, each with what switches it off. None of it is in the product. */
export const plantedRules: Readonly<Record<string, PlantedRule>> = {
	...plantedLoadRules,
	'unpaused-on-an-old-record': {
		brings: 'V3',
		edits: [
			edit(engine('lease'), '(view?.sentMs ?? 0) >= voteBackMs', 'true'),
			edit(engine('lease'), 'theirs?.heardRound === round &&\n\t\t!theirs.claiming', 'true'),
		],
	},
	'joined-at-once': {
		brings: 'V7',
		edits: [
			edit(
				engine('draft'),
				'state.persisted.joinedBootId !== null && state.persisted.joinedBootId === state.bootId',
				"state.bootId !== ''",
			),
			// The second guard: what DRBD does not know after a boot is compared first.
			edit(
				engine('takeover'),
				"return disk === 'UpToDate' && state.compared[resource] !== false;",
				"return disk === 'UpToDate' || disk === 'Consistent';",
			),
		],
	},
	'standby-grows-first': {
		brings: 'V8',
		edits: [
			edit(
				engine('in-sync'),
				'if (record?.owner !== self || observed === undefined) continue;\n\t\tif (record.inSync',
				'if (record === undefined || record.owner === self || observed === undefined) continue;\n\t\tif (record.inSync',
			),
			// The second guard (V9), and the third: who writes alone lets no newer record take that right away (1).
			...olderFileBelieved,
		],
	},
	'older-file-believed': { brings: 'V9', edits: olderFileBelieved },
	'metadata-not-asked': {
		brings: 'V9',
		edits: [
			edit(engine('takeover'), 'return byFlag || byUuid;', 'return byFlag || byUuid || true;'),
		],
	},
	'arbiter-in-one-round': {
		brings: 'V10',
		edits: [
			edit(
				engine('voters'),
				"if (arbiter.next !== null) return 'changing';",
				'if (arbiter.next !== null) return arbiter.next;',
			),
		],
	},
	'turn-without-latency': {
		brings: 'V12',
		edits: [
			edit('src/fence/ladder.ts', 'longestLateMs(ladders.flat()) +', '0 +'),
			edit(
				'src/fence/ladder.ts',
				'lengthMs - level.lateMs - callsAnAttempt',
				'lengthMs - callsAnAttempt',
			),
		],
	},
	'turn-a-quarter': {
		brings: 'V12',
		edits: [
			edit(
				engine('fencing'),
				'const lengthMs = turnMs(laddersOf(fencing), detectionMs);',
				'const lengthMs = turnMs(laddersOf(fencing), detectionMs) / 4;',
			),
			edit(
				engine('fencing'),
				'latestInTurnMs(through, lengthMs, detectionMs)',
				'latestInTurnMs(through, 4 * lengthMs, detectionMs)',
			),
		],
	},
	'turn-from-notice': {
		brings: 'V12',
		edits: [edit(engine('peer'), 'peer.echoedMs ?? draft.nowMs', 'draft.nowMs')],
	},
	'turn-to-its-end': {
		brings: 'V12',
		edits: [
			edit(
				engine('fencing'),
				'if (mine && elapsedMs - turn * lengthMs <= latestMs) return nowMs;',
				'if (mine) return nowMs;',
			),
		],
	},
	'reboot-is-a-proof': {
		brings: 'V13',
		edits: [
			edit(
				engine('observe'),
				'if (persisted.peerBootIds.slice(0, -1).includes(document.bootId))',
				'if (document.seq < 0)',
			),
			edit(
				engine('observe'),
				'if (peer.bootId !== null && document.bootId !== peer.bootId)',
				'if (document.seq < 0)',
			),
			edit(
				engine('observe'),
				'changePeer(draft, { document });',
				"changePeer(draft, document.bootId === draft.state.peer.bootId ? { document } : { proof: { kind: 'person', atMs: draft.nowMs, by: 'it has booted' } });",
			),
			edit(
				engine('peer'),
				"if (peer.hearing === 'online' && peer.proof !== null) {",
				'if (draft.nowMs < 0) {',
			),
			edit(
				engine('peer'),
				"} else if (proof?.kind === 'person' && connected) {",
				'} else if (draft.nowMs < 0) {',
			),
			edit(
				engine('peer'),
				"if (proof?.kind === 'person' && alive && power !== null && power.atMs > proof.atMs) {",
				'if (draft.nowMs < 0) {',
			),
		],
	},
	'conflicts-merged': {
		brings: 'V14',
		edits: [
			edit(
				engine('join'),
				'const conflict = judge(state, mine, theirs);',
				'const conflict = null as ReturnType<typeof judge>;',
			),
		],
	},
	'number-used-again': {
		brings: 'V14',
		edits: [edit(engine('draft'), 'draft.state.persisted.witness?.reserved[resource] ?? 0', '0')],
	},
	'failed-disk-counts': {
		brings: 'V16',
		edits: [edit(engine('step'), '\tshrinkRule,\n\toutdateForPeerRule', '\toutdateForPeerRule')],
	},
	'disarmed-alone': {
		brings: 'V17',
		edits: [
			edit(
				engine('voters'),
				'if (state.config.witness === null) return false;',
				'if (state.config.witness === null || !state.persisted.pair.armed) return false;',
			),
		],
	},
	'handler-asks-no-owner': {
		brings: 'V19',
		edits: [
			edit(
				engine('handler'),
				'if (recordOf(state, resource)?.owner !== state.config.self) return null;\n\tif (!soleInSync(state, resource)) return null;',
				'',
			),
			edit(
				engine('handler'),
				'if (record.owner !== self) return',
				'if (record.generation < 0) return',
			),
			edit(
				engine('handler'),
				"if (observed?.role === 'Secondary' && !promoteOpen(state, call.resource))",
				'if (record.generation < 0)',
			),
		],
	},
	'release-taken-back': {
		brings: 'V21',
		edits: [
			edit(
				engine('lease'),
				"if (presence !== 'paused' || record?.owner !== state.config.self) continue;",
				"if (presence !== 'paused' || record?.owner === state.config.peer) continue;",
			),
			edit(
				engine('lease'),
				'if (!voteNeeded(state, resource)) return ownAndKnown(state, resource, nowMs);',
				'if (!voteNeeded(state, resource) && recordOf(state, resource)?.owner !== null) return ownAndKnown(state, resource, nowMs);',
			),
		],
	},
	'survivor-needs-vote': {
		brings: 'L1',
		edits: [
			edit(
				engine('voters'),
				'record.inSync.includes(state.config.peer)',
				'record.inSync.length > 0',
			),
		],
	},
	'claim-between-renewals': {
		brings: 'section 5',
		edits: [
			edit(engine('claim'), 'return view.sentMs - peerRead.atMs > 1.5 * renewMs;', 'return true;'),
			edit(engine('claim'), '	if (!renewsNoMore(draft)) return;\n	const', '	const'),
		],
	},
	'arbiter-for-ever': {
		brings: 'L2',
		edits: [
			edit(
				engine('arbiter'),
				"if (now === 'witness') return fallback(state);",
				"if (now === 'witness') return now;",
			),
		],
	},
	'claim-for-ever': {
		brings: 'L3',
		edits: [
			edit(engine('witness'), '\tseedRule(draft);\n\tvoidRule(draft);', '\tseedRule(draft);'),
		],
	},
	'cable-counts': {
		brings: 'L4',
		edits: [
			edit(
				engine('fencing'),
				'config.links.filter((link) => link.switched)',
				'config.links.filter((link) => link.link)',
			),
		],
	},
	'fence-without-gain': {
		brings: 'L5',
		edits: [
			edit(
				engine('fencing'),
				'claimGain(state, nowMs) : fenceGain(state)) === null)',
				'claimGain(state, nowMs) : config.self) === null)',
			),
		],
	},
	'both-must-return': {
		brings: 'L6',
		edits: [edit(engine('exclude'), 'return inUse || mayStartAlone(draft);', 'return inUse;')],
	},
	'joined-by-peer-only': {
		brings: 'L7',
		edits: [
			edit(engine('witness'), '\tjoinRule(draft);\n\tadoptRule(draft);', '\tadoptRule(draft);'),
		],
	},
	'never-thawed': {
		brings: 'L8',
		edits: [edit(engine('step'), '\thandlerRule,\n\tthawRule,', '\thandlerRule,')],
	},
	'agent-down-for-ever': {
		brings: 'L9',
		edits: [
			edit(
				engine('peer'),
				'unreplicatedMs < state.config.timing.agentDownLostMs',
				'unreplicatedMs >= 0',
			),
		],
	},
	'exclusion-untold': {
		brings: 'L12',
		edits: [
			edit(
				engine('conditions-replication'),
				"else if (!isConnected(observed) && state.peer.status !== 'unknown')",
				"else if (!isConnected(observed) && state.peer.status === 'unknown')",
			),
		],
	},
	'resync-untold': {
		brings: 'L13',
		edits: [
			edit(
				engine('conditions-replication'),
				'else if (isResyncing(observed))',
				'else if (isResyncing(observed) && !isConnected(observed))',
			),
		],
	},
	'given-before-demoted': {
		brings: 'M6',
		edits: [
			edit(
				'src/migrate/saga.ts',
				"if (own.role === 'Primary') return act('demote');\n\t\treturn own.role === 'Secondary' ? { do: 'give' } : wait('DRBD');",
				"return { do: 'give' };",
			),
			// The second guard: DRBD itself lets only one be Primary again.
			edit(
				'src/migrate/saga.ts',
				"if (own.twoPrimaries !== false) return act('forbid-two-primaries');\n\treturn wait('the guest');",
				"return wait('the guest');",
			),
		],
	},
	'half-copy-left': {
		brings: 'M4',
		edits: [
			edit(
				'src/migrate/saga.ts',
				"if (own.twin !== null) return act('destroy-twin');\n	if (own.presence === 'dying') return wait('its devices');\n	if (own.presence !== 'absent') return act('destroy-vm');",
				"if (own.presence === 'dying') return wait('its devices');\n	if (own.presence !== 'absent') return act('destroy-vm');",
			),
			edit(
				'src/migrate/saga.ts',
				"if (own.twin !== null) return act(own.underWay ? 'cut-migration' : 'destroy-twin');\n	return own.twoPrimaries === true",
				'return own.twoPrimaries === true',
			),
		],
	},
	'two-primaries-left': {
		brings: 'M2',
		edits: [
			edit(
				'src/migrate/saga.ts',
				"	return own.twoPrimaries === false ? { do: 'close' } : act('forbid-two-primaries');",
				"	return { do: 'close' };",
			),
			edit(
				'src/migrate/saga.ts',
				"	return own.twoPrimaries === true ? act('forbid-two-primaries') : wait('nothing');",
				"	return wait('nothing');",
			),
		],
	},
	'given-up-running': {
		brings: 'section 1',
		edits: [edit(engine('resolve'), "if (presence === 'running') {", 'if (false) {')],
	},
};
