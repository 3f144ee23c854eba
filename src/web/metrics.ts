import type { Status } from '#src/api/view.ts';
import { dropReasons } from '#src/heartbeat/drop.ts';
import {
	counter,
	exposition,
	gauge,
	one,
	states,
	type Family,
	type Sample,
} from '#src/web/exposition.ts';
import { loadFamilies } from '#src/web/metrics-load.ts';
import { drbdFamilies, vmFamilies } from '#src/web/metrics-vm.ts';

/** What the agent's own process uses, as the operating system counts it. */
export interface ProcessFigures {
	readonly cpuSeconds: number;
	readonly residentBytes: number;
	readonly heapBytes: number;
}

/** Every value of a state, so that its series is there before it is first needed. */
const verdicts = [
	'protected',
	'degraded',
	'unprotected',
	'failing-over',
	'holding',
	'disarmed',
	'paused',
] as const satisfies readonly Status['verdict'][];
const hostStates = [
	'online',
	'suspect',
	'agent-down',
	'lost',
	'left',
	'out',
	'unknown',
] as const satisfies readonly Status['hosts'][number]['state'][];
const arbiters = ['witness', 'fencing', 'person', 'changing'] as const;
const powers = ['on', 'off', 'unknown'] as const;
const votes = ['held', 'ending', 'none'] as const;
const severities = ['critical', 'warning', 'info'] as const;

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

/** When something of this age happened: seconds since 1970, to a tenth. */
const when = (nowMs: number, ageMs: number | null): number | null =>
	ageMs === null ? null : Math.round((nowMs - ageMs) / 100) / 10;

const pairFamilies = (status: Status): readonly Family[] => [
	gauge('vmpair_build_info', 'The agent that answers; always 1.', [
		[{ version: status.agent.version, pair: status.pairId, host: status.self }, 1],
	]),
	gauge(
		'vmpair_verdict',
		'What the status says of the pair in one word; 1 for the one that holds.',
		states({}, 'verdict', verdicts, status.verdict),
	),
	one(
		'vmpair_armed',
		'Whether the pair is armed; it may be paused all the same.',
		status.armed.armed,
	),
	one(
		'vmpair_pause_left_seconds',
		'What is left of a pause of automatic action; 0 when there is none.',
		(status.pause?.leftMs ?? 0) / 1000,
	),
	gauge(
		'vmpair_arbiter',
		'What decides that a host may act alone; 1 for the one in force.',
		states({}, 'arbiter', arbiters, status.arbiter),
	),
	one('vmpair_preflight_findings', 'What forbids arming on this host.', status.preflight.length),
	one(
		'vmpair_detection_seconds',
		'The detection time: silence after which the peer counts as lost.',
		seconds(status.timing.detectionMs),
	),
];

const hostFamilies = ({ hosts }: Status, nowMs: number): readonly Family[] => {
	const each = (
		value: (host: Status['hosts'][number]) => number | boolean | null,
	): readonly Sample[] => hosts.map((host) => [{ host: host.host }, value(host)]);
	return [
		gauge(
			'vmpair_host_state',
			'How a host is seen from here; 1 for the state that holds.',
			hosts.flatMap(({ host, state }) => states({ host }, 'state', hostStates, state)),
		),
		gauge(
			'vmpair_host_info',
			'The version of the agent of each host; always 1.',
			hosts.map(({ host, version }) => [
				{ host, version: version ?? '' },
				version === null ? null : 1,
			]),
		),
		gauge(
			'vmpair_host_heard_timestamp_seconds',
			'When the last document of a host came in.',
			each(({ heardAgeMs }) => when(nowMs, heardAgeMs)),
		),
		gauge(
			'vmpair_host_joined',
			'Whether a host has met the other one since it booted.',
			each(({ joined }) => joined),
		),
		gauge(
			'vmpair_host_standby',
			'Whether a host takes no VMs over.',
			each(({ standby }) => standby),
		),
		gauge(
			'vmpair_host_emptied',
			'Whether the VMs of a host go to the other one now.',
			each(({ emptied }) => emptied),
		),
		gauge(
			'vmpair_host_config_agrees',
			'Whether the configuration of a host agrees with the one here where it must.',
			each(({ configAgrees }) => configAgrees),
		),
		gauge(
			'vmpair_host_lag_seconds',
			'How far the main loop of the agent of a host is behind.',
			each(({ lagMs }) => seconds(lagMs)),
		),
		gauge(
			'vmpair_host_free_memory_bytes',
			'Memory of a host that a VM could have.',
			each(({ freeMemoryMib }) => (freeMemoryMib === null ? null : freeMemoryMib * 1024 * 1024)),
		),
	];
};

const linkFamilies = ({ links, heartbeat }: Status): readonly Family[] => {
	const counted = (name: string, help: string, value: number): Family =>
		counter(`vmpair_heartbeat_${name}_total`, help, [[{}, value]]);
	return [
		gauge(
			'vmpair_link_up',
			'Whether beats of the peer arrive on a link.',
			links.map(({ link, state }) => [{ link }, state === 'up']),
		),
		gauge(
			'vmpair_link_rtt_seconds',
			'Round trip of the last echoed beat, renewed every 10 seconds.',
			links.map(({ link, rttMs }) => [{ link }, seconds(rttMs)]),
		),
		gauge(
			'vmpair_link_carrier',
			'Whether the network device of a link has carrier.',
			links.map(({ link, carrier }) => [{ link }, carrier]),
		),
		counted('beats_received', 'Beats of the peer on all links.', heartbeat.beatsReceived),
		counted('beats_withheld', 'Own beats that found a full buffer.', heartbeat.beatsWithheld),
		counted('documents_received', 'Documents of the peer.', heartbeat.documentsReceived),
		counted('connections', 'Authenticated connections that were opened.', heartbeat.connections),
		counted('disconnections', 'Those that were closed again.', heartbeat.disconnections),
		counted(
			'unacknowledged',
			'Connections ended because the peer echoed nothing in time.',
			heartbeat.unacknowledged,
		),
		counter(
			'vmpair_heartbeat_dropped_total',
			'Messages and connections that were dropped, by reason and by who sent them.',
			dropReasons.flatMap((reason): Sample[] => [
				[{ reason, from: 'peer' }, heartbeat.droppedOfPeer[reason]],
				[{ reason, from: 'stranger' }, heartbeat.dropped[reason] - heartbeat.droppedOfPeer[reason]],
			]),
		),
		one(
			'vmpair_heartbeat_worst_gap_seconds',
			'The longest time without a beat between two beats of one session of the peer.',
			seconds(heartbeat.worstBeatGapMs),
		),
		one(
			'vmpair_heartbeat_worst_send_gap_seconds',
			'The longest time between two rounds of own beats.',
			seconds(heartbeat.worstSendGapMs),
		),
	];
};

const fenceFamilies = ({ fencing }: Status, nowMs: number): readonly Family[] => {
	const target = fencing?.target ?? '';
	const devices =
		fencing?.levels.flatMap(({ level, devices: all, ageMs }) =>
			all.map(({ device, power }) => ({
				labels: { target, level: String(level), device },
				power,
				ageMs,
			})),
		) ?? [];
	const own = (value: number | boolean | null | undefined): readonly Sample[] =>
		fencing === null ? [] : [[{ target }, value ?? null]];
	return [
		gauge(
			'vmpair_fence_power',
			'The power of the peer by all levels together; 1 for the reading that holds.',
			fencing === null ? [] : states({ target }, 'power', powers, fencing.power),
		),
		gauge(
			'vmpair_fence_power_asked_timestamp_seconds',
			'When that was asked.',
			own(fencing && when(nowMs, fencing.powerAgeMs)),
		),
		gauge(
			'vmpair_fence_device_power',
			'What a fence device said last; 1 for the reading that holds.',
			devices.flatMap(({ labels, power }) => states(labels, 'power', powers, power)),
		),
		gauge(
			'vmpair_fence_device_answers',
			'Whether a fence device answered the last question.',
			devices.map(({ labels, power, ageMs }) => [
				labels,
				ageMs === null ? null : power !== 'unknown',
			]),
		),
		gauge(
			'vmpair_fence_open',
			'Whether a power-off may still land.',
			own(fencing?.openFence !== null),
		),
		gauge(
			'vmpair_fence_attempts',
			'Power-offs of the present attempt to take the peer out.',
			own(fencing?.attempts),
		),
		gauge('vmpair_fences_last_hour', 'Power-offs in the last hour.', own(fencing?.lastHour)),
		gauge('vmpair_fences_hour_limit', 'Never more than this.', own(fencing?.perHourMax)),
	];
};

const witnessFamilies = ({ witness, hosts }: Status, nowMs: number): readonly Family[] => {
	const own = (value: (there: NonNullable<Status['witness']>) => Sample[1]): readonly Sample[] =>
		witness === null ? [] : [[{}, value(witness)]];
	return [
		gauge(
			'vmpair_witness_grants',
			'Whether the third voter serves this host.',
			own(({ grants }) => grants),
		),
		gauge(
			'vmpair_witness_vote',
			'What the votes of this host are worth; 1 for what holds.',
			witness === null ? [] : states({}, 'vote', votes, witness.vote),
		),
		gauge(
			'vmpair_witness_vote_timestamp_seconds',
			'When the youngest vote was given.',
			own(({ voteAgeMs }) => when(nowMs, voteAgeMs)),
		),
		gauge(
			'vmpair_witness_claimed',
			'Whether a host claims to act against the other one.',
			witness === null ? [] : hosts.map(({ host }) => [{ host }, witness.claimedBy === host]),
		),
		gauge(
			'vmpair_witness_lease_seconds',
			'So long a vote keeps a VM runnable.',
			own(({ leaseMs }) => seconds(leaseMs)),
		),
		gauge(
			'vmpair_watchdog_armed',
			'Whether a host vouches for an armed watchdog.',
			witness?.watchdogs.map(({ host, timeoutMs }) => [{ host }, timeoutMs !== null]) ?? [],
		),
	];
};

const alertFamilies = ({ conditions, receivers, agent, advice }: Status): readonly Family[] => [
	gauge(
		'vmpair_condition',
		'A condition that is in force now; always 1. Each name has a page in the runbook.',
		conditions.map(({ name, subject, severity }) => [{ name, subject, severity }, 1]),
	),
	gauge(
		'vmpair_conditions',
		'How many conditions are in force.',
		severities.map((severity) => [
			{ severity },
			conditions.filter((each) => each.severity === severity).length,
		]),
	),
	one('vmpair_advice', 'What is allowed but worth mending on this host.', advice.length),
	one('vmpair_alerts_pending', 'Alerts that wait for their receiver.', agent.alertsPending),
	gauge(
		'vmpair_receiver_alerts_pending',
		'Alerts that wait, by receiver.',
		receivers.map(({ name, pending }) => [{ receiver: name }, pending]),
	),
	gauge(
		'vmpair_receiver_failures',
		'Failed attempts since the last delivery, by receiver.',
		receivers.map(({ name, failures }) => [{ receiver: name }, failures]),
	),
	counter('vmpair_history_lost_total', 'Entries of the history that were never written.', [
		[{}, agent.historyLost],
	]),
];

const processFamilies = (
	{ agent }: Status,
	{ cpuSeconds, residentBytes, heapBytes }: ProcessFigures,
	nowMs: number,
): readonly Family[] => [
	one('process_start_time_seconds', 'When the agent started.', when(nowMs, agent.uptimeMs)),
	counter('process_cpu_seconds_total', 'Processor time of the agent.', [[{}, cpuSeconds]]),
	one('process_resident_memory_bytes', 'Memory of the agent.', residentBytes),
	one('nodejs_heap_size_used_bytes', 'What its program uses of that.', heapBytes),
];

/**
 * The status as Prometheus reads it. `nowMs` is the wall clock, ms since 1970: ages become times, so that a value
 * that nobody renews grows old visibly. What is unknown has no line.
 */
export const metricsText = (status: Status, figures: ProcessFigures, nowMs: number): string =>
	exposition([
		...pairFamilies(status),
		...hostFamilies(status, nowMs),
		...linkFamilies(status),
		...fenceFamilies(status, nowMs),
		...witnessFamilies(status, nowMs),
		...vmFamilies(status),
		...drbdFamilies(status, nowMs),
		...loadFamilies(status, nowMs),
		...alertFamilies(status),
		...processFamilies(status, figures, nowMs),
	]);
