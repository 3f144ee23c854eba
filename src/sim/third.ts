import type { WitnessAnswer, WitnessCommand } from '#src/ports-witness.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import type { SimConnection, SimWitness } from '#src/sim/model-witness.ts';
import { count, delay, hostClock, onHost, tell } from '#src/sim/model.ts';
import { extraMs } from '#src/sim/model-wire.ts';
import { schedule } from '#src/sim/queue.ts';
import type { ScenarioWorld } from '#src/sim/scenario.ts';
import { chance } from '#src/std/prng.ts';
import { applyCommand } from '#src/sim/witness-command.ts';

/** The witness: a server that is up or down, whose record may be lost or restored, with a link to each host. */

/** What the client waits for an answer; afterwards it is unknown whether the command lands. */
const limitMs = 800;
const connectMs = 1000;
/** Until a new connection has been examined. */
const roundTrips = 4;

export const createWitness = (world: ScenarioWorld): SimWitness | null =>
	world.witness === undefined
		? null
		: {
				up: true,
				runs: 1,
				record: null,
				saved: new Map(),
				written: new Map(),
				claimedMs: new Map(),
				cut: [false, false],
				impaired: [null, null],
				slowUntilMs: 0,
				late: [],
			};

/** How long this very command lies in a buffer, ms. */
const heldBackMs = (
	{ queue }: Simulation,
	{ late }: SimWitness,
	host: SimHost,
	{ op }: WitnessCommand,
): number =>
	late.find((each) => each.host === host.name && each.op === op && queue.nowMs < each.untilMs)
		?.byMs ?? 0;

const reaches = (witness: SimWitness, host: SimHost, runs: number): boolean =>
	witness.up && witness.runs === runs && !witness.cut[host.index];

/** How long the server takes for one thing, ms. */
const serverMs = (simulation: Simulation, { slowUntilMs }: SimWitness): number => {
	const slow = simulation.queue.nowMs < slowUntilMs && chance(simulation.random, 0.5);
	return slow ? delay(simulation, 500, 4000) : delay(simulation, 1, 20);
};

/** Opens the connection anew; an attempt that fails is repeated with the next command. */
const reopen = (
	simulation: Simulation,
	witness: SimWitness,
	host: SimHost,
	connection: SimConnection,
): void => {
	connection.runs = null;
	if (connection.opening) return;
	connection.opening = true;
	const { runs } = witness;
	const reached = reaches(witness, host, runs);
	const extra = () => extraMs(simulation.random, witness.impaired[host.index]);
	const tripMs = reached ? serverMs(simulation, witness) + extra() : connectMs;
	const fails = !reached || tripMs > limitMs;
	onHost(simulation, host, fails ? Math.min(tripMs, connectMs) : roundTrips * tripMs, () => {
		connection.opening = false;
		if (!fails && reaches(witness, host, runs)) connection.runs = runs;
	});
};

interface Asked {
	readonly command: WitnessCommand;
	/** Null: one is always at hand. */
	readonly connection: SimConnection | null;
}

/** One command over a connection of the host; null when no answer came in time, or none stands. */
export const askWitness = (
	simulation: Simulation,
	host: SimHost,
	{ command, connection }: Asked,
	done: (answer: WitnessAnswer | null) => void,
): void => {
	const { witness, queue } = simulation;
	if (witness === null) return;
	const sentMs = hostClock(simulation, host);
	const { runs } = witness;
	let open = true;
	const end = (answer: WitnessAnswer | null) => {
		if (!open) return;
		open = false;
		if (answer === null && connection !== null) reopen(simulation, witness, host, connection);
		done(answer);
	};
	// What is lost with it is this command alone: the next one finds a new connection, if the server can be reached.
	if (connection !== null && connection.runs !== runs) {
		onHost(simulation, host, 1, () => end(null));
		return;
	}
	onHost(simulation, host, limitMs, () => end(null));
	const reachable = () => reaches(witness, host, runs);
	if (!reachable()) return;
	const lateMs = heldBackMs(simulation, witness, host, command);
	const ms = serverMs(simulation, witness);
	const moreMs = () => extraMs(simulation.random, witness.impaired[host.index]);
	// What a kernel has sent arrives although its host is dead by then. A client that gave up has a new
	// connection: what was sent later may be carried out earlier.
	schedule(queue, queue.nowMs + ms + moreMs() + lateMs, () => {
		// What lay in the server's own buffer needs no network any more.
		if (lateMs > 0 ? !witness.up || witness.runs !== runs : !reachable()) return;
		const reply = carryOut(simulation, witness, host, command);
		onHost(simulation, host, delay(simulation, 1, 20) + moreMs(), () => {
			const runId = simulation.mutation === 'run-unseen' ? 'run-1' : `run-${runs}`;
			if (reachable()) end({ runId, sentMs, reply });
		});
	});
};

/** What the script is asked, with the planted bugs of the script. */
const planted = (
	{ mutation }: Simulation,
	{ record }: SimWitness,
	host: SimHost,
	command: WitnessCommand,
): Parameters<typeof applyCommand> => {
	const { pairId } = host.config;
	if (mutation === 'claim-for-ever' && command.op === 'void-claim')
		return [record, pairId, { op: 'read', host: host.name }];
	if (record === null) return [record, pairId, command];
	const { claimVersion } = record;
	if (mutation === 'claim-unnamed' && 'claimVersion' in command)
		return [record, pairId, { ...command, claimVersion }];
	if (mutation !== 'script-unchecked') return [record, pairId, command];
	const open = { ...record, claim: null };
	if (command.op === 'renew') return [open, pairId, command];
	if (command.op !== 'change' && command.op !== 'takeover') return [record, pairId, command];
	const expectedGeneration = record.resources[command.resource]?.generation ?? 0;
	return [open, pairId, { ...command, op: 'change', claimVersion, expectedGeneration }];
};

const carryOut = (
	simulation: Simulation,
	witness: SimWitness,
	host: SimHost,
	command: WitnessCommand,
): WitnessAnswer['reply'] => {
	const { record, reply } = applyCommand(...planted(simulation, witness, host, command));
	witness.record = record;
	const claimer = record?.claim?.by;
	if (claimer !== undefined) witness.claimedMs.set(claimer, simulation.queue.nowMs);
	simulation.changes += 1;
	if (command.op === 'renew' || command.op === 'read') return reply;
	const resource = 'resource' in command ? ` ${command.resource}` : '';
	const words = reply.ok ? 'done' : `refused, ${reply.refused}`;
	tell(simulation, 'third', `${command.op}${resource} of ${host.name}: ${words}`);
	count(simulation, `witness ${command.op} ${reply.ok ? 'done' : reply.refused}`);
	if (reply.ok && 'resource' in command)
		witness.written.set(command.resource, command.record.inSync);
	if (reply.ok && command.op === 'takeover')
		simulation.hooks.tookOver(host, command.expectedRenewals !== null);
	return reply;
};
