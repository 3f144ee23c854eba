import { Deadman } from '#src/alert/driver-deadman.ts';
import type { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import { pendingFor } from '#src/alert/outbox.ts';
import { toldOf } from '#src/alert/silence.ts';
import type { Telling } from '#src/alert/turn.ts';
import type {
	AlertDone,
	AlertList,
	AlertReply,
	AlertRequest,
	AlertTrials,
} from '#src/api/alert.ts';
import type { Status } from '#src/api/view.ts';
import type { AlertsConfig } from '#src/config/alerts.ts';
import { conditions } from '#src/engine/conditions.ts';
import { pauseOf } from '#src/engine/pause.ts';
import type { State } from '#src/engine/state.ts';
import type { MonotonicMs } from '#src/ports.ts';
import { tools } from '#src/std/driver-tool.ts';
import { VmpairError } from '#src/std/error.ts';
import { Since } from '#src/std/since.ts';

/** A loop that took no step for so long does not move, ms: it takes one at least every second. */
const movingMs = 10_000;
/** A trial is not waited for any longer, ms: an attempt takes at most as long as the receiver's limit. */
const trialMs = 20_000;

const messageView = ({ id, type, timestamp, severity, data }: AlertMessage) => ({
	id,
	type,
	at: timestamp,
	severity,
	summary: String(data['summary']),
});

/** What the agent has to do with alerts: from the engine's conditions to the receivers, and people's questions. */
export class Alerts {
	readonly #outbox: Outbox;
	readonly #since = new Since();
	#deadman: Deadman | null = null;
	#config: AlertsConfig;
	/** What it said last; `out`: nothing any more; null: it is not heard. */
	#peer: readonly Telling[] | 'out' | null = null;
	#steppedMs = -Infinity;

	constructor(outbox: Outbox, config: AlertsConfig) {
		this.#outbox = outbox;
		this.#config = config;
	}

	/** @param say takes what this host tells its receivers to the peer. */
	start(say: (tellings: readonly Telling[]) => void): void {
		this.#outbox.onTellings(say);
		this.#ping();
	}

	reload(config: AlertsConfig): void {
		const same = JSON.stringify(config.deadman) === JSON.stringify(this.#config.deadman);
		this.#config = config;
		this.#outbox.reload(sinksTo(config.receivers, tools));
		if (!same) this.#ping();
	}

	/** To be called after every step of the engine. */
	stepped(state: State, nowMs: MonotonicMs): void {
		this.#steppedMs = performance.now();
		const list = conditions(state, nowMs);
		this.#since.update(
			list.map(({ key }) => key),
			nowMs,
		);
		const { status, document } = state.peer;
		const out = status === 'out' || status === 'left';
		const peer = status === 'online' && document !== null ? document.tellings : out ? 'out' : null;
		if (peer !== this.#peer) {
			this.#peer = peer;
			if (peer === null || peer === 'out') this.#outbox.unheard(peer === 'out');
			else this.#outbox.heard(peer);
		}
		const { incidents } = this.#outbox.state;
		this.#outbox.conditions(pauseOf(state) === null ? list : toldOf(list, incidents));
	}

	/** The part of the status that is about alerts. */
	view(state: State, nowMs: MonotonicMs): Pick<Status, 'conditions' | 'receivers' | 'deadman'> {
		const { incidents } = this.#outbox.state;
		const { deadman } = this.#config;
		return {
			conditions: conditions(state, nowMs).map((each) => ({
				...each,
				ageMs: this.#since.ageMs(each.key, nowMs),
				acknowledged: incidents.get(each.key)?.acknowledged ?? null,
			})),
			receivers: [...this.#outbox.view()],
			deadman:
				deadman === null || this.#deadman === null
					? null
					: { ...this.#deadman.view, everyMs: deadman.everyMs },
		};
	}

	/** Throws `unknown-receiver`, `unknown-incident` and `nothing-kept`. */
	async answer(request: AlertRequest): Promise<AlertReply<AlertRequest['verb']>> {
		switch (request.verb) {
			case 'list':
				return this.#list();
			case 'test':
				return await this.#test(request.receiver, request.by);
			case 'replay':
				return this.#replay(request);
			case 'ack':
				return await this.#acknowledge(request);
		}
	}

	async close(): Promise<void> {
		this.#deadman?.stop();
		await this.#outbox.close();
	}

	#ping(): void {
		this.#deadman?.stop();
		const { deadman } = this.#config;
		const moving = (): boolean => performance.now() - this.#steppedMs < movingMs;
		this.#deadman = deadman === null ? null : new Deadman(deadman, moving);
	}

	#list(): AlertList {
		const { state, sinks } = this.#outbox;
		return {
			open: [...state.incidents].map(([key, { incident, condition, since, acknowledged }]) => ({
				key,
				incident,
				severity: condition.severity,
				since,
				summary: condition.summary,
				next: condition.next,
				acknowledged: acknowledged ?? null,
			})),
			receivers: this.#outbox.view().map((view) => {
				const sink = sinks.find(({ name }) => name === view.name);
				const waiting = sink === undefined ? [] : pendingFor(state, sink);
				const { name, failures, lastError, lastDeliveredAt } = view;
				return { name, failures, lastError, lastDeliveredAt, waiting: waiting.map(messageView) };
			}),
			kept: state.kept.map(messageView),
		};
	}

	/** The names of all receivers, or the one that is asked for. */
	#receivers(name: string | null): readonly string[] {
		const names = this.#outbox.sinks.map((sink) => sink.name);
		if (name === null ? names.length > 0 : names.includes(name))
			return name === null ? names : [name];
		throw new VmpairError(
			'unknown-receiver',
			name === null
				? 'no receiver of alerts is configured on this host'
				: `there is no receiver "${name}" on this host; there is ${names.join(', ') || 'none'}`,
			{ next: 'write it below alerts in vmpair.yaml, then vmpair reload' },
		);
	}

	async #test(receiver: string | null, by: string): Promise<AlertTrials> {
		return { trials: await this.#outbox.test(this.#receivers(receiver), by, trialMs) };
	}

	#replay({ receiver, which }: Extract<AlertRequest, { verb: 'replay' }>): AlertDone {
		this.#receivers(receiver);
		const { kept, messages } = this.#outbox.state;
		const chosen = [...kept, ...messages]
			.filter((message) =>
				'id' in which
					? message.id === which.id
					: Date.parse(message.timestamp) >= Date.parse(which.since),
			)
			.toSorted((one, other) => one.sequence - other.sequence);
		if (chosen.length === 0)
			throw new VmpairError('nothing-kept', 'no such alert is kept on this host', {
				next: '"vmpair alert list --kept" shows what can be sent again',
			});
		this.#outbox.replay(
			chosen.map(({ id }) => id),
			receiver,
		);
		const count = chosen.length === 1 ? 'one alert is' : `${chosen.length} alerts are`;
		return { message: `${count} on the way to ${receiver}` };
	}

	async #acknowledge({
		key,
		by,
		reason,
	}: Extract<AlertRequest, { verb: 'ack' }>): Promise<AlertDone> {
		const { incidents } = this.#outbox.state;
		// As the receivers show it, with the pair in front.
		const open = [...incidents.keys()];
		const found = open.find((each) => key === each || key.endsWith(`/${each}`));
		if (found === undefined)
			throw new VmpairError(
				'unknown-incident',
				`nothing with the key "${key}" is open on this host; there is ${open.join(', ') || 'nothing'}`,
				{ next: '"vmpair alert list" shows what is open' },
			);
		const before = incidents.get(found)?.acknowledged;
		if (before !== undefined)
			return { message: `${found} was acknowledged by ${before.by} at ${before.at} already` };
		this.#outbox.acknowledge(found, by, reason);
		await this.#outbox.durable();
		return { message: `${found} is acknowledged until it is over` };
	}
}
