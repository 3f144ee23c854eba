import { fileURLToPath } from 'node:url';
import test from 'ava';
import { execa } from 'execa';
import { apart, testApart } from '#test/process/apart.ts';
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

test('an agent whose heartbeat thread ends, starves or hangs goes away and comes back', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	const ended = (): number => stage.events.filter(({ what }) => what === 'agent-ended').length;
	for (const [fault, script, reason] of threadFaults) {
		const endedBefore = ended();
		await inHeartbeatThread(stage, 'north', script);
		await until(`the agent has ended: ${fault}`, () => ended() > endedBefore);
		await writesGoOn(stage);
		await allProtected(stage);
		t.regex((await vmpair(stage, 'north', 'history')).stdout, reason, fault);
	}
	t.is(ended(), threadFaults.length);
	t.is(places(stage), before);
	t.false(stage.events.some(({ what }) => what === 'vm-runs' || what === 'powered-off-by-fence'));
	promisesHold(t, stage);
});

// In a mount namespace of its own, where it has a disk of two MiB.
testApart('--mount')(
	'with its disk full an agent decides nothing, says so, and goes on when there is room',
	async (t) => {
		const play = fileURLToPath(new URL('play/full-disk.ts', import.meta.url));
		const { exitCode, all } = await execa(
			'unshare',
			[...apart('--mount'), process.execPath, play],
			{
				reject: false,
				all: true,
				stdin: 'ignore',
				timeout: 110_000,
			},
		);
		t.is(exitCode, 0, all);
	},
);
