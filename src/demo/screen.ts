import { isUnanswered } from '#src/api/driver-client.ts';
import { statusLines } from '#src/cli/status-text.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { paint } from '#src/cli/text.ts';
import type { Stage, StageEvent } from '#src/demo/stage.ts';
import { truths } from '#src/demo/truth.ts';
import { messageOf } from '#src/std/error.ts';

/** Time since the demo began, right-aligned. */
export const seconds = (atMs: number): string => `${(atMs / 1000).toFixed(1).padStart(6)} s`;

/** One event as a line. */
export const eventText = ({ atMs, what, host, vm }: StageEvent): string =>
	`${seconds(atMs)}  ${what.replaceAll('-', ' ')}: ${vm === '' ? host : `${vm} on ${host}`}`;

/** An agent that has not answered for so long after its start is not only starting, ms. */
const startingMs = 10_000;

/** What `vmpair status` shows on a host now; its error when the agent does not answer. */
export const viewLines = async (
	stage: Stage,
	host: string,
	look: { readonly columns: number; readonly colour: boolean },
): Promise<string[]> => {
	try {
		return statusLines(await stage.host(host).client.status(), look);
	} catch (error) {
		// In its first seconds an agent has no socket yet; nobody has to do anything about it.
		const { agent, startedMs } = stage.host(host);
		if (isUnanswered(error) && agent !== null && performance.now() - startedMs < startingMs)
			return [paint(`${host}: the agent is starting`, 'warn', look.colour)];
		return [paint(`${host}: ${messageOf(error)}`, 'bad', look.colour)];
	}
};

/** What is really so, in the world behind the agents: the promises, checked all the time. */
const truthLine = (stage: Stage, colour: boolean): string => {
	const { simulation } = stage;
	const each = truths(simulation);
	const writes = each.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
	const twice = each.filter(({ runsOn }) => runsOn.length > 1).map(({ vm }) => vm);
	const lost = each.filter(({ intact }) => !intact).map(({ vm }) => vm);
	if (simulation.violations.length === 0 && twice.length === 0 && lost.length === 0) {
		return paint(
			`in truth: no VM runs twice, all ${writes} acknowledged writes are there`,
			'good',
			colour,
		);
	}
	const broken = simulation.violations.map(({ message }) => message).join('; ');
	return paint(`A PROMISE IS BROKEN: ${broken || [...twice, ...lost].join(', ')}`, 'bad', colour);
};

interface Key {
	readonly key: string;
	readonly label: (stage: Stage) => string;
	readonly act: (stage: Stage) => void;
}

const powerKey = (key: string, index: 0 | 1): Key => ({
	key,
	label: ({ hosts }) => {
		const sim = hosts[index]?.sim;
		return `${sim?.mains === true ? 'cut' : 'restore'} the power of ${sim?.name ?? ''}`;
	},
	act: (stage) => {
		const sim = stage.hosts[index]?.sim;
		if (sim?.mains === true) stage.powerCut(sim.name);
		else if (sim !== undefined) stage.powerOn(sim.name);
	},
});

const isCut = (stage: Stage, network: string): boolean =>
	stage.simulation.networks.some(({ name, cutAll }) => name === network && cutAll[0]);

const cableKey = (key: string, network: string): Key => ({
	key,
	label: (stage) => `${isCut(stage, network) ? 'mend' : 'cut'} ${network}`,
	act: (stage) => (isCut(stage, network) ? stage.mend(network) : stage.cut(network)),
});

const killKey = (key: string, index: 0 | 1): Key => ({
	key,
	label: ({ hosts }) => `kill the agent on ${hosts[index]?.sim.name ?? ''}`,
	act: (stage) => {
		const name = stage.hosts[index]?.sim.name;
		if (name !== undefined) stage.killAgent(name, agentDownMs);
	},
});

/** Long enough to see that nothing happens to any VM. */
const agentDownMs = 5000;

const keys: readonly Key[] = [
	powerKey('1', 0),
	powerKey('2', 1),
	cableKey('m', 'management'),
	cableKey('r', 'replication'),
	killKey('3', 0),
	killKey('4', 1),
];

const redrawMs = 400;
const eventsShown = 6;
const enterScreen = '\u001b[?1049h\u001b[?25l';
const leaveScreen = '\u001b[?25h\u001b[?1049l';

const screenText = async (stage: Stage, host: string, around: Surroundings): Promise<string> => {
	const menu = keys.map(({ key, label }) => `[${key}] ${label(stage)}`);
	const other = stage.hosts.find(({ sim }) => sim.name !== host)?.sim.name ?? host;
	const lines = [
		paint(
			'vmpair demo: simulated hosts, real agents, real TLS; this machine is not touched',
			'strong',
			around.colour,
		),
		`${menu.slice(0, 2).join('  ')}  [v] look from ${other}  [q] quit`,
		menu.slice(2).join('  '),
		'',
		...(await viewLines(stage, host, around)),
		'',
		truthLine(stage, around.colour),
		...stage.events
			.slice(-eventsShown)
			.map((event) => paint(eventText(event), 'dim', around.colour)),
	];
	const rows = process.stdout.rows || 40;
	return `\u001b[H${lines
		.slice(0, rows - 1)
		.map((line) => `${line}\u001b[K`)
		.join('\n')}\u001b[J`;
};

/** Shows the pair live and takes keys, until `q` or Ctrl-C. */
export const play = async (stage: Stage, around: Surroundings): Promise<number> => {
	let host = stage.hosts.at(-1)?.sim.name ?? '';
	let done = false;
	let wake = (): void => {};
	const press = (key: string): void => {
		if (key === 'q' || key === '\u0003') done = true;
		else if (key === 'v') host = stage.hosts.find(({ sim }) => sim.name !== host)?.sim.name ?? host;
		else keys.find((each) => each.key === key)?.act(stage);
		wake();
	};
	const onData = (data: Buffer): void => data.toString('latin1').split('').forEach(press);
	process.stdin.setRawMode(true);
	process.stdin.on('data', onData);
	process.stdout.write(enterScreen);
	try {
		while (!done) {
			process.stdout.write(await screenText(stage, host, around));
			await new Promise<void>((resolve) => {
				wake = resolve;
				setTimeout(resolve, redrawMs);
			});
		}
	} finally {
		process.stdout.write(leaveScreen);
		process.stdin.off('data', onData);
		process.stdin.setRawMode(false);
		process.stdin.pause();
	}
	return 0;
};
