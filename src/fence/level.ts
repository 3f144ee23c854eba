import { failed, succeeded, unknown, type Failed, type Unknown } from '#src/ports-outcome.ts';
import type { Outcome, PowerState } from '#src/ports.ts';

/** What one device of a level answered. */
export interface DeviceOutcome<Value = unknown> {
	readonly device: string;
	readonly outcome: Outcome<Value>;
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
 * The power of a host from all devices of its level (V22): `off` only when every one of them says off, for a
 * host with two power supplies runs on with one outlet off. One that says on is enough for `on`.
 */
export const powerOfLevel = (
	answers: readonly DeviceOutcome<PowerState>[],
): Outcome<PowerState> => {
	const says =
		(power: PowerState) =>
		(answer: DeviceOutcome<PowerState>): boolean =>
			answer.outcome.result === 'succeeded' && answer.outcome.value === power;
	if (answers.some(says('on'))) return succeeded('on');
	const without = worst(answers);
	if (without !== null) return without;
	if (answers.length > 0 && answers.every(says('off'))) return succeeded('off');
	return unknown('no fence device answered');
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
