import { createInterface } from 'node:readline/promises';
import { VmpairError } from '#src/std/error.ts';

/** Asks on the terminal and returns the answer without spaces around it. */
const ask = async (question: string): Promise<string> => {
	const terminal = createInterface({ input: process.stdin, output: process.stderr });
	try {
		return (await terminal.question(question)).trim();
	} finally {
		terminal.close();
	}
};

/** Ends the command unless the person types `name`: a slip of the finger must not cost data. */
export const askName = async (name: string, what: string): Promise<void> => {
	const typed = await ask(`Type the ${what}'s name to go on: `);
	if (typed === name) return;
	throw new VmpairError('not-confirmed', `"${typed}" is not "${name}": nothing was done`, {
		next: 'run the command again when you are sure',
	});
};
