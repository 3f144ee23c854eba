/** Has a guest use CPU: the process beside the ledger in every lab guest does as the lab says (ledger.c). */
import { fileURLToPath } from 'node:url';
import { run } from './tool.ts';

/** As in ledger.c. */
const loadPort = 7002;
const order = fileURLToPath(new URL('./order.ts', import.meta.url));

/**
 * From now on the guest at this address uses this share of one CPU beside its writing, 0 to 100, until it is told
 * otherwise or boots anew; a live migration changes nothing of it. `command` makes the command line that runs a program
 * where the guest can be reached. Throws when the guest does not answer within ten seconds.
 */
export async function setLoad(
	command: (...words: string[]) => [string, string[]],
	address: string,
	percent: number,
): Promise<void> {
	const words = [process.execPath, order, address, String(loadPort), `load ${percent}`];
	await run(...command(...words), { timeoutMs: 20_000 });
}
