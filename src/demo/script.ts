import type { Stage } from '#src/demo/stage.ts';
import { truths, type VmTruth } from '#src/demo/truth.ts';
import { VmpairError } from '#src/std/error.ts';

/** A story that plays by itself: what is done, and what must be seen then. */
export type Script = (stage: Stage, tell: (line: string) => void) => Promise<void>;

/** Generous: the demo also runs on a busy machine with one core. */
const meetLimitMs = 60_000;
const actLimitMs = 60_000;
const pollMs = 100;

/** Waits until `seen` holds; throws `demo-failed` with `what` when it does not come. */
const until = async (
	what: string,
	limitMs: number,
	seen: () => boolean | Promise<boolean>,
): Promise<void> => {
	const end = performance.now() + limitMs;
	while (!(await seen())) {
		if (performance.now() > end) {
			throw new VmpairError('demo-failed', `not seen within ${limitMs / 1000} s: ${what}`, {
				next: 'run it again with --keep and look at agent.log of both hosts',
			});
		}
		await new Promise((resolve) => setTimeout(resolve, pollMs));
	}
};

/** True when this host's agent says that everything is protected. */
const isProtected = async (stage: Stage, host: string): Promise<boolean> => {
	try {
		return (await stage.host(host).client.status()).verdict === 'protected';
	} catch (error) {
		// An agent that is starting does not answer yet.
		if (error instanceof VmpairError) return false;
		throw error;
	}
};

const allProtected = async (stage: Stage, what: string): Promise<void> => {
	await until(what, meetLimitMs, async () => {
		const each = await Promise.all(stage.hosts.map(({ sim }) => isProtected(stage, sim.name)));
		return each.every(Boolean);
	});
};

const where = (truth: readonly VmTruth[]): string =>
	truth.map(({ vm, runsOn }) => `${vm} on ${runsOn.join('+') || '-'}`).join(', ');

const writesGoOn = async (stage: Stage): Promise<void> => {
	const before = new Map(truths(stage.simulation).map((each) => [each.vm, each.acknowledged]));
	await until('every VM has new writes acknowledged', actLimitMs, () =>
		truths(stage.simulation).every(
			({ vm, acknowledged }) => acknowledged > (before.get(vm) ?? 0) + 5,
		),
	);
};

const powerCut: Script = async (stage, tell) => {
	await allProtected(stage, 'both agents say PROTECTED');
	tell(`PROTECTED: ${where(truths(stage.simulation))}`);
	const cutMs = stage.nowMs();
	stage.powerCut('north');
	tell('north has lost its power, and everything on it');
	await until('every VM runs on south', actLimitMs, () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.join() === 'south'),
	);
	tell(
		`${((stage.nowMs() - cutMs) / 1000).toFixed(1)} s later every VM runs: ${where(truths(stage.simulation))}`,
	);
	await writesGoOn(stage);
	tell('guests write on, and no acknowledged write is missing');
	stage.powerOn('north');
	tell('north gets its power back: it boots, resyncs and stands by');
	await allProtected(stage, 'both agents say PROTECTED again');
	tell(`PROTECTED again, nothing failed back: ${where(truths(stage.simulation))}`);
};

const replicationCut: Script = async (stage, tell) => {
	await allProtected(stage, 'both agents say PROTECTED');
	tell(`PROTECTED: ${where(truths(stage.simulation))}`);
	const before = where(truths(stage.simulation));
	stage.cut('replication');
	tell('the replication cable is cut: writes freeze until the other copy is outdated');
	await until('the loss is noticed by both', actLimitMs, async () => {
		const states = await Promise.all(stage.hosts.map(({ client }) => client.status()));
		return states.every(({ verdict }) => verdict !== 'protected');
	});
	await writesGoOn(stage);
	tell('every VM writes on where it was: no failover, nobody was fenced');
	stage.mend('replication');
	tell('the cable is back');
	await allProtected(stage, 'both agents say PROTECTED again');
	const after = where(truths(stage.simulation));
	if (after !== before) throw new VmpairError('demo-failed', `VMs moved: ${after}`, { next: '' });
	tell(`PROTECTED again: ${after}`);
};

const agentKill: Script = async (stage, tell) => {
	await allProtected(stage, 'both agents say PROTECTED');
	const before = where(truths(stage.simulation));
	tell(`PROTECTED: ${before}`);
	const killed = stage.host('north').agent?.pid;
	stage.killAgent('north', 3000);
	tell('the agent on north is killed; its host and VMs live');
	await until('south says that only the agent is down', actLimitMs, async () => {
		const { hosts } = await stage.host('south').client.status();
		return hosts.some(({ self, state }) => !self && state === 'agent-down');
	});
	await writesGoOn(stage);
	tell('south sees a dead agent, not a dead host: no VM notices');
	await until('another agent runs on north', actLimitMs, () => {
		const pid = stage.host('north').agent?.pid;
		return pid !== undefined && pid !== killed;
	});
	await allProtected(stage, 'both agents say PROTECTED again');
	const after = where(truths(stage.simulation));
	if (after !== before) throw new VmpairError('demo-failed', `VMs moved: ${after}`, { next: '' });
	tell(`PROTECTED again: ${after}`);
};

/** Every script by its name. */
export const scripts: Readonly<Record<string, Script>> = {
	'power-cut': powerCut,
	'replication-cut': replicationCut,
	'agent-kill': agentKill,
};
