import process from 'node:process';

/** Argument list to exit code; every verb is a file of its own that is loaded when it is called. */
type Verb = (argv: string[]) => Promise<number>;

const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
	help: async () => (await import('#src/cli/help.ts')).help,
};

const main = async (argv: string[]): Promise<number> => {
	const [name = 'help', ...rest] = argv;
	const load = verbs[name] ?? verbs['help']!;
	return (await load())(rest);
};

process.exitCode = await main(process.argv.slice(2));
