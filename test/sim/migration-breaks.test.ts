import test from 'ava';
import {
	bench,
	type Bench,
	broken,
	left,
	run,
	sendUntil,
	step,
	twin,
	until,
	wait,
	words,
} from '#test/sim/_migration.ts';

/** What each break of a live migration leaves on both hosts, whatever the moment is within its stage. */

/** Over many seeds, everything that a break can leave. */
const outcomes = (
	stage: string,
	breakIt: (on: Bench) => void,
	thenMs = 45_000,
): { seen: Map<string, number>; violations: string[] } => {
	const seen = new Map<string, number>();
	const violations: string[] = [];
	for (let seed = 1; seed <= 30; seed += 1) {
		const on = bench(seed);
		const sent = sendUntil(on, stage);
		breakIt(on);
		wait(on, thenMs);
		const key = [words(sent), ...left(on)].join(' ');
		seen.set(key, (seen.get(key) ?? 0) + 1);
		violations.push(...broken(on));
	}
	return { seen, violations };
};

const cutManagement = (on: Bench): void => step(on, { do: 'cut', network: 'management' });

const breaks = test.macro<[string, (on: Bench) => void, string[]]>({
	exec: (t, stage, breakIt, expected) => {
		const { seen, violations } = outcomes(stage, breakIt);
		t.deepEqual([...seen.keys()].toSorted(), expected);
		t.deepEqual(violations, []);
	},
	title: (title) => title ?? '',
});

const resumed = [
	'migrate-failed running/none absent/incoming',
	'migrate-failed running/none absent/none',
];

test(
	'the path is cut while memory is copied: the guest runs on, a half copy may stay',
	breaks,
	'copies',
	cutManagement,
	resumed,
);
test(
	'the path is cut while the guest is stopped: it goes on',
	breaks,
	'suspended',
	cutManagement,
	resumed,
);
test(
	'the path is cut before the go has arrived: both keep what they have',
	breaks,
	'told',
	cutManagement,
	['migrate-failed absent/away absent/incoming', 'migrate-failed absent/away absent/none'],
);
test(
	'the path is cut before the report has arrived: the target has the VM, the source keeps the old copy',
	breaks,
	'starts',
	cutManagement,
	['migrate-failed absent/away paused/none'],
);
test(
	'the target loses power while memory is copied: the guest runs on',
	breaks,
	'copies',
	(on) => step(on, { do: 'power-cut', host: 'host2' }),
	['migrate-failed running/none absent/none'],
);
test(
	'the target loses power after the go: the source keeps the old copy',
	breaks,
	'told',
	(on) => step(on, { do: 'power-cut', host: 'host2' }),
	['migrate-failed absent/away absent/none'],
);
test(
	'the source loses power while memory is copied: a half copy may stay',
	breaks,
	'copies',
	(on) => step(on, { do: 'power-cut', host: 'host1' }),
	['no answer absent/none absent/incoming', 'no answer absent/none absent/none'],
);
test(
	'the source loses power after the target has heard the go: the target has the VM',
	breaks,
	'starts',
	(on) => step(on, { do: 'power-cut', host: 'host1' }),
	['no answer absent/none paused/none'],
);
test(
	'xl is killed on the source while memory is copied: the guest runs on',
	breaks,
	'copies',
	(on) => step(on, { do: 'xl-killed', host: 'host1' }),
	resumed,
);
test(
	'xl is killed on the source while the guest is stopped: nobody lets it go on',
	breaks,
	'suspended',
	(on) => step(on, { do: 'xl-killed', host: 'host1' }),
	['migrate-failed stopped/none absent/incoming', 'migrate-failed stopped/none absent/none'],
);
test(
	'xl is killed on the source after the go: the target has the VM all the same',
	breaks,
	'starts',
	(on) => step(on, { do: 'xl-killed', host: 'host1' }),
	['migrate-failed absent/away paused/none'],
);
test(
	'xl is killed on the target while the guest is stopped: it goes on',
	breaks,
	'suspended',
	(on) => step(on, { do: 'xl-killed', host: 'host2' }),
	resumed,
);
test(
	'xl is killed on the target after the go: the source keeps the old copy',
	breaks,
	'starts',
	(on) => step(on, { do: 'xl-killed', host: 'host2' }),
	['migrate-failed absent/away absent/incoming', 'migrate-failed absent/away absent/none'],
);
test(
	'the transport is cut on the source: the guest goes on',
	breaks,
	'suspended',
	(on) => {
		run(on, on.source, 'cut-migration', 0);
		// It may be too late: then the guest has left.
		step(on, { do: 'stream-hangs', for: '10s' });
	},
	resumed,
);
test(
	'the transport is cut on the target: the guest goes on',
	breaks,
	'copies',
	(on) => {
		run(on, on.target, 'cut-migration', 0);
	},
	resumed,
);
test(
	'the target is no Primary: it takes its copy away and the guest goes on',
	breaks,
	'copies',
	(on) => {
		until(on, () => twin(on, on.target) === 'incoming');
		run(on, on.target, 'demote', 200);
		wait(on, 20_000);
	},
	['migrate-failed running/none absent/none'],
);
test(
	'the target cannot start what it has received: the source takes its guest back',
	breaks,
	'copies',
	(on) => {
		step(on, { do: 'create-fails', host: 'host2', vm: 'vm1' });
		wait(on, 20_000);
	},
	['migrate-failed running/none absent/none'],
);
test(
	'the guest stops by itself while memory is copied: nothing comes over',
	breaks,
	'copies',
	(on) => step(on, { do: 'guest', vm: 'vm1', does: 'poweroff' }),
	['migrate-failed stopped/none absent/incoming', 'migrate-failed stopped/none absent/none'],
);
