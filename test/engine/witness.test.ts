import test from 'ava';
import { misfit } from '#src/engine/voters.ts';
import type { WitnessAnswer } from '#src/ports-witness.ts';
import { pairOf, vmConfig } from '#test/engine/_pair.ts';

const witness = {
	leaseMs: 5000,
	pauseLeadMs: 2000,
	watchdogMs: 5000,
	takeMs: 12_200,
	watchdogs: ['alpha', 'beta'],
};

test('what the witness refuses is told apart: no record, another pair’s, or none of ours', (t) => {
	const reasons: readonly (readonly [WitnessAnswer['reply'], RegExp])[] = [
		[{ ok: false, refused: 'absent', record: null }, /holds no record of this pair/],
		[{ ok: false, refused: 'other-pair', record: null }, /holds the record of another pair/],
		[{ ok: false, refused: 'unreadable', detail: 'damaged' }, /is no record of vmpair/],
	];
	for (const [reply, reason] of reasons) {
		const [left] = pairOf([vmConfig('web')], { arbiter: 'witness', witness });
		const answer: WitnessAnswer = { runId: 'run-1', sentMs: left.nowMs, reply };
		left.take({ type: 'witness-observed', answer });
		t.regex(misfit(left.state) ?? '', reason);
	}
});
