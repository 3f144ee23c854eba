/** Runs `task` again and again, each time after as many ms as it returned. The returned function ends it. */
export const repeat = (task: () => Promise<number>): (() => void) => {
	let timer: NodeJS.Timeout | undefined;
	let stopped = false;
	const round = async (): Promise<void> => {
		const pauseMs = await task();
		if (!stopped) timer = setTimeout(() => void round(), pauseMs);
	};
	void round();
	return () => {
		stopped = true;
		clearTimeout(timer);
	};
};
