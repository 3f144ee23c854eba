import { failed, succeeded, unknown, type Failed, type Unknown } from '#src/ports-outcome.ts';
import type { DeviceReading, Outcome, PowerState } from '#src/ports.ts';

/** How an act on one device of a level ended. */
export interface DeviceOutcome {
	readonly device: string;
	readonly outcome: Outcome;
}

const detailOf = (answers: readonly DeviceOutcome[]): string =>
	answers
		.flatMap(({ device, outcome }) =>
			outcome.result === 'succeeded' ? [] : [`${device}: ${outcome.detail}`],
		)
		.join('; ');

/** The worst of several: an unknown one, else a failed one; null when all succeeded. */
const worst = (answers: readonly DeviceOutcome[]): Failed | Unknown | null => {
	const detail = detailOf(answers);
	if (answers.some(({ outcome }) => outcome.result === 'unknown')) return unknown(detail);
	for (const { outcome } of answers) {
		if (outcome.result === 'failed') return failed(outcome.code, detail);
	}
	return null;
};

/**
 * The power of a host from all devices of one level (V22): `off` only when every one of them says off, for a
 * host with two power supplies runs on with one outlet off. One that says on is enough for `on`. Null: unknown.
 */
export const powerOfLevel = (readings: readonly DeviceReading[]): PowerState | null => {
	if (readings.some(({ power }) => power === 'on')) return 'on';
	return readings.length > 0 && readings.every(({ power }) => power === 'off') ? 'off' : null;
};

/**
 * An act on a level succeeded only when it did on every device, and failed only when it did on every one: what some
 * of them did may have taken the others' power, and the outcome is unknown.
 */
export const actOnLevel = (answers: readonly DeviceOutcome[]): Outcome => {
	const bad = worst(answers);
	if (bad === null)
		return answers.length > 0 ? succeeded(null) : unknown('no fence device was asked');
	const codes = answers.map(({ outcome }) => (outcome.result === 'failed' ? outcome.code : null));
	return codes.every((code) => code === codes[0]) ? bad : unknown(bad.detail);
};
