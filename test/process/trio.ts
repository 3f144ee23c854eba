import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Stage, StageHost } from '#src/demo/stage.ts';
import { Secret } from '#src/std/secret.ts';
import type { WitnessRecord } from '#src/ports-witness.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import { FakeBoard } from '#test/process/fake-board.ts';
import { password, type WitnessServer, witnessServer } from '#test/process/redis.ts';
import { setStage } from '#test/process/stage.ts';

const pair = 'pair';

/** Two agents, each with a feeder and a board that was proven, and a witness that both reach. */
export interface Trio {
	readonly stage: Stage;
	readonly witness: WitnessServer;
	readonly boards: Readonly<Record<string, FakeBoard>>;
	/** The feeder of each host that was started last; nobody starts it again. */
	readonly feeders: Record<string, ChildProcess>;
}

/** Three voters that have met; everything is ended after the test. `prepare` is called before the agents start. */
export const setTrio = async (
	t: ExecutionContext,
	prepare: (host: StageHost) => void = () => {},
): Promise<Trio> => {
	const witness = await witnessServer(t, { pair });
	const passwordFile = join(witness.folder, 'password');
	writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
	const boards: Record<string, FakeBoard> = {};
	const feeders: Record<string, ChildProcess> = {};
	t.teardown(() => {
		for (const board of Object.values(boards)) board.close();
	});
	const stage = await setStage(t, {
		third: {
			// The hosts are at 127.0.0.1, and a witness is never one of them.
			witness: { address: '127.0.0.2', port: witness.port, passwordFile },
			watchdog: { device: '/dev/watchdog0', sysrq: false },
		},
		prepare: async (host) => {
			prepare(host);
			const board = new FakeBoard();
			boards[host.sim.name] = board;
			board.show({ timeout: '5' });
			board.prove();
			feeders[host.sim.name] = await board.feeder(host.files.places.feeder);
		},
	});
	return { stage, witness, boards, feeders };
};

/** What the witness holds now; null while it holds nothing or does not answer. */
export const witnessed = async ({ port }: WitnessServer): Promise<WitnessRecord | null> => {
	const access = { address: '127.0.0.1', port, username: 'vmpair', tls: null };
	const connection = new WitnessConnection({ ...access, password: new Secret(password) }, pair);
	try {
		await connection.open();
		const answer = await connection.send({ op: 'read', host: 'north' });
		if (answer.result !== 'succeeded') return null;
		const { reply } = answer.value;
		return reply.ok ? reply.record : null;
	} finally {
		connection.close();
	}
};

/**
 * What was broken, without the exclusions that the simulated world cannot see: for those the witness must hold that
 * the other copy misses writes.
 */
export const brokenIn = async (trio: Trio): Promise<readonly unknown[]> => {
	const record = await witnessed(trio.witness);
	return trio.stage.simulation.violations.filter(({ checker, message }) => {
		const [, vm, host] = /answers 4, but (\S+) on (\S+) is/.exec(message) ?? [];
		if (checker !== 'I3' || vm === undefined || host === undefined) return true;
		return record?.resources[vm]?.inSync.includes(host) !== false;
	});
};
