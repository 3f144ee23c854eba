import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { demoPair } from '#src/demo/pair.ts';
import { Stage } from '#src/demo/stage.ts';
import { version } from '#src/version.ts';
import { bundle } from '../deploy/bundle.ts';

/**
 * How long `vmpair status` takes from its start to its end, as the package installs it and as a checkout runs it, with
 * the peer alive and with the peer dead, against real agents on simulated hosts. `node` is Node itself, which does
 * nothing: what nobody can save. The kinds take turns, so that a busy machine is busy for all. Prints one JSON object,
 * in ms; ends with 1 when the p50 of the package is over the target.
 *
 * Usage: `node bench/status.ts [--runs 40] [--target 150]`
 */
const { values } = parseArgs({
	options: {
		runs: { type: 'string', default: '40' },
		target: { type: 'string', default: '150' },
	},
});
const runs = Number(values.runs);
const targetMs = Number(values.target);
const limitMs = 60_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const checkout = join(root, 'src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'vmpair-bench-'));
await bundle(root, folder, version);

const stage = await Stage.set({
	world: demoPair,
	third: null,
	prepare: async () => {},
	program: checkout,
	seed: 1,
	onEvent: () => {},
	trace: null,
});

const until = async (what: string, seen: () => Promise<boolean>): Promise<void> => {
	const end = performance.now() + limitMs;
	for (;;) {
		// An agent that is just starting does not answer yet.
		if (await seen().catch(() => false)) return;
		if (performance.now() > end) throw new Error(`not seen within ${limitMs} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
};

const { client, files } = stage.host('south');
const words = ['status', '--socket', join(files.runFolder, 'agent.sock')];
const commands: Readonly<Record<string, readonly string[]>> = {
	node: ['-e', '0'],
	package: [join(folder, 'main.js'), ...words],
	checkout: [checkout, ...words],
};

/** The hosts and the cables between them live in this process: it must not stand still meanwhile. */
const time = async (command: readonly string[], seen: RegExp | null): Promise<number> => {
	const startMs = performance.now();
	const stdout = await new Promise<string>((resolve, reject) => {
		execFile(process.execPath, command, { timeout: limitMs }, (error, text) => {
			if (error === null) resolve(text);
			else reject(error);
		});
	});
	const tookMs = performance.now() - startMs;
	if (seen !== null && !seen.test(stdout))
		throw new Error(`this is not what is measured: ${stdout}`);
	return tookMs;
};

const rounded = (ms: number | undefined): number => Math.round((ms ?? Number.NaN) * 10) / 10;

/** Of all kinds; `seen` is on the screen. */
const measure = async (seen: RegExp) => {
	const took = new Map<string, number[]>(Object.keys(commands).map((kind) => [kind, []]));
	// The first run of each fills the caches of the disk.
	for (let run = -1; run < runs; run += 1)
		for (const [kind, command] of Object.entries(commands)) {
			const ms = await time(command, kind === 'node' ? null : seen);
			if (run >= 0) took.get(kind)?.push(ms);
		}
	return Object.fromEntries(
		[...took].map(([kind, all]) => {
			const sorted = all.toSorted((one, other) => one - other);
			const at = (share: number) => rounded(sorted[Math.floor(share * (sorted.length - 1))]);
			return [kind, { p50: at(0.5), p90: at(0.9), best: at(0) }];
		}),
	);
};

try {
	await until('the pair is protected', async () => (await client.status()).verdict === 'protected');
	const alive = await measure(/north +online/);
	stage.powerCut('north');
	await until('every VM runs on the survivor', async () => {
		const { vms } = await client.status();
		return vms.every(({ state, runsOn }) => state === 'running' && runsOn === 'south');
	});
	const dead = await measure(/north +out/);
	const load = loadavg().map(rounded);
	console.log(JSON.stringify({ runs, targetMs, load, alive, dead }, null, '\t'));
	const slow = [alive, dead].some(({ package: took }) => !((took?.p50 ?? Infinity) <= targetMs));
	process.exitCode = slow ? 1 : 0;
} finally {
	await stage.close(false);
	rmSync(folder, { recursive: true });
}
