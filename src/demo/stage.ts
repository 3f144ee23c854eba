import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiClient, type Client } from '#src/api/driver-client.ts';
import { Cable } from '#src/demo/cable.ts';
import {
	writeHostFiles,
	writeSharedFiles,
	type HostFiles,
	type WitnessFiles,
} from '#src/demo/host-files.ts';
import { openToolGate, type ToolGate } from '#src/demo/tool-gate.ts';
import { HostTools } from '#src/demo/tools.ts';
import { startWorld, type DemoWorld } from '#src/demo/world.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { Replica, SimHost } from '#src/sim/model.ts';
import type { ScenarioWorld } from '#src/sim/scenario.ts';
import { stepSchema } from '#src/sim/step.ts';
import { assert } from '#src/std/assert.ts';

/** One host of the demo: simulated hardware and kernel, a real agent. */
export interface StageHost {
	readonly sim: SimHost;
	readonly files: HostFiles;
	readonly client: Client;
	readonly gate: ToolGate;
	readonly tools: HostTools;
	agent: ChildProcess | null;
	/** When its agent was started last, monotonic ms. */
	startedMs: number;
	/** How soon an ended agent is started again, as systemd would; null: not at all. */
	restartMs: number | null;
}

/** Something that happened, for the timeline. */
export interface StageEvent {
	/** Since the stage was set, ms. */
	readonly atMs: number;
	readonly what: string;
	readonly host: string;
	readonly vm: string;
}

export interface StageOptions {
	readonly world: ScenarioWorld;
	/** The program as it was started: agents run the same. */
	readonly program: string;
	readonly seed: number;
	/** Null: the arbiter of the world. */
	readonly third: WitnessFiles | null;
	/** Called for each host before its agent is started. */
	readonly prepare: (host: StageHost) => Promise<void>;
	readonly onEvent: (event: StageEvent) => void;
	/** One line for each thing the world does; null when nobody reads it. */
	readonly trace: ((line: string) => void) | null;
	/** How long each piece of a stream is under way between the hosts, ms; no time when left out. */
	readonly delayMs?: () => number;
}

/** `RestartSec` of the systemd unit. */
const restartMs = 500;

/** A port of loopback that nobody uses now. */
const freePort = async (): Promise<number> => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	assert(typeof address === 'object' && address !== null, 'a listening server has an address');
	return address.port;
};

type Ports = Record<string, Record<string, number>>;

const freePorts = async (world: ScenarioWorld): Promise<Ports> => {
	const ports: Ports = {};
	for (const host of world.hosts) {
		ports[host] = {};
		for (const { name } of world.networks) ports[host][name] = await freePort();
	}
	return ports;
};

const layCables = async (
	{ world, delayMs }: StageOptions,
	ports: Ports,
): Promise<readonly Cable[]> =>
	await Promise.all(
		world.networks.map(({ name }) =>
			Cable.lay(
				name,
				Object.fromEntries(
					world.hosts.map((host) => [
						host,
						{ address: '127.0.0.1', port: ports[host]?.[name] ?? 0 },
					]),
				),
				delayMs,
			),
		),
	);

/** DRBD's fence-peer handler: asks the agent on its socket, exits 1 when nobody answers. */
const runHandler = (
	socketPath: string,
	replica: Replica,
	answer: (exitCode: number) => void,
): void => {
	let text = '';
	let exitCode = 1;
	const socket = createConnection(socketPath, () => {
		socket.write(`fence-peer ${replica.vm.engine.resource}\n`);
	});
	socket.setEncoding('utf8');
	socket.on('data', (chunk: string) => {
		text += chunk;
		const code = /^exit ([147]) /.exec(text)?.[1];
		if (code === undefined) return;
		exitCode = Number(code);
		socket.destroy();
	});
	socket.on('error', () => {});
	socket.on('close', () => answer(exitCode));
};

/** A world, two hosts with their files and tools, cables between them, and two agents. */
export class Stage {
	readonly folder: string;
	readonly #options: StageOptions;
	readonly #beganMs = performance.now();
	readonly #hosts: StageHost[] = [];
	readonly #events: StageEvent[] = [];
	readonly #world: DemoWorld;
	#cables: readonly Cable[] = [];
	#closing = false;

	private constructor(options: StageOptions) {
		this.#options = options;
		this.folder = mkdtempSync(join(tmpdir(), 'vmpair-'));
		this.#world = startWorld(
			options.world,
			options.seed,
			{
				replicationChanged: (sim) => this.#hostOf(sim)?.tools.changed('replication'),
				hypervisorChanged: (sim) => this.#hostOf(sim)?.tools.changed('domains'),
				callHandler: (replica, answer) => this.#callHandler(replica, answer),
				hearingMayChange: () => this.#refreshCables(),
				booted: (sim) => this.#booted(sim),
				vmRuns: (sim, vm) => this.#happened('vm-runs', sim.name, vm.name),
				fenced: (victim) => {
					this.#happened('powered-off-by-fence', victim.name);
					this.#powerLost(victim);
				},
			},
			options.trace,
		);
	}

	/** Sets the stage; the agents have been started when it resolves, but need a moment to meet. */
	static async set(options: StageOptions): Promise<Stage> {
		const stage = new Stage(options);
		const { world } = options;
		const ports = await freePorts(world);
		stage.#cables = await layCables(options, ports);
		const shared = writeSharedFiles(stage.folder, world, ports, options.third);
		for (const sim of stage.#world.simulation.hosts) {
			const files = writeHostFiles(shared, sim);
			// The checkers look at what is durable: that is the agent's own file.
			Object.defineProperty(sim.store, 'content', { get: () => files.readRecord() });
			const tools = new HostTools(stage.#world.simulation, sim, files.places);
			const gate = openToolGate(files.folder, (call) => {
				stage.#world.catchUp();
				tools.call(call);
			});
			const client = apiClient(join(files.runFolder, 'agent.sock'));
			stage.#hosts.push({ sim, files, client, gate, tools, agent: null, startedMs: 0, restartMs });
		}
		await Promise.all(stage.#hosts.map(options.prepare));
		for (const host of stage.#hosts) stage.#startAgent(host);
		return stage;
	}

	get hosts(): readonly StageHost[] {
		return this.#hosts;
	}

	get events(): readonly StageEvent[] {
		return this.#events;
	}

	get simulation(): DemoWorld['simulation'] {
		this.#world.catchUp();
		return this.#world.simulation;
	}

	/** Milliseconds since the stage was set. */
	nowMs(): number {
		return Math.round(performance.now() - this.#beganMs);
	}

	host(name: string): StageHost {
		const host = this.#hosts.find(({ sim }) => sim.name === name);
		assert(host !== undefined, `there is a host ${name}`);
		return host;
	}

	powerCut(name: string): void {
		this.#happened('power-cut', name);
		this.#step({ do: 'power-cut', host: name });
		this.#powerLost(this.host(name).sim);
	}

	powerOn(name: string): void {
		this.#happened('power-on', name);
		this.#step({ do: 'power-on', host: name });
	}

	cut(network: string): void {
		this.#happened('cut', network);
		this.#step({ do: 'cut', network });
	}

	mend(network: string): void {
		this.#happened('mend', network);
		this.#step({ do: 'mend', network });
	}

	/** Ends the agent as `kill -9` does; it is started again after `afterMs`, or stays down for null. */
	killAgent(name: string, afterMs: number | null): void {
		const host = this.host(name);
		this.#happened('agent-killed', name);
		host.restartMs = afterMs;
		host.agent?.kill('SIGKILL');
	}

	/** Starts an agent that was held down. */
	startAgent(name: string): void {
		const host = this.host(name);
		host.restartMs = restartMs;
		this.#startAgent(host);
	}

	/** Ends everything; removes every file unless `keep`. */
	async close(keep: boolean): Promise<void> {
		this.#closing = true;
		this.#world.stop();
		const ended = this.#hosts.flatMap(({ agent }) =>
			agent === null ? [] : [new Promise((resolve) => agent.once('exit', resolve))],
		);
		for (const host of this.#hosts) this.#endAgent(host);
		await Promise.all(ended);
		for (const { gate } of this.#hosts) gate.close();
		for (const cable of this.#cables) cable.close();
		if (!keep) rmSync(this.folder, { recursive: true, force: true });
	}

	#happened(what: string, host: string, vm = ''): void {
		const event = { atMs: this.nowMs(), what, host, vm };
		this.#events.push(event);
		this.#options.onEvent(event);
	}

	#step(what: Readonly<Record<string, unknown>>): void {
		this.#world.catchUp();
		applyStep(this.#world.simulation, stepSchema.parse(what), '');
	}

	#hostOf(sim: SimHost): StageHost | undefined {
		return this.#hosts.find((host) => host.sim === sim);
	}

	#callHandler(replica: Replica, answer: (exitCode: number) => void): void {
		const host = this.#hostOf(replica.host);
		if (host === undefined) return;
		runHandler(join(host.files.runFolder, 'handler.sock'), replica, (exitCode) => {
			this.#world.catchUp();
			answer(exitCode);
		});
	}

	#booted(sim: SimHost): void {
		const host = this.#hostOf(sim);
		if (host === undefined) return;
		this.#happened('booted', sim.name);
		writeFileSync(host.files.places.bootId, `${sim.bootId}\n`);
		this.#startAgent(host);
	}

	/** The cables fall silent first: a dead host says nothing, it does not even close a connection. */
	#powerLost(sim: SimHost): void {
		this.#refreshCables();
		const host = this.#hostOf(sim);
		if (host !== undefined) this.#endAgent(host);
	}

	/** A cable carries something while nobody has cut it and both hosts are there. */
	#refreshCables(): void {
		const { networks, hosts } = this.#world.simulation;
		for (const cable of this.#cables) {
			const network = networks.find(({ name }) => name === cable.name);
			const whole = network?.cutAll.every((cut) => !cut) === true;
			if (whole && hosts.every(({ kernelUp }) => kernelUp)) cable.mend();
			else cable.cut();
		}
	}

	#startAgent(host: StageHost): void {
		if (this.#closing || !host.sim.kernelUp || host.agent !== null) return;
		const { configFile, places, logFile } = host.files;
		const words = ['agent', '--tied', '--config', configFile];
		for (const [name, path] of Object.entries(places)) words.push('--place', `${name}=${path}`);
		for (const { name, portFrom } of this.#cables) {
			words.push('--relay', `${name}=${portFrom[host.sim.name] ?? 0}`);
		}
		const log = openSync(logFile, 'a');
		const agent = spawn(process.execPath, [this.#options.program, ...words], {
			// A group of its own, so that a power cut takes the tools it has called with it.
			detached: true,
			env: { ...process.env, PATH: `${host.gate.binFolder}:${process.env['PATH'] ?? ''}` },
			// Its input ends with this process: it never outlives the demo.
			stdio: ['pipe', log, log],
		});
		closeSync(log);
		host.agent = agent;
		host.startedMs = performance.now();
		agent.on('exit', (code) => {
			host.gate.hangUp();
			if (host.agent !== agent) return;
			host.agent = null;
			this.#happened('agent-ended', host.sim.name);
			// As in the systemd unit: an agent that has left, or was told to end, stays down.
			if (host.restartMs === null || code === 0) return;
			setTimeout(() => this.#startAgent(host), host.restartMs).unref();
		});
	}

	#endAgent(host: StageHost): void {
		const { agent } = host;
		host.agent = null;
		if (agent?.pid === undefined || agent.exitCode !== null) return;
		try {
			process.kill(-agent.pid, 'SIGKILL');
		} catch {
			// It ended by itself in this very moment.
		}
	}
}
