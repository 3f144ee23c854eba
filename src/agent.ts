import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import winston from 'winston';
import {
	agentView,
	carryOut,
	checkFences,
	configureDrivers,
	channelOptions,
	createDrivers,
	executors,
	journaldLevels,
	hypervisorEvent,
	logLine,
	monotonicMs,
	openParts,
	resourcesOf,
	restartNeeded,
	takeHelper,
	type Drivers,
	type Executors,
	type Log,
	type Parts,
	type Places,
} from '#src/agent-drivers.ts';
import { Alerts } from '#src/agent-alerts.ts';
import { History } from '#src/agent-history.ts';
import { LoadAndHealth } from '#src/agent-load.ts';
import { goodbyeTaken } from '#src/agent-goodbye.ts';
import { Preflight } from '#src/agent-preflight.ts';
import { Web } from '#src/agent-web.ts';
import { keepWitness, voteEvents } from '#src/agent-witness.ts';
import { serveApi } from '#src/api/driver-server.ts';
import type { Reply, Request } from '#src/api/request.ts';
import type { AlertRequest } from '#src/api/alert.ts';
import type { Status } from '#src/api/view.ts';
import { loadConfig, reloadConfig, type LoadedConfig } from '#src/config/driver.ts';
import { engineConfig } from '#src/config/policy.ts';
import { HandlerServer } from '#src/drbd/driver-handler.ts';
import { DrbdWatch } from '#src/drbd/driver-watch.ts';
import type { CarriedAction, ImmediateAction, Note } from '#src/engine/action.ts';
import type { EngineConfig } from '#src/engine/config.ts';
import type { Event } from '#src/engine/event.ts';
import { initialState, type State } from '#src/engine/state.ts';
import { statusView } from '#src/engine/view.ts';
import { watchGateways } from '#src/heartbeat/driver-gateway.ts';
import { PeerChannel } from '#src/heartbeat/driver.ts';
import { Loop, type World } from '#src/loop.ts';
import type { LinkObservation, MonotonicMs, Outcome } from '#src/ports.ts';
import { repeat } from '#src/std/driver-repeat.ts';
import { tools } from '#src/std/driver-tool.ts';
import { messageOf } from '#src/std/error.ts';
import type { HistoryQuery } from '#src/store/journal.ts';
import type { Persisted } from '#src/store/record.ts';
import { version } from '#src/version.ts';

/** What one run of the agent needs to know; everything else is in the configuration. */
export interface AgentOptions {
	readonly configPath: string;
	readonly places: Places;
	/** Ports to dial instead of the configured ones, by link: a relay stands in between (demo, tests). */
	readonly relayPorts: Readonly<Record<string, number>>;
}

/** A broken invariant or a dead heartbeat: systemd starts the agent again, no VM notices. */
const softwareExit = 70;
const closeMs = 5000;

/** Lines for journald: its priority in front, a constant sentence, then the fields. */
const createLog = (): Log => {
	const logger = winston.createLogger({
		level: 'info',
		levels: journaldLevels,
		format: winston.format.printf(({ level, message, fields }) =>
			logLine(level as Note['level'], String(message), fields as Note['fields']),
		),
		transports: [new winston.transports.Console()],
	});
	return (level, message, fields = {}) => void logger.log({ level, message, fields });
};

/** The agent: joins drivers, loop, peer and local API, and ends when it is told to or must not go on. */
class Agent implements World {
	readonly #log: Log;
	readonly #identity: { readonly bootId: string; readonly session: string };
	readonly #startedMs = monotonicMs();
	readonly #parts: Parts;
	readonly #drivers: Drivers;
	readonly #executors: Executors;
	readonly #watch: DrbdWatch;
	readonly #preflight: Preflight;
	readonly #load: LoadAndHealth;
	readonly #handler: HandlerServer;
	readonly #channel: PeerChannel;
	readonly #loop: Loop;
	readonly #web = new Web(this);
	readonly #requests = new Map<string, (reply: Reply) => void>();
	readonly #alerts: Alerts;
	readonly #history: History;
	#loaded: LoadedConfig;
	#state: State;
	#links: readonly LinkObservation[] = [];
	#gateway: boolean | null = null;
	#ended = false;
	readonly #closers: (() => unknown)[] = [];
	#end: (exitCode: number) => void = () => {};

	constructor(log: Log, run: AgentRun) {
		const { loaded, bootId, parts, options } = run;
		const { config } = loaded;
		this.#log = log;
		this.#loaded = loaded;
		this.#parts = parts;
		this.#alerts = new Alerts(parts.outbox, config.alerts);
		this.#history = new History(parts, config.stateDirectory);
		this.#identity = { bootId, session: randomUUID() };
		this.#drivers = createDrivers(config, options.configPath, options.places, parts.witness);
		this.#executors = executors(this.#drivers);
		this.#preflight = new Preflight({
			drivers: this.#drivers,
			places: options.places,
			config: () => this.#loaded.config,
			onFound: (found) => this.#loop.post({ type: 'preflight-observed', ...found }),
			onAdvice: (advice) =>
				this.#say('info', 'the set-up of this host could be better', { advice }),
		});
		this.#load = new LoadAndHealth(options.places, config, (event) => this.#loop.post(event));
		this.#watch = new DrbdWatch({
			tools,
			resources: resourcesOf(config),
			onObserved: (resources) => this.#loop.post({ type: 'replication-observed', resources }),
			onFindings: (findings) => this.#preflight.kernelFound(findings),
			onHelper: (event) => takeHelper(event, this, (seen) => this.#loop.post(seen)),
			onNote: (message) => this.#say('warn', message),
		});
		this.#handler = new HandlerServer({
			path: join(config.runtimeDirectory, 'handler.sock'),
			onCall: (call) => this.#loop.post({ type: 'handler-called', call }),
			onGone: (call) => this.#loop.post({ type: 'handler-gone', call }),
			onNote: (message) => this.#say('warn', message),
		});
		this.#channel = new PeerChannel(
			channelOptions(config, {
				...this.#identity,
				knownBootIds: parts.persisted?.peerBootIds ?? [],
				relayPorts: options.relayPorts,
				voter: parts.voter,
			}),
		);
		this.#state = initialState(
			this.#engineConfig(),
			parts.persisted,
			this.#identity,
			monotonicMs(),
		);
		this.#loop = new Loop(this.#state, this);
	}

	#engineConfig(): EngineConfig {
		const { config, digest } = this.#loaded;
		return engineConfig(config, { version, digest, shadowPaging: this.#parts.shadowPaging });
	}

	nowMs(): MonotonicMs {
		return monotonicMs();
	}

	persist(record: Persisted, done: (error: Error | null) => void): void {
		this.#parts.store.persist(record, done);
	}

	execute(action: CarriedAction, done: (outcome: Outcome) => void): void {
		void (async () => done(await carryOut(this.#executors, action, this.#log)))();
	}

	perform(action: ImmediateAction): void {
		switch (action.type) {
			case 'publish':
				return this.#channel.publish(action.document);
			case 'answer-handler':
				this.#handler.answer(action.call, action.exitCode, action.reason);
				return;
			case 'reply':
				this.#requests.get(action.request)?.(action.reply);
				this.#requests.delete(action.request);
				return;
			case 'stretch-detection':
				return this.#channel.stretch(action.factor);
			case 'order-lease':
				return this.#channel.orderLease(action.orders);
			case 'watch-closely':
				return this.#drivers.xen.watchClosely(action.closely);
			case 'reset-host':
				return this.#drivers.reset();
			case 'leave-complete':
				void this.#leave();
		}
	}

	#say(level: Note['level'], message: string, fields: Note['fields'] = {}): void {
		this.note({ level, message, fields });
	}

	note(note: Note): void {
		this.#log(note.level, note.message, note.fields);
		if (this.#ended) return;
		const copy = this.#history.note(note, this.#state, monotonicMs());
		if (copy !== null) this.#channel.record(copy);
	}

	schedule(atMs: MonotonicMs, callback: () => void): () => void {
		const timer = setTimeout(callback, Math.max(0, atMs - monotonicMs()));
		return () => clearTimeout(timer);
	}

	stepped(state: State, event: Event, nowMs: MonotonicMs): void {
		this.#parts.journal.input(event, nowMs, state !== this.#state);
		this.#state = state;
		this.#alerts.stepped(state, nowMs);
	}

	failed(error: Error): void {
		this.#say('error', 'the agent stops: what it knows can no longer be trusted; VMs go on', {
			error: error.stack ?? error.message,
		});
		this.#end(softwareExit);
	}

	status(): Status {
		const nowMs = monotonicMs();
		return {
			...statusView(this.#state, nowMs),
			at: new Date().toISOString(),
			...this.#alerts.view(this.#state, nowMs),
			advice: [...this.#preflight.advice, ...this.#web.advice],
			heartbeat: this.#channel.counters(),
			agent: agentView(this.#parts, this.#identity.session, nowMs - this.#startedMs),
		};
	}

	async request(request: Request): Promise<Reply> {
		// What was in the way a minute ago may be mended by now.
		if (request.verb === 'arm') await this.#preflight.look();
		const id = randomUUID();
		return await new Promise((resolve) => {
			this.#requests.set(id, resolve);
			this.#loop.post({ type: 'requested', id, request, at: new Date().toISOString() });
		});
	}

	history = (query: HistoryQuery) => this.#history.read(query);

	postMortems = () => this.#history.postMortems();

	async reload(): Promise<Reply> {
		const { loaded, change } = await reloadConfig(this.#loaded);
		const refused = restartNeeded(change);
		if (refused !== null) return refused;
		this.#loaded = loaded;
		const { config } = loaded;
		this.#alerts.reload(config.alerts);
		this.#watch.manage(resourcesOf(config));
		configureDrivers(this.#drivers, config);
		this.#load.configure(config);
		this.#web.configure(config.host, config.web);
		this.#loop.post({ type: 'config-changed', config: this.#engineConfig() });
		await this.#preflight.look();
		const message = `changed: ${change.live.join(', ') || 'nothing'}`;
		return { status: 'done', code: 'reloaded', message, next: '' };
	}

	engine = () => ({ version, state: { ...this.#state } });

	fenceCheck = () => checkFences(this.#drivers.fence, this.#loaded.config);

	alert = (request: AlertRequest) => this.#alerts.answer(request);

	/** Runs until it is told to end; returns the exit code. */
	async run(): Promise<number> {
		const ended = new Promise<number>((resolve) => {
			this.#end = resolve;
		});
		try {
			await this.#start();
			return await ended;
		} finally {
			await this.#close();
		}
	}

	async #start(): Promise<void> {
		const { config } = this.#loaded;
		// First of all: a second agent on this host must not get further than here.
		const socketPath = join(config.runtimeDirectory, 'agent.sock');
		const api = await serveApi({ socketPath, group: config.socketGroup }, this);
		this.#closers.push(() => api.close());
		await this.#handler.listen();
		this.#closers.push(() => this.#handler.close());
		this.#parts.journal.start(
			{ config: this.#engineConfig(), record: this.#state.persisted },
			// The first time that the engine was given: who replays the journal begins there.
			this.#state.startedAtMs,
		);
		this.#say('info', 'the agent starts', { version, ...this.#identity });
		this.#parts.journal.onFailing((problem) => this.#loop.post({ type: 'disk-observed', problem }));
		this.#listenToSignals();
		await this.#listenToPeer();
		this.#watch.start();
		this.#closers.push(
			this.#drivers.xen.watch((...look) => this.#loop.post(hypervisorEvent(...look))),
		);
		const { witness } = this.#parts;
		if (witness !== null) this.#closers.push(keepWitness(witness, config.host, this));
		const gateways = config.links.flatMap(({ gateway }) => (gateway === null ? [] : [gateway]));
		this.#closers.push(
			watchGateways(tools, gateways, (answers) => {
				this.#gateway = answers;
				this.#postLinks();
			}),
		);
		this.#load.configure(config);
		this.#closers.push(() => this.#load.stop());
		this.#closers.push(repeat(() => this.#preflight.look()));
		this.#web.configure(config.host, config.web);
		this.#closers.push(() => this.#web.close());
		this.#alerts.start((tellings) =>
			this.#loop.post({ type: 'tellings-changed', tellings: [...tellings] }),
		);
		this.#loop.post({ type: 'tick' });
	}

	async #close(): Promise<void> {
		this.#loop.stop();
		const closing = Promise.allSettled(this.#closers.map(async (close) => await close()));
		const limit = new Promise((resolve) => setTimeout(resolve, closeMs).unref());
		await Promise.race([closing, limit]);
		await Promise.race([this.#alerts.close(), limit]);
		this.#ended = true;
		await Promise.race([this.#history.close(), limit]);
	}

	async #listenToPeer(): Promise<void> {
		const channel = this.#channel;
		channel.onHearing((hearing) => this.#loop.post({ type: 'hearing-changed', ...hearing }));
		channel.onDocument((document) => this.#loop.post({ type: 'document-received', document }));
		channel.onVotes(voteEvents((event) => this.#loop.post(event)));
		channel.onPeerNotes((notes) => this.#history.heard(notes, this.#state, monotonicMs()));
		channel.onNotice((notice) => this.note(notice));
		channel.onFailed((error) => this.failed(error));
		channel.onLinks((links) => {
			this.#links = links;
			this.#postLinks();
		});
		this.#closers.push(() => channel.stop());
		await channel.start();
	}

	#postLinks(): void {
		this.#loop.post({ type: 'links-observed', links: this.#links, gatewayAnswers: this.#gateway });
	}

	#listenToSignals(): void {
		const end = (): void => this.#end(0);
		process.on('SIGTERM', end);
		process.on('SIGINT', end);
		process.on('SIGHUP', () => {
			this.reload().then(
				({ message, status }) => this.#say(status === 'refused' ? 'warn' : 'info', message),
				(error: unknown) => this.#say('error', messageOf(error)),
			);
		});
		process.on('uncaughtException', (error) => this.failed(error));
	}

	/** Ends the process once the peer has the goodbye, or will not take it. */
	async #leave(): Promise<void> {
		await goodbyeTaken(() => this.#state, this.#identity.session);
		this.#end(0);
	}
}

/** What is found before the agent starts. */
interface AgentRun {
	readonly loaded: LoadedConfig;
	readonly bootId: string;
	readonly parts: Parts;
	readonly options: AgentOptions;
}

/** Runs the agent until it is told to end. Throws `config-invalid` and the errors of the state file. */
export const runAgent = async (options: AgentOptions): Promise<number> => {
	process.umask(0o077);
	const log = createLog();
	const loaded = await loadConfig(options.configPath);
	const bootId = readFileSync(options.places.bootId, 'latin1').trim();
	const parts = await openParts(log, loaded.config, { bootId, places: options.places });
	return await new Agent(log, { loaded, bootId, parts, options }).run();
};
