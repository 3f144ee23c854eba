import { readFileSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { Status } from '#src/api/view.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { conditions } from '#src/engine/conditions.ts';
import { hostClock, type SimAgent, type Simulation } from '#src/sim/model.ts';
import { Since } from '#src/std/since.ts';
import { simulatedStatus } from '#test/cli/simulated.ts';
import { happen, runFor, runUntil, simulationOf, worldOf } from '#test/sim/_moment.ts';

/**
 * What a person on call sees in the situations that matter, made by the engines of a simulated pair. Each screen
 * alone must tell what is wrong and what to do. Written anew with UPDATE_GOLDEN=1; read the difference like code.
 */

const minuteMs = 60_000;
const look = { columns: 80, colour: false, documents: '/usr/share/doc/vmpair' };

interface Stage {
	readonly simulation: Simulation;
	/** What `vmpair status` of that host has to show. */
	readonly statusOf: (index: 0 | 1) => Status;
}

/** `north` runs three VMs, `south` two, as at the computing centre that this is for. */
const setStage = (change: Partial<Parameters<typeof worldOf>[0]> = {}): Stage => {
	const since = new Map<SimAgent, Since>();
	const conditionsOf = ({ host, loop }: SimAgent) =>
		conditions(loop.state, hostClock(simulation, host));
	const remember = (agent: SimAgent): Since => {
		const memory = since.get(agent) ?? new Since();
		since.set(agent, memory);
		const keys = conditionsOf(agent).map(({ key }) => key);
		memory.update(keys, hostClock(simulation, agent.host));
		return memory;
	};
	const simulation = simulationOf(
		worldOf({
			hosts: ['north', 'south'],
			vms: [
				{ name: 'ldap', host: 'north', priority: 300 },
				{ name: 'samba', host: 'north', priority: 200, after: ['ldap'] },
				{ name: 'batch', host: 'north' },
				{ name: 'ui', host: 'south' },
				{ name: 'ce', host: 'south' },
			],
			...change,
		}),
		1,
		remember,
	);
	runFor(simulation, 2 * minuteMs);
	return {
		simulation,
		statusOf: (index) => {
			const { agent } = simulation.hosts[index];
			if (agent?.alive !== true) throw new Error(`no agent runs on host ${index + 1}`);
			const nowMs = hostClock(simulation, agent.host);
			const memory = remember(agent);
			return simulatedStatus(simulation, agent, (key) => memory.ageMs(key, nowMs));
		},
	};
};

/** Compares the screen with the golden one, and returns its lines. */
const screen = (t: ExecutionContext, name: string, status: Status): string[] => {
	const lines = statusLines(status, look);
	const file = `test/screen/${name}.txt`;
	const text = `${lines.join('\n')}\n`;
	if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text);
	t.is(text, readFileSync(file, 'utf8'), 'run with UPDATE_GOLDEN=1 when the change is meant');
	for (const line of lines) t.true(line.length <= look.columns, line);
	return lines;
};

test('healthy: the first word says it, and all fits 15 lines', (t) => {
	const lines = screen(t, 'healthy', setStage().statusOf(0));
	t.regex(lines[0] ?? '', /^PROTECTED /);
	t.true(lines.length <= 15);
});

test('peer dead and VMs taken over: they run, nothing protects them, what brings the peer back', (t) => {
	const { simulation, statusOf } = setStage();
	happen(simulation, { do: 'power-cut', host: 'north', bmcToo: false });
	runFor(simulation, 3 * minuteMs);
	const lines = screen(t, 'peer-dead', statusOf(1));
	t.regex(lines[0] ?? '', /^UNPROTECTED /);
});

test('waiting for a person: what is down or held, why, and the command that ends it', (t) => {
	const { simulation, statusOf } = setStage();
	happen(simulation, { do: 'power-cut', host: 'north', bmcToo: true });
	runFor(simulation, 3 * minuteMs);
	const lines = screen(t, 'waiting-for-a-person', statusOf(1));
	t.regex(lines[0] ?? '', /^HOLDING /);
	t.regex(lines.join('\n'), /next: .*vmpair takeover --confirm-dead north/);
});

test('split brain: which VM, that both copies stay as they are, and how to see and end it', (t) => {
	const { simulation, statusOf } = setStage();
	happen(simulation, { do: 'cut', network: 'replication', traffic: 'all' });
	runFor(simulation, 15_000);
	happen(simulation, { do: 'operator-promote', host: 'south', vm: 'ldap', force: true });
	runFor(simulation, 15_000);
	happen(simulation, { do: 'mend', network: 'replication', traffic: 'all' });
	runFor(simulation, 2 * minuteMs);
	const lines = screen(t, 'split-brain', statusOf(0));
	t.regex(lines.join('\n'), /vmpair split-brain show/);
});

test('resync: how far it is, that a failover waits for it, and that it needs nobody', (t) => {
	const { simulation, statusOf } = setStage({ timing: { resync: '10m' } });
	happen(simulation, { do: 'power-cut', host: 'north', bmcToo: false });
	runFor(simulation, minuteMs);
	happen(simulation, { do: 'power-on', host: 'north' });
	runUntil(simulation, () =>
		simulation.vms.every(({ replicas }) => replicas[0].replication === 'SyncTarget'),
	);
	runFor(simulation, minuteMs);
	const lines = screen(t, 'resync', statusOf(1));
	t.regex(lines[0] ?? '', /^DEGRADED /);
});

test('paused: that nothing is done by itself, who said so and why, and how it ends', (t) => {
	const { simulation, statusOf } = setStage();
	const reason = 'new firmware of the switch';
	happen(simulation, { do: 'pause', host: 'south', for: 60 * minuteMs, reason });
	runFor(simulation, 2 * minuteMs);
	const lines = screen(t, 'paused', statusOf(0));
	t.regex(lines[0] ?? '', /^PAUSED /);
	t.regex(lines.join('\n'), /next: vmpair resume/);
});

test('disarmed: that nothing is done by itself, since when and why, and how it ends', (t) => {
	const { simulation, statusOf } = setStage();
	happen(simulation, { do: 'disarm', host: 'south', reason: 'new firmware of the switch' });
	runFor(simulation, 2 * minuteMs);
	const lines = screen(t, 'disarmed', statusOf(0));
	t.regex(lines[0] ?? '', /^DISARMED /);
});
