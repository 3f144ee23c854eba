import { movingMs, stoppingMs } from '#src/api/shutdown.ts';
import type { Status } from '#src/api/view.ts';
import { isUnanswered } from '#src/api/driver-client.ts';
import { act, type Goal } from '#src/cli/act.ts';
import { leaveGoal, staysAfterAll } from '#src/cli/leave.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { hostConfig } from '#src/config/config.ts';
import { defaultConfigFile, loadConfig } from '#src/config/driver.ts';
import { tools } from '#src/std/driver-tool.ts';

const systemMs = 10_000;

/** True when the whole host is shutting down; a unit is also stopped by itself, by a person or a package. */
const isShuttingDown = async (): Promise<boolean> => {
	const args = ['is-system-running'];
	const ended = await tools.run({ file: 'systemctl', args, limitMs: systemMs });
	return ended.end === 'exited' && ended.stdout.trim() === 'stopping';
};

/** A VM that does not go ends the wait: it is shut down in order instead. */
const movingMissed = (): NonNullable<Goal['missed']> => {
	const stays = staysAfterAll();
	return (status: Status) => {
		const left = status.conditions.find(({ name }) => name === 'not-emptied');
		return left?.summary ?? stays(status);
	};
};

const ways = { migrate: 'migrate', 'stop-and-hand-over': 'hand-over' } as const;

/**
 * `vmpair leave --at-shutdown`: what systemd runs before this host goes down. The VMs go as `hosts.*.shutdown` says;
 * what does not go in its time is shut down in order, and starts again when the host is back.
 */
export const leaveAtShutdown = async (
	file: string | undefined,
	around: Surroundings,
): Promise<number> => {
	if (!(await isShuttingDown())) {
		around.print('this host is not shutting down: its VMs stay');
		return exit.done;
	}
	const { config } = await loadConfig(file ?? defaultConfigFile);
	const { shutdown } = hostConfig(config, config.host);
	const options = { json: false, wait: true };
	try {
		if (shutdown !== 'stop') {
			const code = await act(
				{ verb: 'leave', by: 'the shutdown of this host', how: ways[shutdown] },
				{ ...leaveGoal(around), missed: movingMissed(), limitMs: movingMs },
				options,
				around,
			);
			if (code === exit.done) return code;
			around.warn('what is left on this host is shut down instead');
		}
		return await act(
			{ verb: 'leave', by: 'the shutdown of this host', how: 'stop' },
			{ ...leaveGoal(around), limitMs: stoppingMs },
			options,
			around,
		);
	} catch (error) {
		// Without an agent nobody can move a VM; guests end with the host as they would without vmpair.
		if (!isUnanswered(error)) throw error;
		around.warn(`the agent does not answer, nothing is moved: ${error.message}`);
		return exit.unreachable;
	}
};
