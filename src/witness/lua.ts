import type { WitnessCommand, WitnessRecord, WitnessReply } from '#src/ports-witness.ts';
import { witnessRecordSchema, witnessRefusals } from '#src/ports-witness.ts';
import * as z from 'zod';

/**
 * The commands of the witness as Lua, one script each: Redis runs a script from start to end with nothing in
 * between. A pair's record is one Redis hash: a renewal every second then writes a few bytes to the disk of the
 * witness, whatever the number of VMs, and lists inside a resource's record reach Lua as text, which would
 * otherwise turn an empty list into an empty mapping.
 *
 * Every script makes at most one write, so an error reply means that nothing was changed (`seed` over an older
 * record makes two; its first one fails when any of them would).
 */

/** The key of a pair's record. */
export const witnessKey = (pairId: string): string => `vmpair:${pairId}`;

const prelude = `
local key, pair, host = KEYS[1], ARGV[1], ARGV[2]
local function record() return redis.call('HGETALL', key) end
local function refused(why) return {why, record()} end
local function field(name) return redis.call('HGET', key, name) or '' end
local function number(name)
  local text = field(name)
  if text == '' then return 0 end
  return tonumber(text)
end
local function write(...)
  redis.call('HSET', key, 'version', number('version') + 1, ...)
  return {'', record()}
end
local function stored(resource)
  local text = field('resource:' .. resource)
  if text == '' then return {generation = 0, inSync = {}} end
  return cjson.decode(text)
end
local function has(list, name)
  for _, each in ipairs(list) do if each == name then return true end end
  return false
end
`;

const known = `
if redis.call('EXISTS', key) == 0 then return {'absent', {}} end
if field('pair') ~= pair then return {'other-pair', {}} end
if field('format') ~= '1' then return redis.error_reply('VMPAIRFORMAT another format') end
`;

/**
 * Whatever presupposes a claim, or that there is none, names what it was decided on: a claim that was made or ended
 * since makes it void, however long it was under way.
 */
const underClaim = `
if number('claim-version') ~= tonumber(ARGV[3]) then return refused('changed') end
local function claim(by, against)
  return write('claim-by', by, 'claim-against', against, 'claim-version', number('version') + 1)
end
`;

/** A generation that does not grow would let an older command of the same host pass for a newer one. */
const grown = `
local resource, expected, text = ARGV[4], tonumber(ARGV[5]), ARGV[6]
local before, after = stored(resource), cjson.decode(text)
if before.generation ~= expected or after.generation <= expected then return refused('generation') end
`;

const scripts: Readonly<Record<WitnessCommand['op'], string>> = {
	read: `${prelude}${known}
return {'', record()}`,

	renew: `${prelude}${known}
if field('claim-against') == host then return refused('claimed') end
if field('renewals:' .. host) ~= ARGV[5] then return refused('renewed') end
return write('renewals:' .. host, number('renewals:' .. host) + 1,
  'boot:' .. host, ARGV[3], 'watchdog:' .. host, ARGV[4])`,

	seed: `${prelude}
local expected = tonumber(ARGV[3])
if redis.call('EXISTS', key) == 1 then
  if field('pair') ~= pair then return {'other-pair', {}} end
  if expected == nil or number('version') ~= expected or tonumber(ARGV[4]) <= expected then
    return refused('changed')
  end
  redis.call('DEL', key)
elseif expected ~= nil then
  return {'absent', {}}
end
redis.call('HSET', key, 'version', ARGV[4], unpack(ARGV, 5))
return {'', record()}`,

	claim: `${prelude}${known}${underClaim}
if field('claim-by') ~= '' then return refused('claimed') end
if field('renewals:' .. ARGV[4]) ~= ARGV[5] then return refused('renewed') end
return claim(host, ARGV[4])`,

	withdraw: `${prelude}${known}${underClaim}
if field('claim-against') == host then return {'', record()} end
return claim('', '')`,

	'void-claim': `${prelude}${known}${underClaim}
local by = field('claim-by')
if by == '' or by == host then return refused('changed') end
if field('renewals:' .. by) ~= ARGV[4] then return refused('renewed') end
return claim('', '')`,

	// A claimed host may give its own VM up, and nothing else: no growth hides in a release.
	change: `${prelude}${known}${underClaim}${grown}
if field('claim-against') == host then
  local same = #before.inSync == #after.inSync
  for _, each in ipairs(before.inSync) do same = same and has(after.inSync, each) end
  if after.owner ~= cjson.null or before.owner ~= host or not same then return refused('claimed') end
end
return write('resource:' .. resource, text)`,

	takeover: `${prelude}${known}${underClaim}
local by = field('claim-by')
if by == '' then return refused('changed') end
if by ~= host then return refused('claimed') end
${grown}
if ARGV[7] ~= '' and field('renewals:' .. field('claim-against')) ~= ARGV[7] then
  return refused('renewed')
end
if not has(before.inSync, host) then return refused('not-in-sync') end
return write('resource:' .. resource, text)`,
};

const orEmpty = (value: number | null): string => (value === null ? '' : String(value));

/** The fields of a record as Redis holds them, all but its version. */
const fieldsOf = (record: WitnessRecord): readonly string[] => [
	'format',
	String(record.format),
	'pair',
	record.pairId,
	...Object.entries(record.hosts).flatMap(([host, { renewals, bootId, watchdogMs }]) => [
		`renewals:${host}`,
		String(renewals),
		`boot:${host}`,
		bootId,
		`watchdog:${host}`,
		orEmpty(watchdogMs),
	]),
	'claim-by',
	record.claim?.by ?? '',
	'claim-against',
	record.claim?.against ?? '',
	'claim-version',
	String(record.claimVersion),
	...Object.entries(record.resources).flatMap(([resource, each]) => [
		`resource:${resource}`,
		JSON.stringify(each),
	]),
];

const argumentsOf = (command: WitnessCommand): readonly string[] => {
	switch (command.op) {
		case 'read':
			return [];
		case 'renew': {
			const { bootId, watchdogMs, expectedRenewals } = command;
			return [bootId, orEmpty(watchdogMs), orEmpty(expectedRenewals)];
		}
		case 'seed': {
			const { expectedVersion, record } = command;
			return [orEmpty(expectedVersion), String(record.version), ...fieldsOf(record)];
		}
		case 'withdraw':
			return [String(command.claimVersion)];
		case 'claim': {
			const { claimVersion, against, expectedRenewals } = command;
			return [String(claimVersion), against, orEmpty(expectedRenewals)];
		}
		case 'void-claim':
			return [String(command.claimVersion), String(command.expectedRenewals)];
		case 'change':
		case 'takeover': {
			const { claimVersion, resource, expectedGeneration, record } = command;
			const written = [resource, String(expectedGeneration), JSON.stringify(record)];
			const common = [String(claimVersion), ...written];
			return command.op === 'change' ? common : [...common, orEmpty(command.expectedRenewals)];
		}
	}
};

/**
 * The words of a command after `EVAL`. The whole script is sent each time: with its hash alone, a server that does
 * not know it would have to be sent the command a second time, perhaps long after the caller gave it up.
 */
export const evalWords = (pairId: string, command: WitnessCommand): readonly string[] => {
	return [
		scripts[command.op],
		'1',
		witnessKey(pairId),
		pairId,
		command.host,
		...argumentsOf(command),
	];
};

const replySchema = z.tuple([z.enum(['', ...witnessRefusals]), z.array(z.string())]);

/** A whole number as text; anything else becomes what no schema takes. */
const whole = (text: string): number => (/^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN);
const wholeOrNull = (text: string): number | null => (text === '' ? null : whole(text));

const recordOf = (flat: readonly string[]): unknown => {
	const fields = new Map<string, string>();
	for (let at = 0; at < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '');
	/** The fields of a kind, by the name after it. */
	const of = (kind: string): readonly (readonly [string, string])[] =>
		[...fields]
			.filter(([key]) => key.startsWith(`${kind}:`))
			.map(([key, value]) => [key.slice(kind.length + 1), value]);
	const text = (key: string): string => fields.get(key) ?? '';
	return {
		format: whole(text('format')),
		pairId: text('pair'),
		version: whole(text('version')),
		hosts: Object.fromEntries(
			of('renewals').map(([host, renewals]) => [
				host,
				{
					renewals: whole(renewals),
					bootId: text(`boot:${host}`),
					watchdogMs: wholeOrNull(text(`watchdog:${host}`)),
				},
			]),
		),
		claim:
			text('claim-by') === '' ? null : { by: text('claim-by'), against: text('claim-against') },
		claimVersion: whole(text('claim-version')),
		resources: Object.fromEntries(
			of('resource').map(([resource, record]): readonly [string, unknown] => [
				resource,
				JSON.parse(record),
			]),
		),
	};
};

const parsed = <Value>(schema: z.ZodType<Value>, value: unknown): Value => {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	const issue = result.error.issues[0];
	throw new Error(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}`);
};

/** A script's answer as a reply. Throws an error that says what is wrong when it, or the record, is damaged. */
export const readReply = (raw: unknown): WitnessReply => {
	const [refused, flat] = parsed(replySchema, raw);
	if (refused === 'absent' || refused === 'other-pair') return { ok: false, refused, record: null };
	const record = parsed(witnessRecordSchema, recordOf(flat));
	return refused === '' ? { ok: true, record } : { ok: false, refused, record };
};
