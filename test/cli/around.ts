import type { Surroundings } from '#src/cli/surroundings.ts';

/** Surroundings of a verb without a terminal, and what the verb said in them. */
export const createAround = (changes: Partial<Surroundings> = {}) => {
	const printed: string[] = [];
	const warned: string[] = [];
	const around: Surroundings = {
		documents: '/usr/share/doc/vmpair',
		program: 'vmpair',
		socketPath: '/nonexistent/agent.sock',
		stateFolder: '/nonexistent',
		user: 'root',
		interactive: false,
		colour: false,
		columns: 80,
		print: (line) => void printed.push(line),
		warn: (line) => void warned.push(line),
		...changes,
	};
	return { around, printed, warned };
};
