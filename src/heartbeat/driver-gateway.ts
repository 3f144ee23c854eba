import type { Tools } from '#src/std/tool.ts';

/** How often gateways are asked, ms; the engine counts an answer of the last 60 s (rule L4). */
const intervalMs = 2000;
const limitMs = 1500;

/**
 * Asks the gateways of the switched links with one ping each, again and again. `onAnswer` gets whether
 * any of them answered (null when none could be asked): a host that lost them all is cut off itself and
 * must not fence its peer. The returned function ends it.
 */
export const watchGateways = (
	tools: Tools,
	addresses: readonly string[],
	onAnswer: (answers: boolean | null) => void,
): (() => void) => {
	let asking = false;
	const ask = async (): Promise<void> => {
		if (asking) return;
		asking = true;
		const ends = await Promise.all(
			addresses.map((address) =>
				tools.run({ file: 'ping', args: ['-n', '-q', '-c', '1', '-W', '1', address], limitMs }),
			),
		);
		asking = false;
		const answers = ends.some((end) => end.end === 'exited' && end.exitCode === 0);
		// A ping that could not be started says nothing of the network.
		const asked = ends.some((end) => end.end === 'exited');
		onAnswer(answers ? true : asked ? false : null);
	};
	if (addresses.length === 0) return () => {};
	void ask();
	const timer = setInterval(() => void ask(), intervalMs);
	return () => clearInterval(timer);
};
