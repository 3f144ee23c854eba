import { dirname, join } from 'node:path';
import process from 'node:process';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { withPages } from '#src/cli/text.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

type Verb = (argv: string[], around: Surroundings) => Promise<number>;

/** Each verb is loaded when it is called: `vmpair status` must answer at once, also on a loaded host. */
const verbs: ReadonlyMap<string, () => Promise<Verb>> = new Map([
	['ack', async () => (await import('#src/cli/ack.ts')).ack],
	['agent', async () => (await import('#src/cli/agent.ts')).agent],
	['alert', async () => (await import('#src/cli/alert.ts')).alert],
	['arm', async () => (await import('#src/cli/arm.ts')).arm],
	['check', async () => (await import('#src/cli/check.ts')).check],
	['completion', async () => (await import('#src/cli/completion.ts')).completion],
	['balance', async () => (await import('#src/cli/balance.ts')).balance],
	['config', async () => (await import('#src/cli/config.ts')).config],
	['demo', async () => (await import('#src/cli/demo.ts')).demo],
	['disarm', async () => (await import('#src/cli/disarm.ts')).disarm],
	['doctor', async () => (await import('#src/cli/doctor.ts')).doctor],
	['drill', async () => (await import('#src/cli/drill.ts')).drill],
	['evacuate', async () => (await import('#src/cli/evacuate.ts')).evacuate],
	['explain', async () => (await import('#src/cli/explain.ts')).explain],
	['fence', async () => (await import('#src/cli/fence.ts')).fence],
	['feeder', async () => (await import('#src/cli/feeder.ts')).feeder],
	['help', async () => (await import('#src/cli/help.ts')).help],
	['history', async () => (await import('#src/cli/history.ts')).history],
	['keygen', async () => (await import('#src/cli/keygen.ts')).keygen],
	['leave', async () => (await import('#src/cli/leave.ts')).leave],
	['migrate', async () => (await import('#src/cli/migrate.ts')).migrate],
	['migrate-receive', async () => (await import('#src/cli/migrate-receive.ts')).receive],
	['migrate-send', async () => (await import('#src/cli/migrate-send.ts')).send],
	['move', async () => (await import('#src/cli/move.ts')).move],
	['pause', async () => (await import('#src/cli/pause.ts')).pause],
	['post-mortem', async () => (await import('#src/cli/post-mortem.ts')).postMortem],
	['reload', async () => (await import('#src/cli/reload.ts')).reload],
	['report', async () => (await import('#src/cli/report.ts')).report],
	['resume', async () => (await import('#src/cli/resume.ts')).resume],
	['simulate', async () => (await import('#src/cli/simulate.ts')).simulate],
	['split-brain', async () => (await import('#src/cli/split-brain.ts')).splitBrain],
	['standby', async () => (await import('#src/cli/standby.ts')).standby],
	['start', async () => (await import('#src/cli/start.ts')).start],
	['status', async () => (await import('#src/cli/status.ts')).status],
	['stop', async () => (await import('#src/cli/stop.ts')).stop],
	['takeover', async () => (await import('#src/cli/takeover.ts')).takeover],
	['watchdog', async () => (await import('#src/cli/watchdog.ts')).watchdog],
	['what-if', async () => (await import('#src/cli/what-if.ts')).whatIf],
	['witness', async () => (await import('#src/cli/witness.ts')).witness],
]);

/** Exit codes of errors that have one of their own. */
const exitCodes: ReadonlyMap<string, number> = new Map([
	['usage', exit.usage],
	['unknown-vm', exit.usage],
	['unknown-host', exit.usage],
	['unknown-subject', exit.usage],
	['unknown-receiver', exit.usage],
	['unknown-incident', exit.usage],
	['wrong-host', exit.usage],
	['unknown-link', exit.usage],
	['unexpected', exit.software],
	['agent-unreachable', exit.unreachable],
	['agent-slow', exit.unreachable],
	['answer-overdue', exit.inProgress],
	['not-permitted', exit.notPermitted],
	['not-confirmed', exit.refused],
	['config-invalid', exit.config],
	['watchdog-not-configured', exit.config],
	['watchdog-test-refused', exit.refused],
	['witness-not-configured', exit.config],
	['witness-file', exit.config],
	['state-corrupt', exit.dataDamaged],
	['state-foreign', exit.dataDamaged],
	['state-newer-format', exit.dataDamaged],
]);

const wantsColour = (): boolean => {
	const { NO_COLOR: never = '', FORCE_COLOR: always = '', TERM: terminal } = process.env;
	if (never !== '') return false;
	if (always !== '') return always !== '0';
	return process.stdout.isTTY && terminal !== 'dumb';
};

/** Takes `--socket PATH` and `--state PATH`, which every verb has, out of the arguments. */
const takeOption = (argv: string[], name: string): string | undefined => {
	const index = argv.indexOf(name);
	return index === -1 ? undefined : argv.splice(index, 2)[1];
};

/** A checkout has its documents beside `src`, the package where Debian wants them. */
const documentsOf = (program: string): string =>
	program.endsWith('.ts') ? join(dirname(program), '../docs') : '/usr/share/doc/vmpair';

const surroundings = (argv: string[]): Surroundings => {
	const { SUDO_USER: sudo, USER: user, COLUMNS: columns } = process.env;
	return {
		socketPath: takeOption(argv, '--socket') ?? '/run/vmpair/agent.sock',
		stateFolder: takeOption(argv, '--state') ?? '/var/lib/vmpair',
		documents: documentsOf(process.argv[1] ?? ''),
		program: process.argv[1] ?? '',
		user: sudo ?? user ?? `uid ${process.getuid?.() ?? 0}`,
		interactive: process.stdin.isTTY && process.stdout.isTTY,
		colour: wantsColour(),
		columns: process.stdout.columns || Number(columns) || 80,
		print: (line) => void process.stdout.write(`${line}\n`),
		warn: (line) => void process.stderr.write(`${line}\n`),
	};
};

const tellError = (error: unknown, json: boolean, around: Surroundings): number => {
	const known = error instanceof VmpairError;
	const code = known ? error.code : 'unexpected';
	const next = known ? error.next : 'report this with the output of "vmpair history"';
	const step = withPages(next, around.documents);
	const message = messageOf(error);
	if (json) around.print(JSON.stringify({ error: { code, message, next } }));
	around.warn(`vmpair: ${message}`);
	if (step !== '') around.warn(`  next: ${step}`);
	if (!known && error instanceof Error) around.warn(error.stack ?? '');
	return exitCodes.get(code) ?? exit.failed;
};

const main = async (argv: string[]): Promise<number> => {
	const around = surroundings(argv);
	const [name = 'help', ...rest] = argv;
	const asksHelp =
		['-h', '--help', '--version'].includes(name) || rest.includes('--help') || rest.includes('-h');
	const load = asksHelp ? verbs.get('help') : verbs.get(name);
	try {
		if (load === undefined) {
			const { unknownVerb } = await import('#src/cli/names.ts');
			throw unknownVerb(name, [...verbs.keys()]);
		}
		const verb = await load();
		return await verb(asksHelp ? [name] : rest, around);
	} catch (error) {
		return tellError(error, rest.includes('--json'), around);
	}
};

// A reader that goes away (`vmpair history | head`) ends a command and is no error. It never ends the
// agent, whose own journal still has every line when journald is restarted, and never the feeder.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (process.argv[2] === 'agent' || process.argv[2] === 'feeder') return;
	if (error.code === 'EPIPE') process.exit();
	throw error;
});

process.exitCode = await main(process.argv.slice(2));
