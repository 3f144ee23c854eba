import { answer, type Answer, type Exited, notUnderstood } from '#src/health/answer.ts';

/** The status of a sensor with thresholds. Source: ipmitool 1.8.19, lib/ipmi_sdr.c, `ipmi_sdr_get_thresh_status`. */
const severities: Readonly<Record<string, 'ok' | 'warning' | 'critical'>> = {
	ok: 'ok',
	nc: 'warning',
	lnc: 'warning',
	unc: 'warning',
	cr: 'critical',
	lcr: 'critical',
	ucr: 'critical',
	nr: 'critical',
	lnr: 'critical',
	unr: 'critical',
};

interface Sensor {
	readonly text: string;
	readonly severity: 'ok' | 'warning' | 'critical';
}

/**
 * A sensor with thresholds is `NAME,VALUE,UNIT,STATUS`. `NAME,,,ns` has no reading now, a fan that is not there for
 * instance. Discrete ones, `NAME,A1h,ok,4.0,STATE`, are `ok` whatever they show, so they say nothing.
 */
const sensorOf = (line: string): Sensor | null => {
	const [name = '', value = '', unit = '', status = ''] = line
		.split(',')
		.map((each) => each.trim());
	const severity = severities[status];
	if (severity === undefined || name === '' || value === '') return null;
	return { text: `${name} is at ${value} ${unit}`, severity };
};

/** More names would not be read. */
const namesMax = 3;

const named = (sensors: readonly Sensor[], beyond: string): string => {
	const names = sensors.slice(0, namesMax).map(({ text }) => text);
	const rest = sensors.length - names.length;
	return `${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}: beyond ${beyond}`;
};

/** What the sensors of the board say, by `ipmitool -c sdr` through the host's own interface. */
export const sensorsAnswer = (end: Exited): Answer => {
	const sensors = end.stdout.split('\n').flatMap((line) => sensorOf(line) ?? []);
	if (sensors.length === 0)
		return end.exitCode === 0
			? answer('unknown', 'no sensor of this board has thresholds and a reading')
			: notUnderstood('ipmitool', end);
	const critical = sensors.filter(({ severity }) => severity === 'critical');
	if (critical.length > 0) return answer('critical', named(critical, 'the critical limit'));
	const warning = sensors.filter(({ severity }) => severity === 'warning');
	if (warning.length > 0) return answer('warning', named(warning, 'the first limit'));
	// A board that stopped to answer half-way has not shown all that it has.
	return end.exitCode === 0
		? answer('ok', `${sensors.length} sensors are within their limits`)
		: notUnderstood('ipmitool', end);
};
