import { readFile } from 'node:fs/promises';
import process from 'node:process';
import type { HistoryEntry, Status } from '#src/api/view.ts';
import { tokenOf, type WebConfig } from '#src/config/web.ts';
import type { World } from '#src/loop.ts';
import type { MonotonicMs } from '#src/ports.ts';
import { messageOf } from '#src/std/error.ts';
import { Secret } from '#src/std/secret.ts';
import type { HistoryQuery } from '#src/store/journal.ts';
import { Site } from '#src/web/driver-server.ts';
import { metricsText } from '#src/web/metrics.ts';
import { pageOf, type PageView } from '#src/web/page.ts';
import { sampleMs, withSample, type PageSample } from '#src/web/samples.ts';
import { noTimeline, withEntry, type Timeline } from '#src/store/timeline.ts';

/** The agent's part of page and metrics. Whatever goes wrong in it is a sentence; the agent never stops for it. */

/** What page and metrics are made of. */
export interface WebSource extends Pick<World, 'nowMs' | 'note'> {
	status(): Status;
	history(query: HistoryQuery): Promise<readonly HistoryEntry[]>;
}

/** An address that is not there yet, or a port that somebody else holds, is tried again after this, ms. */
const retryMs = 15_000;
/** So far back the last failover is looked for. */
const entriesMax = 2000;
/** As many are shown. */
const shownMax = 25;

/** The clock on the wall of this host: `2026-01-01 03:12:09`. */
const clock = (at: string): string => new Date(at).toLocaleString('sv-SE');

const figures = () => {
	const { user, system } = process.cpuUsage();
	return {
		cpuSeconds: (user + system) / 1_000_000,
		residentBytes: process.memoryUsage.rss(),
		heapBytes: process.memoryUsage().heapUsed,
	};
};

/** The page is not kept waiting for longer by a disk that does not answer: it then shows the history as it was, ms. */
const historyMs = 300;

/** Follows the history of this host for the page. */
const follower = (source: WebSource, tell: (detail: string) => void) => {
	let lastSeq = 0;
	let timeline: Timeline = noTimeline;
	let history: readonly HistoryEntry[] = [];
	let running: Promise<void> | null = null;
	const catchUp = async (): Promise<void> => {
		try {
			const query = { afterSeq: lastSeq, since: null, limit: entriesMax };
			const entries = await source.history(query);
			timeline = entries.reduce(withEntry, timeline);
			history = [...history, ...entries.filter(({ level }) => level !== 'debug')].slice(-shownMax);
			lastSeq = entries.at(-1)?.seq ?? lastSeq;
		} catch (error) {
			tell(`the history cannot be read: ${messageOf(error)}`);
		}
		running = null;
	};
	return async () => {
		running ??= catchUp();
		let timer: NodeJS.Timeout | undefined;
		const limit = new Promise((resolve) => {
			timer = setTimeout(resolve, historyMs);
		});
		await Promise.race([running, limit]);
		clearTimeout(timer);
		return { timeline, history };
	};
};

/** Page and metrics as the configuration wants them. */
export class Web {
	readonly #source: WebSource;
	/** What is in the way of serving them, as sentences with the remedy; empty when nothing is. */
	advice: readonly string[] = [];
	#turn: Promise<void> = Promise.resolve();
	#end: () => Promise<void> = async () => {};

	constructor(source: WebSource) {
		this.#source = source;
	}

	/** Serves what the configuration says from now on, and reads the token anew; null serves nothing. Never throws. */
	configure(host: string, config: WebConfig | null): void {
		const change = async (): Promise<void> => {
			await this.#end();
			this.advice = [];
			this.#end = config === null ? async () => {} : this.#serve(host, config);
		};
		const tell = this.#teller();
		this.#turn = this.#turn.then(change).catch((error: unknown) => tell(messageOf(error)));
	}

	async close(): Promise<void> {
		this.configure('', null);
		await this.#turn;
	}

	/** Tells a problem once, not every second. */
	#teller(): (detail: string) => void {
		let told = '';
		return (detail) => {
			if (detail === told) return;
			told = detail;
			const message = 'page or metrics have a problem; the agent goes on';
			this.#source.note({ level: 'warn', message, fields: { detail } });
		};
	}

	#serve(host: string, config: WebConfig): () => Promise<void> {
		const tell = this.#teller();
		let samples: readonly PageSample[] = [];
		const source = this.#source;
		const sample = (): void => {
			try {
				samples = withSample(samples, source.status(), source.nowMs());
			} catch (error) {
				tell(messageOf(error));
			}
		};
		const sampling = config.page ? setInterval(sample, sampleMs) : undefined;
		const page = this.#pageMaker(() => samples, tell);
		const begin = async (): Promise<Site> =>
			new Site({
				host,
				token: config.tokenFile === null ? null : await readToken(config.tokenFile),
				page: config.page ? page : null,
				metrics: config.metrics ? () => metricsText(source.status(), figures(), Date.now()) : null,
				problem: tell,
			});
		const close = this.#keepListening(config, begin, tell);
		return async () => {
			clearInterval(sampling);
			await close();
		};
	}

	#pageMaker(
		samples: () => readonly PageSample[],
		tell: (detail: string) => void,
	): () => Promise<PageView> {
		const source = this.#source;
		const follow = follower(source, tell);
		return async () => {
			const facts = await follow();
			const nowMs: MonotonicMs = source.nowMs();
			return pageOf({ ...facts, status: source.status(), samples: samples(), nowMs, clock });
		};
	}

	/** Tries until every address is served. The returned function ends it. */
	#keepListening(
		config: WebConfig,
		begin: () => Promise<Site>,
		tell: (detail: string) => void,
	): () => Promise<void> {
		let site: Site | null = null;
		let missing = config.listen;
		let timer: NodeJS.Timeout | undefined;
		let ended = false;
		const round = async (): Promise<void> => {
			const problems: string[] = [];
			try {
				site ??= await begin();
				const still: WebConfig['listen'][number][] = [];
				for (const place of missing) {
					const problem = await listenTo(site, place);
					if (problem === null) continue;
					still.push(place);
					problems.push(problem);
				}
				missing = still;
			} catch (error) {
				problems.push(`page and metrics are not served: ${messageOf(error)}`);
			}
			this.advice = problems;
			for (const problem of problems) tell(problem);
			if (problems.length > 0 && !ended) timer = setTimeout(next, retryMs);
		};
		let turn = round();
		const next = (): void => {
			turn = round();
		};
		return async () => {
			ended = true;
			clearTimeout(timer);
			await turn;
			clearTimeout(timer);
			await site?.close();
		};
	}
}

/** Why an address is not served, with the remedy; null when it is. */
const listenTo = async (
	site: Site,
	{ address, port }: WebConfig['listen'][number],
): Promise<string | null> => {
	try {
		await site.listen(address, port);
		return null;
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		const why =
			code === 'EADDRINUSE'
				? `another program has port ${port}: ss -ltnp "sport = :${port}"`
				: code === 'EADDRNOTAVAIL'
					? `this host does not have the address: ip address`
					: messageOf(error);
		return `page and metrics are not served on ${address} port ${port}, ${why}; it is tried again`;
	}
};

const readToken = async (file: string): Promise<Secret> => {
	const token = tokenOf(await readFile(file, 'utf8'));
	if (token === null) throw new Error(`${file} holds no token: vmpair config check`);
	return new Secret(token);
};
