import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, setPriority } from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Status } from '#src/api/view.ts';
import { demoPair } from '#src/demo/pair.ts';
import { Stage } from '#src/demo/stage.ts';
import { truths } from '#src/demo/truth.ts';

/**
 * Looks for false failovers on an overloaded machine with a bad network: two agents, real TLS, four busy processes
 * for each processor, every hundredth packet between the hosts dropped by the kernel, every piece of a stream late by
 * up to 100 ms (50 ms, give or take 50). Runs in a network namespace of its own, where alone packets are dropped, and
 * ends with 77 where none can be made (it needs unshare, ip and nft). The agents have the priority of their systemd
 * unit when the program runs as root. Prints one JSON object.
 *
 * Usage: `node bench/overload.ts [--minutes 1] [--overload 4] [--loss 1]`. To spare the machine, start it in a control
 * group with a CPU quota: the load is then the same multiple of less.
 */
const { values } = parseArgs({
	options: {
		minutes: { type: 'string', default: '1' },
		/** Busy processes for each processor. */
		overload: { type: 'string', default: '4' },
		/** Of a hundred packets between the hosts, how many are dropped. */
		loss: { type: 'string', default: '1' },
		apart: { type: 'boolean', default: false },
	},
});
const durationMs = Number(values.minutes) * 60_000;
const busy = Math.round(Number(values.overload) * availableParallelism());
const cannot = 77;
/** By their paths: npm puts a program of another package that is called nft in front. */
const ip = '/usr/sbin/ip';
const nft = '/usr/sbin/nft';
/** Longer than any load: nothing is left behind when this program is ended by force. */
const startMs = 120_000;
/** `Nice` of the agent's systemd unit. */
const agentNice = -15;
const delayMs = (): number => Math.random() * 100;

const wait = async (ms: number): Promise<void> =>
	await new Promise((resolve) => setTimeout(resolve, ms));

/** Starts this program anew in a network namespace of its own. */
const goApart = (): number => {
	const root = process.getuid?.() === 0;
	const words = ['--net', ...(root ? [] : ['--map-root-user'])];
	const trial = spawnSync('unshare', [
		...words,
		'sh',
		'-c',
		`${ip} link set lo up && ${nft} list ruleset`,
	]);
	if (trial.status !== 0) {
		console.error(`cannot be run here: ${trial.error?.message ?? trial.stderr.toString()}`);
		return cannot;
	}
	const self = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
	const { status } = spawnSync('unshare', [...words, ...self, '--apart'], { stdio: 'inherit' });
	return status ?? 1;
};

/** The priority of the unit for all that is started from here; false when this user may not. */
const hurry = (): boolean => {
	try {
		setPriority(agentNice);
		return true;
	} catch {
		return false;
	}
};

/** Drops packets from and to the ports on which the agents listen: between cable and agent, both ways. */
const losePackets = (stage: Stage): void => {
	const text = readFileSync(stage.hosts[0]?.files.configFile ?? '', 'utf8');
	const ports = [...text.matchAll(/"port": (\d+)/g)].map(([, port]) => port).join(', ');
	const chance = `counter numgen random mod 100 < ${Number(values.loss)} counter drop`;
	const rules = [
		'table inet overload {',
		'chain input { type filter hook input priority 0;',
		`tcp dport { ${ports} } ${chance};`,
		`tcp sport { ${ports} } ${chance};`,
		'}',
		'}',
	];
	execFileSync(nft, ['-f', '-'], { input: `${rules.join('\n')}\n` });
};

/** Busy processes of normal priority that end by themselves. */
const burn = (nice: boolean) => {
	const script = `const end = Date.now() + ${durationMs + startMs}; while (Date.now() < end && process.ppid === ${process.pid});`;
	return Array.from({ length: busy }, () =>
		spawn('nice', ['-n', String(nice ? -agentNice : 0), process.execPath, '-e', script], {
			stdio: 'ignore',
		}),
	);
};

/** What the kernel of this network namespace counts for TCP. */
const tcpCount = (name: string): number => {
	const [names = '', numbers = ''] = readFileSync('/proc/self/net/snmp', 'utf8')
		.split('\n')
		.filter((line) => line.startsWith('Tcp:'));
	return Number(numbers.split(' ')[names.split(' ').indexOf(name)]);
};

/** Packets between the hosts: all that were sent, and those that were dropped. */
const packets = (): { readonly packetsSent: number; readonly packetsLost: number } => {
	const text = execFileSync(nft, ['list', 'ruleset'], { encoding: 'utf8' });
	const counters = [...text.matchAll(/packets (\d+)/g)].map(([, number]) => Number(number));
	const [toSent = 0, toLost = 0, fromSent = 0, fromLost = 0] = counters;
	return { packetsSent: toSent + fromSent, packetsLost: toLost + fromLost };
};

const statuses = async (stage: Stage): Promise<readonly (Status | null)[]> =>
	await Promise.all(stage.hosts.map(async ({ client }) => await client.status().catch(() => null)));

const protectedWithin = async (stage: Stage, limitMs: number): Promise<boolean> => {
	const endMs = performance.now() + limitMs;
	while (performance.now() < endMs) {
		if ((await statuses(stage)).every((status) => status?.verdict === 'protected')) return true;
		await wait(500);
	}
	return false;
};

const runsOn = (stage: Stage): string =>
	truths(stage.simulation)
		.map(({ vm, runsOn: hosts }) => `${vm}@${hosts.join('+')}`)
		.join(' ');

const logs = (stage: Stage): string =>
	stage.hosts.map(({ files }) => readFileSync(files.logFile, 'utf8')).join('');

const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length;

/** Runs the load on a stage that is set, and tells what came of it. */
const measure = async (stage: Stage, nice: boolean) => {
	losePackets(stage);
	const before = { places: runsOn(stage), log: logs(stage), events: stage.events.length };
	const againBefore = tcpCount('RetransSegs');
	const burners = burn(nice);
	const beganMs = performance.now();
	while (performance.now() - beganMs < durationMs) await wait(1000);
	const tcp = { ...packets(), sentAgain: tcpCount('RetransSegs') - againBefore };
	const counters = (await statuses(stage)).map((status) => status?.heartbeat);
	const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
	for (const burner of burners) burner.kill('SIGKILL');
	const said = logs(stage).slice(before.log.length);
	const happened = stage.events.slice(before.events).map(({ what }) => what);
	const worst = (of: 'worstBeatGapMs' | 'worstSendGapMs'): number | null =>
		counters.includes(undefined)
			? null
			: Math.max(...counters.map((each) => Math.round(each?.[of] ?? 0)));
	const sum = (of: 'beatsReceived' | 'disconnections' | 'unacknowledged'): number =>
		counters.reduce((total, each) => total + (each?.[of] ?? 0), 0);
	return {
		minutes: Number(values.minutes),
		processors: availableParallelism(),
		busyProcesses: burners.length,
		loadAverage: Number(load),
		agentNice: nice ? agentNice : 0,
		...tcp,
		worstBeatGapMs: worst('worstBeatGapMs'),
		worstSendGapMs: worst('worstSendGapMs'),
		beatsReceived: sum('beatsReceived'),
		reconnects: sum('disconnections'),
		unacknowledged: sum('unacknowledged'),
		/** Three beats were missed on both links; nothing acts on that but a question to the fence device. */
		suspicions: count(said, /peer status change .* to="suspect"/g),
		/** Silent for the detection time on both links: what a failover begins with. */
		silences: count(said, /peer status change .* to="(agent-down|lost|out)"/g),
		stalls: count(said, /this agent was stalled/g),
		agentsEnded: happened.filter((what) => what === 'agent-ended').length,
		failovers: happened.filter((what) => what === 'powered-off-by-fence' || what === 'vm-runs')
			.length,
		placesKept: runsOn(stage) === before.places,
		violations: stage.simulation.violations,
		protectedAtTheEnd: await protectedWithin(stage, 60_000),
	};
};

const main = async (): Promise<number> => {
	if (!values.apart) return goApart();
	execFileSync(ip, ['link', 'set', 'lo', 'up']);
	const nice = hurry();
	const stage = await Stage.set({
		world: demoPair,
		third: null,
		prepare: async () => {},
		program: fileURLToPath(new URL('../src/main.ts', import.meta.url)),
		seed: 1,
		onEvent: () => {},
		trace: null,
		delayMs,
	});
	try {
		if (!(await protectedWithin(stage, startMs))) {
			console.error(`the agents never met:\n${logs(stage).slice(-4000)}`);
			return 1;
		}
		console.log(JSON.stringify(await measure(stage, nice)));
		return 0;
	} finally {
		await stage.close(false);
	}
};

process.exitCode = await main();
