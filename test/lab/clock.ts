/** One clock for the whole story: how far each host's wall clock is from the outer machine's. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { sshCommand, type Place } from './host.ts';
import type { LabHost } from './world.ts';

export type Offset = {
	/** Add this to a host's time to get the outer machine's, in ms. */
	readonly addMs: number;
	/** Half the round trip of the best sample: the true offset is this near. */
	readonly plusMinusMs: number;
};

/** Measures a host's clock over one shell, keeping the sample with the shortest round trip. */
export async function measureClock(place: Place, host: LabHost, samples = 8): Promise<Offset> {
	const [command, args] = sshCommand(place, host, 'while read -r _; do date +%s%N; done');
	const shell = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'], timeout: 60_000 });
	const lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]();
	let best: Offset | undefined;
	try {
		for (let at = 0; at < samples; at++) {
			const sentMs = performance.now();
			const wallMs = performance.timeOrigin + sentMs;
			shell.stdin.write('\n');
			const line = await lines.next();
			if (line.done === true) throw new Error(`${host.name} did not tell its time`);
			const half = (performance.now() - sentMs) / 2;
			const hostMs = Number(line.value.slice(0, -3)) / 1000;
			const offset = { addMs: wallMs + half - hostMs, plusMinusMs: half };
			if (best === undefined || half < best.plusMinusMs) best = offset;
		}
	} finally {
		shell.kill();
	}
	if (best === undefined) throw new Error('a clock needs at least one sample');
	return best;
}
