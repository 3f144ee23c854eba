import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Redis } from 'ioredis';
import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { WitnessAnswer, WitnessCommand, WitnessOutcome } from '#src/ports-witness.ts';
import { messageOf } from '#src/std/error.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { evalWords, readReply, witnessKey } from '#src/witness/lua.ts';
import {
	blockers,
	connectFinding,
	type Finding,
	kindFindings,
	readInfo,
	readSettings,
	sentinelChannel,
	type ServerFacts,
	settingNames,
} from '#src/witness/server.ts';

/** A command that is not answered after this long is unknown. */
const commandMs = 800;
const connectMs = 1000;
/** So old may be what is known of the server's settings before they are looked at again. */
const settingsMs = 180_000;

/** `refused`: it answers, and may not be used as a witness. */
export type WitnessOpened =
	| { readonly state: 'open'; readonly facts: ServerFacts }
	| { readonly state: 'refused' | 'unreachable'; readonly findings: readonly Finding[] };

/** Milliseconds of the clock that all threads and programs of this host share. */
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

const codeOf = (error: unknown): string =>
	error instanceof Error && 'code' in error ? String(error.code) : '';

const isReply = (error: unknown): error is Error =>
	error instanceof Error && error.name === 'ReplyError';

interface Open {
	readonly redis: Redis;
	readonly runId: string;
	/** When its settings were last looked at, of the monotonic clock. */
	examinedMs: number;
}

/**
 * Gives a socket up at once; never throws. A plain one is reset, so that the kernel forgets what it has not sent yet.
 * One whose end is under way (by us, or because the peer ended) is only closed: Node 24 answers a reset with EINVAL
 * while libuv's shutdown is waiting, keeps the handle for ever, and then neither process nor thread can end.
 */
export function abandon(socket: Socket): void {
	const resets = !(socket instanceof TLSSocket) && !socket.connecting && socket.writable;
	if (resets) socket.resetAndDestroy();
	socket.destroy();
}

/**
 * One connection to the witness, for one pair. Nothing waits in it: without an open connection a command is not
 * sent at all, and nothing is ever sent a second time. After a time-out the connection is given up, so that no
 * later command overtakes the one that may still be on its way.
 */
export class WitnessConnection {
	readonly #access: WitnessAccess;
	readonly #pairId: string;
	readonly #settingsMs: number;
	#open: Open | null = null;
	/** The client that is open or being opened. */
	#client: Redis | null = null;
	#opening: Promise<WitnessOpened> | null = null;
	#renewing = false;
	#closed = false;

	/** `maxAgeMs`: how old what is known of the server's settings may be. */
	constructor(access: WitnessAccess, pairId: string, maxAgeMs = settingsMs) {
		this.#access = access;
		this.#pairId = pairId;
		this.#settingsMs = maxAgeMs;
	}

	/** Connects and checks the server, within 5 s; never rejects. Ends a connection that is open. */
	open(): Promise<WitnessOpened> {
		this.#opening ??= this.#connect().finally(() => {
			this.#opening = null;
		});
		return this.#opening;
	}

	/**
	 * Sends a command and never rejects. Without a connection it is `unknown` and one is opened meanwhile. A renewal
	 * while one is under way is not sent: renewals that queue up would vouch for a time that is over.
	 */
	async send(command: WitnessCommand): Promise<WitnessOutcome> {
		const open = this.#open;
		if (open === null) {
			if (!this.#closed) void this.open();
			return unknown('there is no connection to the witness');
		}
		void this.#examineAgain(open);
		if (command.op !== 'renew') return await this.#ask(open, command);
		if (this.#renewing) return failed('witness-busy', 'the renewal before is not answered yet');
		this.#renewing = true;
		try {
			return await this.#ask(open, command);
		} finally {
			this.#renewing = false;
		}
	}

	/** Removes the record, for a check that made one of its own. Null when it is gone. */
	async remove(): Promise<Finding | null> {
		try {
			await this.#open?.redis.del(witnessKey(this.#pairId));
			return null;
		} catch (error) {
			return connectFinding(codeOf(error), messageOf(error));
		}
	}

	/** Ends the connection for good; what is under way becomes unknown. */
	close(): void {
		this.#closed = true;
		this.#give(this.#client);
	}

	/**
	 * Gives a connection up at once. A command that was sent may be carried out all the same, and long after: a stalled
	 * server reads it when it goes on, and over TLS our kernel even sends what still waits here. What makes that
	 * harmless is that every command names the claim, generation or renewals it was decided under. The reset merely
	 * lets the kernel forget what it has not sent.
	 */
	#give(redis: Redis | null): void {
		if (redis === null) return;
		if (this.#open?.redis === redis) this.#open = null;
		if (this.#client === redis) this.#client = null;
		const { stream } = redis as { readonly stream?: Socket };
		// Before ioredis ends it in order: a connection that is being closed cannot be reset any more.
		if (stream !== undefined) abandon(stream);
		redis.disconnect();
	}

	async #connect(): Promise<WitnessOpened> {
		this.#give(this.#client);
		const redis = this.#newClient();
		this.#client = redis;
		let cause: unknown = null;
		redis.on('error', (error: unknown) => {
			cause ??= error;
		});
		redis.on('close', () => {
			if (this.#open?.redis === redis) this.#open = null;
		});
		try {
			await redis.connect();
			return await this.#examine(redis);
		} catch (error) {
			const first: unknown = cause ?? error;
			const finding = connectFinding(codeOf(first), messageOf(first));
			this.#give(redis);
			return {
				state: finding.code === 'unreachable' ? 'unreachable' : 'refused',
				findings: [finding],
			};
		}
	}

	/** The run id comes first: whatever else is asked belongs to that run. */
	async #examine(redis: Redis): Promise<WitnessOpened> {
		const { facts, findings } = await this.#look(redis);
		if (findings.length > 0 || this.#closed || redis.status !== 'ready') {
			this.#give(redis);
			return findings.length > 0
				? { state: 'refused', findings }
				: { state: 'unreachable', findings: [connectFinding('', 'the connection ended')] };
		}
		this.#open = { redis, runId: facts.runId, examinedMs: monotonicMs() };
		return { state: 'open', facts };
	}

	/**
	 * Settings can change, and a Sentinel come, while the connection stands: then it is given up, and the next one is
	 * refused for the same reason. Beside the commands, so that none of them waits for it.
	 */
	async #examineAgain(open: Open): Promise<void> {
		const nowMs = monotonicMs();
		if (nowMs - open.examinedMs < this.#settingsMs) return;
		open.examinedMs = nowMs;
		try {
			const { findings } = await this.#look(open.redis);
			if (findings.length > 0) this.#give(open.redis);
		} catch (error) {
			// No answer says nothing of the settings, and the commands meet that, too. A right that is gone does.
			if (isReply(error)) this.#give(open.redis);
		}
	}

	async #look(
		redis: Redis,
	): Promise<{ readonly facts: ServerFacts; readonly findings: readonly Finding[] }> {
		const facts = readInfo(await redis.info());
		const kind = kindFindings(facts);
		const findings = kind.length > 0 ? kind : await this.#settingsFindings(redis, facts);
		return { facts, findings };
	}

	async #settingsFindings(redis: Redis, facts: ServerFacts): Promise<readonly Finding[]> {
		const [subscribers, ...answers] = await Promise.all([
			redis.call('PUBSUB', 'NUMSUB', sentinelChannel),
			...settingNames.map((name) => redis.call('CONFIG', 'GET', name)),
		]);
		return blockers(facts, readSettings(answers, subscribers));
	}

	async #ask(open: Open, command: WitnessCommand): Promise<WitnessOutcome> {
		const { redis, runId } = open;
		const words = evalWords(this.#pairId, command);
		const sentMs = monotonicMs();
		let raw: unknown;
		try {
			raw = await redis.call('EVAL', ...words);
		} catch (error) {
			return this.#failure(open, sentMs, error);
		}
		try {
			return succeeded({ runId, sentMs, reply: readReply(raw) });
		} catch (error) {
			return this.#unreadable({ runId, sentMs }, messageOf(error));
		}
	}

	#unreadable(of: Pick<WitnessAnswer, 'runId' | 'sentMs'>, why: string): WitnessOutcome {
		const detail = `the record ${witnessKey(this.#pairId)} is damaged: ${why}`;
		return succeeded({ ...of, reply: { ok: false, refused: 'unreadable', detail } });
	}

	#failure({ redis, runId }: Open, sentMs: number, error: unknown): WitnessOutcome {
		if (!isReply(error)) {
			this.#give(redis);
			// At once, not at the next command: one renewal that is lost shall not cost the one after it, too. An
			// attempt that fails is not repeated here, so there are never more of them than commands.
			if (this.#open === null && !this.#closed) void this.open();
			return unknown(`the witness did not answer: ${messageOf(error)}`);
		}
		const { message } = error;
		// Not the server it was any more: the next connection finds out what it is now.
		if (/^(READONLY|MOVED|LOADING|NOAUTH)/.test(message)) this.#give(redis);
		if (connectFinding('', message).code === 'right') return failed('witness-right', message);
		// The script met something that no command of ours has written.
		if (/^(WRONGTYPE|VMPAIRFORMAT)|user_script/.test(message) && !/OOM|MISCONF/.test(message))
			return this.#unreadable({ runId, sentMs }, message);
		return failed('witness-error', message);
	}

	#newClient(): Redis {
		const { address, port, username, password, tls } = this.#access;
		return new Redis({
			host: address,
			port,
			username,
			password: password.reveal(),
			...(tls === null
				? {}
				: {
						tls: {
							ca: [tls.caPem],
							minVersion: 'TLSv1.2',
							...(tls.name === null ? {} : { servername: tls.name }),
							...(tls.certificatePem === null ? {} : { cert: tls.certificatePem }),
							...(tls.keyPem === null ? {} : { key: tls.keyPem }),
						},
					}),
			lazyConnect: true,
			connectTimeout: connectMs,
			commandTimeout: commandMs,
			// A command is sent now, over this connection, or never.
			enableOfflineQueue: false,
			autoResendUnfulfilledCommands: false,
			maxRetriesPerRequest: 0,
			retryStrategy: () => null,
			reconnectOnError: () => false,
			// Nothing but the password may go out before our own INFO.
			enableReadyCheck: false,
			disableClientInfo: true,
			protocol: 2,
		});
	}
}
