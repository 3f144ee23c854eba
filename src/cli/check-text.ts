import type { Status, Verdict } from '#src/api/view.ts';

/**
 * The answer of a monitoring plugin: https://www.monitoring-plugins.org/doc/guidelines.html. One line with the state
 * and performance data behind a `|`, then the rest of the text.
 */
export interface PluginAnswer {
	/** 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: the exit code. */
	readonly code: 0 | 1 | 2 | 3;
	readonly lines: readonly string[];
}

const words = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'] as const;

const codeOf: Readonly<Record<Verdict, 0 | 1 | 2>> = {
	protected: 0,
	degraded: 1,
	disarmed: 1,
	paused: 1,
	unprotected: 2,
	'failing-over': 2,
	holding: 2,
};

/** A `|` begins performance data wherever it stands. */
const plain = (text: string): string => text.replaceAll('|', '/');

const label = (name: string): string => `'${name.replaceAll(/['=|]/g, '_')}'`;

/** `label=value[unit];warn;crit;min`: what a graph is drawn of. */
const perfdata = (status: Status): string => {
	const wanted = status.vms.filter((vm) => vm.wanted === 'running');
	const running = wanted.filter(({ state }) => state === 'running').length;
	const ready = wanted.filter(({ failover }) => failover.ready).length;
	const unsynced = status.vms.map(({ resync }) => resync?.outOfSyncKib ?? 0);
	const peer = status.hosts.find(({ self }) => !self);
	const values = [
		`vms=${wanted.length};;;0`,
		`vms_running=${running};;;0`,
		`vms_failover_ready=${ready};;;0`,
		`conditions_critical=${count(status, 'critical')};;0;0`,
		`conditions_warning=${count(status, 'warning')};0;;0`,
		`out_of_sync=${unsynced.reduce((sum, each) => sum + each, 0)}KB;;;0`,
		`worst_beat_gap=${status.heartbeat.worstBeatGapMs.toFixed(0)}ms;;;0`,
		`alerts_pending=${status.agent.alertsPending};;;0`,
	];
	if (typeof peer?.heardAgeMs === 'number')
		values.push(`peer_heard_age=${(peer.heardAgeMs / 1000).toFixed(1)}s;;;0`);
	for (const { link, rttMs } of status.links)
		if (rttMs !== null) values.push(`${label(`rtt_${link}`)}=${rttMs.toFixed(1)}ms;;;0`);
	return values.join(' ');
};

const count = ({ conditions }: Status, wanted: 'critical' | 'warning'): number =>
	conditions.filter(({ severity }) => severity === wanted).length;

/** What the monitoring is told of a pair: the worse of the verdict and of what is wrong now. */
export const pluginAnswer = (status: Status): PluginAnswer => {
	const told = count(status, 'critical') > 0 ? 2 : count(status, 'warning') > 0 ? 1 : 0;
	const verdict = codeOf[status.verdict];
	const code = told > verdict ? told : verdict;
	const next = status.next === '' ? '' : ` Next: ${status.next}`;
	return {
		code,
		lines: [
			`VMPAIR ${words[code]} - ${plain(`${status.pairId} is ${status.verdict.replaceAll('-', ' ')}: ${status.reason}${next}`)} | ${perfdata(status)}`,
			...status.conditions.map(({ severity, summary, next: step }) =>
				plain(`${severity}: ${summary}${step === '' ? '' : ` Next: ${step}`}`),
			),
		],
	};
};

/** There is no status: without its agent the host protects nothing; an agent that is only slow proves nothing. */
export const noAnswer = (
	{ message, next }: { readonly message: string; readonly next: string },
	dead: boolean,
): PluginAnswer => {
	const code = dead ? 2 : 3;
	return { code, lines: [`VMPAIR ${words[code]} - ${plain(`${message} Next: ${next}`)}`] };
};
