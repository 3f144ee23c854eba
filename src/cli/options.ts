import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** A wrong command line; ends with exit code 64. */
export const usageError = (message: string, verb: string): VmpairError =>
	new VmpairError('usage', message, { next: `vmpair help ${verb}` });

/**
 * Reads a verb's arguments strictly. Throws `usage` for an unknown option and when the number of
 * positional arguments is not `positionals`.
 */
export const parseOptions = <Options extends ParseArgsOptionsConfig>(
	verb: string,
	argv: string[],
	options: Options,
	positionals: readonly string[] = [],
) => {
	let parsed;
	try {
		parsed = parseArgs({ args: argv, options, allowPositionals: true, strict: true });
	} catch (error) {
		throw usageError(messageOf(error), verb);
	}
	if (parsed.positionals.length !== positionals.length) {
		const wanted = positionals.length === 0 ? 'no further argument' : positionals.join(' ');
		throw usageError(`"vmpair ${verb}" takes ${wanted}`, verb);
	}
	return parsed;
};
