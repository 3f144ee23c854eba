import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { formatDuration, parseDuration } from '#src/std/duration.ts';
import { pauseMaxMs } from '#src/store/record.ts';

const maximum = formatDuration(pauseMaxMs);

/** `vmpair pause [--for 1h] --reason TEXT`: automatic action rests for a while, on both hosts; VMs go on. */
export const pause = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('pause', argv, {
		...actOptions,
		for: { type: 'string', default: '1h' },
		reason: { type: 'string', default: '' },
	});
	const forMs = parseDuration(values.for);
	if (forMs === null || forMs < 1)
		throw usageError('--for takes a duration such as 30m or 2h', 'pause');
	if (forMs > pauseMaxMs)
		throw usageError(
			`a pause lasts ${maximum} at most; "vmpair disarm" has no end of its own`,
			'pause',
		);
	if (values.reason === '')
		throw usageError('say why, for those who look at the status: --reason TEXT', 'pause');
	const until = new Date(Date.now() + forMs).toISOString();
	return await act(
		{ verb: 'pause', by: around.user, reason: values.reason, forMs, until },
		{
			reached: (status) => status.pause !== null,
			vm: null,
			done: `paused until ${until}`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
