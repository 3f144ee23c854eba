/** Rules of moves for load and health, each with what switches it off (`_planted-rules.ts`). */

const policy = 'src/migrate/load.ts';
const balance = 'src/engine/balance.ts';
const health = 'src/engine/health.ts';

interface Edit {
	readonly file: string;
	readonly rule: string;
	readonly without: string;
}

const edit = (file: string, rule: string, without: string): Edit => ({ file, rule, without });

const noPairRest = edit(
	balance,
	'pairRestMs: order ? 0 : pairRestMs(state, nowMs)',
	'pairRestMs: 0',
);

const rule = (...edits: readonly Edit[]) => ({ brings: 'section 10', edits });

export const plantedLoadRules = {
	'load-two-at-once': rule(
		edit(
			balance,
			'if (record.journal !== null) return `${vm} is on its way to ${record.journal.to}`;',
			'if (record.journal !== null) return null;',
		),
		// The second guard: the pair rests from the moment in which a move begins; and the third, of all live migrations.
		noPairRest,
		edit(
			'src/engine/migration.ts',
			'if (other !== undefined) return `${other.vm} is being live-migrated, and one goes at a time`;',
			'if (other !== undefined) void other;',
		),
	),
	'load-without-rest': rule(
		edit(balance, 'restMs: order ? 0 : vmRestMs(state, each.vm, nowMs)', 'restMs: 0'),
		noPairRest,
	),
	'load-rest-at-source-alone': rule(
		edit(
			balance,
			'if (open === (move?.open ?? false)) continue;',
			'if (open === (move?.open ?? false) || journal?.to === state.config.self) continue;',
		),
	),
	'load-while-degraded': rule(
		edit(
			balance,
			'return whole && record.inSync.length === 2 ? null : `the replication of ${vm} is not complete`;',
			'return null;',
		),
	),
	'load-beyond-target': rule(edit(policy, 'if (share > settings.target)', 'if (share > 99)')),
	'load-for-nothing': rule(edit(policy, 'if (gain < settings.gain)', 'if (gain < 0)')),
	'load-at-once': rule(
		edit('src/migrate/sustain.ts', 'nowMs - above.sinceMs < holdMs', 'nowMs - above.sinceMs < 0'),
	),
	'load-pinned-goes': rule(edit(policy, "if (vm.pinned) return ['pinned', 'it is pinned'];", '')),
	'load-without-spare': rule(
		edit(policy, "if (view.settings.spare === 'waived') return null;", 'if (view) return null;'),
	),
	'load-against-advice': rule(
		edit(balance, "if (again && balance.mode === 'auto') begin", 'if (again) begin'),
	),
	'load-to-standby': rule(
		edit(
			'src/engine/handover.ts',
			'if (document?.standby === true) return `${config.peer} is in standby: it takes no VMs`;',
			'',
		),
		// Who is in standby is being emptied as well.
		edit(
			balance,
			'if (peer.document.emptied) return',
			'if (peer.document.emptied && !peer.document.standby) return',
		),
	),
	'load-to-failing-host': rule(
		edit(policy, 'if (critical.length > 0)', 'if (critical.length > 64)'),
	),
	'flight-to-failing-host': rule(
		edit(health, 'if (peerIll) return `${peer} is not well either`;', ''),
	),
	'flight-at-once': rule(
		edit(health, "said.health === 'critical' && lastedMs >= holdMs", "said.health === 'critical'"),
	),
};
