import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { testApart } from '#test/process/apart.ts';

const bench = fileURLToPath(new URL('../../../bench/overload.ts', import.meta.url));

testApart('--net')(
	'a minute of fourfold overload, lost packets and jitter is no reason to miss anybody',
	async (t) => {
		const words = [bench, '--minutes', '1'];
		const { exitCode, stdout, stderr } = await execa(process.execPath, words, {
			reject: false,
			stdin: 'ignore',
		});
		t.is(exitCode, 0, stderr);
		t.log(stdout);
		const seen = JSON.parse(stdout) as Record<string, unknown>;
		t.like(seen, {
			minutes: 1,
			silences: 0,
			failovers: 0,
			agentsEnded: 0,
			placesKept: true,
			violations: [],
			protectedAtTheEnd: true,
		});
		t.true(Number(seen['packetsLost']) > 0);
		t.true(Number(seen['worstBeatGapMs']) < 3000);
	},
);
