import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { cell, paint, table, wrap } from '#src/cli/text.ts';
import { tryWitness } from '#src/cli/witness-trial.ts';
import type { Config } from '#src/config/config.ts';
import { defaultConfigFile, loadConfig } from '#src/config/driver.ts';
import type { WitnessOutcome, WitnessRecord } from '#src/ports-witness.ts';
import { VmpairError } from '#src/std/error.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { looksVirtual, readWitnessAccess } from '#src/witness/driver-access.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import { type Finding, type ServerFacts, warnings } from '#src/witness/server.ts';
import { span } from '#src/std/span.ts';

interface Result {
	readonly server: ServerFacts | null;
	readonly record: WitnessRecord | null;
	readonly renewalsMs: readonly number[];
	readonly findings: readonly Finding[];
}

const middle = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;

const recordIn = (outcome: WitnessOutcome): WitnessRecord | null =>
	outcome.result === 'succeeded' && 'record' in outcome.value.reply
		? outcome.value.reply.record
		: null;

/** What is wrong with the record of the pair itself; none yet is as it should be before the pair first meets. */
const recordFinding = (outcome: WitnessOutcome, pairId: string): Finding | null => {
	const trouble = (message: string, next: string): Finding => ({
		code: 'record',
		severity: 'blocker',
		message,
		next,
	});
	if (outcome.result !== 'succeeded')
		return trouble(`The record of this pair cannot be read: ${outcome.detail}.`, 'try it again');
	const { reply } = outcome.value;
	if (reply.ok || reply.refused === 'absent') return null;
	if (reply.refused === 'unreadable')
		return trouble(
			`The record of this pair cannot be read: ${reply.detail}.`,
			`when both hosts are in contact and healthy, remove it on the witness (redis-cli DEL vmpair:${pairId}); they write it anew together`,
		);
	return trouble(
		`The key vmpair:${pairId} holds the record of another pair.`,
		'give each pair a name of its own ("pair" in vmpair.yaml)',
	);
};

const examine = async (config: Config, access: WitnessAccess): Promise<Result> => {
	const nothing = { server: null, record: null, renewalsMs: [], findings: [] };
	const connection = new WitnessConnection(access, config.pairId);
	try {
		const opened = await connection.open();
		if (opened.state !== 'open') return { ...nothing, findings: opened.findings };
		const server = opened.facts;
		// One trial record for each host: both may be checked at the same time.
		const own = config.hostNames.indexOf(config.host) + 1;
		const trial = await tryWitness(access, `${config.pairId}:check:${own}`);
		if (trial.finding !== null) return { ...nothing, server, findings: [trial.finding] };
		const outcome = await connection.send({ op: 'read', host: config.host });
		const damaged = recordFinding(outcome, config.pairId);
		const seen = {
			encrypted: access.tls !== null || access.address.startsWith('127.'),
			username: access.username,
			virtual: await looksVirtual(access.address),
			medianMs: middle(trial.renewalsMs),
		};
		return {
			server,
			record: recordIn(outcome),
			renewalsMs: trial.renewalsMs,
			findings: [...(damaged === null ? [] : [damaged]), ...warnings(server, seen)],
		};
	} finally {
		connection.close();
	}
};

const recordText = (record: WitnessRecord | null): string => {
	if (record === null) return 'none of this pair';
	const claim = record.claim === null ? 'no claim' : `claimed by ${record.claim.by}`;
	return `version ${record.version}, ${claim}, ${Object.keys(record.resources).length} resources`;
};

const hostRows = (record: WitnessRecord | null): readonly (readonly [string, string])[] =>
	Object.entries(record?.hosts ?? {}).map(([host, { renewals, watchdogMs }]) => [
		host,
		`${renewals} renewals, ${watchdogMs === null ? 'no armed watchdog' : `watchdog armed, ${watchdogMs} ms`}`,
	]);

const rows = (access: WitnessAccess, result: Result): readonly (readonly [string, string])[] => {
	const { server, renewalsMs } = result;
	const where = `${access.address} port ${access.port}, user ${access.username}, ${access.tls === null ? 'not encrypted' : 'TLS'}`;
	if (server === null) return [['witness', where]];
	const up = span(server.uptimeSeconds * 1000);
	return [
		['witness', where],
		['server', `Redis ${server.version}, up ${up}`],
		['run id', server.runId],
		...(renewalsMs.length === 0
			? []
			: [
					[
						'renewal',
						`${middle(renewalsMs).toFixed(1)} ms, the slowest of ${renewalsMs.length} ${(renewalsMs.at(-1) ?? 0).toFixed(1)} ms; 800 ms count as lost`,
					] as const,
					['record', recordText(result.record)] as const,
				]),
		...hostRows(result.record),
	];
};

const tell = (access: WitnessAccess, result: Result, around: Surroundings): void => {
	const columns = [
		{ title: '', shed: 0 },
		{ title: '', shed: 0 },
	];
	const cells = rows(access, result).map(([name, text]) => [cell(name, 'dim'), cell(text)]);
	for (const line of table(columns, cells, around.columns, around.colour).slice(1))
		around.print(line);
	for (const { severity, code, message, next } of result.findings) {
		const tone = severity === 'blocker' ? 'bad' : 'warn';
		around.print('');
		for (const line of wrap(`${severity} (${code}): ${message}`, around.columns))
			around.print(paint(line, tone, around.colour));
		for (const line of wrap(`next: ${next}`, around.columns, '  ')) around.print(line);
	}
	around.print('');
};

const verdict = (result: Result): string => {
	const blocked = result.findings.some(({ severity }) => severity === 'blocker');
	return blocked ? 'This witness cannot be used as it is.' : 'This witness can be used.';
};

const codeOf = ({ findings }: Result): number => {
	if (findings.some(({ code }) => code === 'unreachable')) return exit.unreachable;
	return findings.some(({ severity }) => severity === 'blocker') ? exit.failed : exit.done;
};

/**
 * `vmpair witness check [--config FILE] [--json]`: connects as this host would, carries out every command on a
 * trial record, and shows what is wrong with its remedy. Ends with 69 when the witness does not answer.
 */
export const witnessCheck = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('witness', argv, {
		config: { type: 'string', default: defaultConfigFile },
		json: { type: 'boolean', default: false },
	});
	const { config } = await loadConfig(values.config);
	if (config.witness === null)
		throw new VmpairError('witness-not-configured', 'No witness is configured.', {
			next: `add the section "witness" to ${values.config}, on both hosts (/usr/share/doc/vmpair/witness.md)`,
		});
	const access = await readWitnessAccess(config.witness);
	const result = await examine(config, access);
	if (values.json)
		around.print(JSON.stringify({ usable: codeOf(result) === exit.done, ...result }));
	else {
		tell(access, result, around);
		around.print(verdict(result));
	}
	return codeOf(result);
};
