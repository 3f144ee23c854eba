/**
 * `npm run lab -- SCENARIO [--json] [--keep]`: runs one scenario on two real Xen hosts, emulated on this machine.
 * `npm run lab -- migrate-beside-xl [--json] [--rounds 1]`: measures live migrations beside bare xl's (beside-xl.ts).
 * Exit code 0 passed, 1 failed, 2 usage, 77 this machine cannot run the lab.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { parseScenario } from '#src/sim/scenario.ts';
import { besideXl, besideXlName } from './beside-xl.ts';
import { unsupported } from './fault.ts';
import { comparisonText } from './migration-times.ts';
import { missingPrerequisites } from './prerequisites.ts';
import { reportText } from './report.ts';
import { readScenario, runScenario } from './run.ts';
import { progress } from './tool.ts';

const root = join(import.meta.dirname, '../..');
const skipped = 77;

const cleanups: (() => Promise<void>)[] = [];
const abort = new AbortController();

async function cleanUp(): Promise<void> {
	for (const cleanup of cleanups.toReversed()) await cleanup().catch(() => {});
}

function endOn(signal: NodeJS.Signals, code: number): void {
	// Not `once`: a handler that is gone again makes a library that listens too end the process at once.
	process.on(signal, () => {
		if (abort.signal.aborted) return;
		progress(`${signal}: cleaning up`);
		abort.abort(new Error(`ended by ${signal}`));
		void cleanUp().finally(() => process.exit(code));
	});
}

async function main(): Promise<number> {
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			json: { type: 'boolean', default: false },
			keep: { type: 'boolean', default: false },
			rounds: { type: 'string', default: '1' },
		},
	});
	const [name] = positionals;
	if (name === undefined || positionals.length > 1) {
		process.stderr.write(
			'usage: npm run lab -- SCENARIO [--json] [--keep] | migrate-beside-xl [--rounds N]\n',
		);
		return 2;
	}
	const missing = await missingPrerequisites();
	if (missing.length > 0) {
		process.stderr.write(`lab skipped: ${missing.join('; ')}\n`);
		return skipped;
	}
	const session = {
		root,
		signal: abort.signal,
		onCleanup: (cleanup: () => Promise<void>) => cleanups.push(cleanup),
	};
	const print = (value: object, text: string): unknown =>
		process.stdout.write(`${values.json ? JSON.stringify(value, null, '\t') : text}\n`);
	if (name === besideXlName) {
		const comparison = await besideXl({ ...session, rounds: Number(values.rounds) });
		print(comparison, comparisonText(comparison));
		return comparison.failures.length === 0 ? 0 : 1;
	}
	const scenario = parseScenario(parse(await readScenario(root, name)));
	const impossible = unsupported(scenario.steps);
	if (impossible.length > 0) throw new Error(`the lab cannot do ${impossible.join(', ')}`);
	const report = await runScenario({ ...session, scenario, keep: values.keep });
	print(report, reportText(report));
	return report.passed ? 0 : 1;
}

endOn('SIGINT', 130);
endOn('SIGTERM', 143);
endOn('SIGHUP', 129);
try {
	process.exitCode = await main();
} catch (thrown) {
	if (!abort.signal.aborted) {
		process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
		await cleanUp();
		process.exitCode = 1;
	}
}
