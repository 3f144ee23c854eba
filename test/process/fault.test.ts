import test from 'ava';
import { inHeartbeatThread } from '#test/process/debugger.ts';
import {
	allProtected,
	places,
	promisesHold,
	setStage,
	until,
	vmpair,
	writesGoOn,
} from '#test/process/stage.ts';

/** Ways in which the thread that sends beats can fail while its process lives. */
const threadFaults: readonly (readonly [string, string, RegExp])[] = [
	['it ends', 'process.exit(3)', /heartbeat thread ended: exit code 3/],
	[
		'it runs out of memory',
		'globalThis.kept = []; for (;;) kept.push(new Array(1e5).fill(Math.random()))',
		/heartbeat thread ended: .*memory/,
	],
	['it hangs', 'for (;;);', /heartbeat thread ended: it has not turned for 3000 ms/],
];

for (const [fault, script, reason] of threadFaults) {
	test(`an agent whose heartbeat thread fails goes away and comes back: ${fault}`, async (t) => {
		const stage = await setStage(t);
		const before = places(stage);
		await inHeartbeatThread(stage, 'north', script);
		await until('the agent has ended', () =>
			stage.events.some(({ what, host }) => what === 'agent-ended' && host === 'north'),
		);
		await writesGoOn(stage);
		await allProtected(stage);
		t.regex((await vmpair(stage, 'north', 'history')).stdout, reason);
		t.is(places(stage), before);
		t.false(stage.events.some(({ what }) => what === 'vm-runs' || what === 'powered-off-by-fence'));
		promisesHold(t, stage);
	});
}
