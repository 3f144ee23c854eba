import test from 'ava';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';

/**
 * Every step of a live migration (docs/protocol.md, section 9) with every break in it. Whatever it is: one copy, one
 * owner, every acknowledged write, and within a minute of the break's end nothing is left of the migration.
 */

/** What is seen when a step of the migration has just begun, in the order of the steps. */
const stages = {
	'the journal is open': { host: 'beta', note: 'alpha => beta' },
	'both hosts allow two Primaries': { host: 'alpha', note: 'action allow-two-primaries' },
	'the target is Primary': { vm: 'ledger1', host: 'beta', role: 'Primary' },
	'the target waits for memory': { host: 'beta', note: 'action receive-vm' },
	'memory is copied': { host: 'alpha', note: 'action send-vm' },
	'the guest is suspended': { vm: 'ledger1', host: 'alpha', presence: 'stopped' },
	'the whole copy waits': { vm: 'ledger1', host: 'beta', presence: 'paused' },
	'the source has demoted': { vm: 'ledger1', host: 'alpha', role: 'Secondary' },
	'the target owns it': { note: 'live migration: the other host owns the VM' },
	'the target runs it': { vm: 'ledger1', runsOn: 'beta' },
} as const;

type Stage = keyof typeof stages;
const stageNames = Object.keys(stages) as readonly Stage[];

interface Break {
	/** The first one waits for the stage. */
	readonly steps: readonly Readonly<Record<string, unknown>>[];
	/** The target has the VM in the end when the break comes in this stage or later; before, the source keeps it. */
	readonly beta: Stage | 'always' | 'never';
	/** It lasts so long, s; a host that is dead stays so. */
	readonly lastsS: number;
	/** The host that does not come back. */
	readonly dead?: 'alpha' | 'beta';
}

const onVm = { vm: 'ledger1' };
const replication = { network: 'replication', traffic: 'replication' };
const beats = { traffic: 'heartbeat' };

const breaks: Readonly<Record<string, Break>> = {
	'the source dies': {
		steps: [{ do: 'power-cut', host: 'alpha' }],
		beta: 'always',
		lastsS: 0,
		dead: 'alpha',
	},
	'the target dies': {
		steps: [{ do: 'power-cut', host: 'beta' }],
		beta: 'never',
		lastsS: 0,
		dead: 'beta',
	},
	"the source's agent dies": {
		steps: [{ do: 'agent-crash', host: 'alpha', restartAfter: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
	"the target's agent dies": {
		steps: [{ do: 'agent-crash', host: 'beta', restartAfter: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
	'replication is cut': {
		steps: [
			{ do: 'cut', ...replication },
			{ do: 'mend', ...replication, after: '20s' },
		],
		beta: 'the guest is suspended',
		lastsS: 20,
	},
	'the heartbeats are cut': {
		steps: [
			{ do: 'cut', network: 'management', ...beats },
			{ do: 'cut', network: 'replication', ...beats },
			{ do: 'mend', network: 'management', ...beats, after: '20s' },
			{ do: 'mend', network: 'replication', ...beats },
		],
		beta: 'always',
		lastsS: 20,
	},
	'the stream hangs': {
		steps: [{ do: 'stream-hangs', for: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
	'the stream hangs for longer than anybody waits': {
		steps: [{ do: 'stream-hangs', for: '200s' }],
		beta: 'the whole copy waits',
		lastsS: 200,
	},
	'the target cannot start the copy': {
		steps: [{ do: 'create-fails', host: 'beta', ...onVm }],
		beta: 'the whole copy waits',
		lastsS: 0,
	},
	'the source cannot demote': {
		steps: [{ do: 'disk-held-open', host: 'alpha', ...onVm, for: '60s' }],
		beta: 'always',
		lastsS: 60,
	},
	'DRBD hangs on the source': {
		steps: [{ do: 'drbd-hang', host: 'alpha', for: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
	'DRBD hangs on the target': {
		steps: [{ do: 'drbd-hang', host: 'beta', for: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
	'xl hangs on the target': {
		steps: [{ do: 'xl-hang', host: 'beta', for: '20s' }],
		beta: 'always',
		lastsS: 20,
	},
};

const scenarioOf = (stage: Stage, { steps }: Break) => {
	const [first, ...rest] = steps;
	return parseScenario({
		format: 1,
		name: 'matrix',
		story: `a break once ${stage}`,
		world: { hosts: ['alpha', 'beta'], vms: [{ name: 'ledger1', host: 'alpha' }] },
		steps: [
			{ id: 'migrate', do: 'migrate', host: 'alpha', ...onVm, at: '10s' },
			{ ...first, id: 'break', when: stages[stage] },
			...rest,
			// Long enough for the longest break, and a minute.
			{ do: 'nothing', after: '270s' },
		],
		expect: [{ never: { ...onVm, copies: 2 } }, { finally: { ledger: 'intact' } }],
		ends: '1s',
	});
};

const secondsOf = (line: string | undefined): number => Number(line?.trim().split(' ', 1)[0]);

/** Everything that is not as it has to be after a break in a stage, as sentences. */
const problemsOf = (stage: Stage, each: Break): string[] => {
	const { failures, violations, trace } = runScenario(scenarioOf(stage, each));
	const problems = [...failures, ...violations.map(({ message }) => message)];
	const last = (pattern: RegExp): string | undefined =>
		trace.findLast((line) => pattern.test(line));
	const record = last(/record changed resource=ledger1/);
	const { beta } = each;
	const reached =
		beta === 'always' ||
		(beta !== 'never' && stageNames.indexOf(stage) >= stageNames.indexOf(beta));
	const wanted = reached ? 'beta' : 'alpha';
	if (record?.includes(`owner=${wanted}`) !== true)
		problems.push(`not ${wanted} owns it: ${record}`);
	if (record?.includes('journal=null') !== true) problems.push(`the journal is open: ${record}`);
	const began = secondsOf(
		trace.find((line) => line.includes(` world step ${String(each.steps[0]?.['do'])}`)),
	);
	const closed = secondsOf(
		trace.find((line) => / journal=null /.test(line) && secondsOf(line) > 10),
	);
	if (!(closed <= began + each.lastsS + 60)) problems.push(`settled at ${closed} s only`);
	for (const host of ['alpha', 'beta']) {
		if (host === each.dead) continue;
		// Allowed is it on a connection: a new one has what the file says.
		const two = last(new RegExp(` ${host} drbd ledger1: (two Primaries|.* Connecting)`));
		if (two?.includes('allowed') === true) problems.push(`${host} allows two: ${two}`);
		const twin = last(new RegExp(` ${host} xl ledger1`));
		if (/--(?:incoming|migratedaway)/.test(twin ?? '')) problems.push(`a twin is left: ${twin}`);
	}
	return problems;
};

for (const [name, each] of Object.entries(breaks)) {
	test(`whenever ${name}, a live migration settles with one owner and leaves nothing`, (t) => {
		// AVA ends a file in which no test ends for ten seconds: a busy machine may take longer for ten worlds.
		t.timeout(60_000);
		for (const stage of stageNames) t.deepEqual(problemsOf(stage, each), [], `once ${stage}`);
	});
}
