import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { demoPair } from '#src/demo/pair.ts';
import { Stage } from '#src/demo/stage.ts';
import {
	allProtected,
	places,
	program,
	statusOf,
	until,
	vmpair,
	writesGoOn,
} from '#test/process/stage.ts';

/** Runs in a mount namespace of its own: the disk of one agent's state fills up, and has room again. */
const host = 'north';
const stage = await Stage.set({
	world: demoPair,
	third: null,
	prepare: async ({ sim, files }) => {
		if (sim.name !== host) return;
		const folder = dirname(files.stateFile);
		const kept = `${folder}.kept`;
		cpSync(folder, kept, { recursive: true });
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=700', 'vmpair', folder]);
		cpSync(kept, folder, { recursive: true });
	},
	program,
	seed: 1,
	onEvent: (event) => console.log(JSON.stringify(event)),
	trace: null,
});
const { stateFile } = stage.host(host).files;
const folder = dirname(stateFile);
const filler = join(folder, 'filler');

/** Fills the disk to its last byte. */
const fill = (): void => {
	const file = openSync(filler, 'a');
	for (const size of [65_536, 4096, 1])
		try {
			for (;;) writeSync(file, Buffer.alloc(size));
		} catch {
			// No room for this much.
		}
	closeSync(file);
};

const conditionNames = async (): Promise<readonly string[] | undefined> =>
	(await statusOf(stage, host))?.conditions.map(({ name }) => name);

const agentsEnded = (): number =>
	stage.events.filter(({ what, host: of }) => what === 'agent-ended' && of === host).length;

try {
	await allProtected(stage);
	const before = places(stage);
	fill();
	// Something to be written down, and nothing to be decided.
	const refused = await vmpair(stage, host, 'takeover', '--confirm-dead', 'south', '--json');
	assert.equal(refused.exitCode, 2, refused.stderr);
	await until('it says that its disk takes nothing', async () => {
		fill();
		return (await conditionNames())?.includes('state-disk') === true;
	});
	await until('it says that nothing is protected by it', async () => {
		const status = await statusOf(stage, host);
		return status?.verdict === 'unprotected' && status.reason.includes('ENOSPC');
	});
	assert.equal(agentsEnded(), 0);

	// A decision: it must be durable before anything of it is done.
	const state = readFileSync(stateFile, 'utf8');
	const answer = await vmpair(stage, host, 'stop', 'batch');
	assert.equal(answer.exitCode, 75, answer.stderr);
	await until('the agent has ended', () => agentsEnded() === 1);
	assert.match(
		readFileSync(stage.host(host).files.logFile, 'utf8'),
		/the agent stops: .*state\.json could not be written: ENOSPC/,
	);
	assert.equal(readFileSync(stateFile, 'utf8'), state);
	await until('the next one says the same', async () => {
		fill();
		return (await conditionNames())?.includes('state-disk') === true;
	});
	assert.equal(places(stage), before);
	await writesGoOn(stage);

	rmSync(filler);
	await allProtected(stage);
	await until('it says that all is well', async () => (await conditionNames())?.length === 0);
	assert.equal(places(stage), before);
	const again = await vmpair(stage, host, 'stop', 'batch');
	assert.equal(again.exitCode, 0, again.stderr);
	await until('what was refused before is done', () => places(stage).includes('batch@ '));
	assert.deepEqual(stage.simulation.violations, []);
	assert.ok(!stage.events.some(({ what }) => what === 'vm-runs'));
} finally {
	await stage.close(true);
	execFileSync('umount', [folder]);
	rmSync(stage.folder, { recursive: true });
}
