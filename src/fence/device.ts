import * as z from 'zod';

/** One line of text without characters that would end a line of a protocol or of a file. */
const line = z
	.string()
	.min(1)
	.regex(/^[^\p{Cc}]*$/u, 'must be one line without control characters');

const file = line.regex(/^\//, 'must be an absolute path');

/** Letters, digits, `_`, `.` and `-`: the name appears in messages and in unit names. */
const deviceName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, {
	message: 'must start with a letter or digit and hold only letters, digits, "_", "." and "-"',
});

const common = {
	name: deviceName,
	/** Upper bound of one call of the device's tool. A device that needs longer answers `unknown`. */
	limitMs: z.int().min(100).max(300_000),
	/** The longest the device may hold back an `off` before it takes effect (V12). */
	lateMs: z.int().min(0).max(3_600_000),
};

const ipmiDevice = z.strictObject({
	kind: z.literal('ipmi'),
	...common,
	/** Address or name of the BMC; never starts with `-`, so that no tool takes it for an option. */
	address: line.regex(/^[^\s-][^\s]*$/, 'must be an address or a host name'),
	port: z.int().min(1).max(65_535).optional(),
	username: line,
	/** Holds the password on its first line; readable by root alone. */
	passwordFile: file,
});

/** Options of an agent as its metadata names them; agents take `-` and `_` alike. */
const parameterName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'must be an option name');

/**
 * Parameters that vmpair sets itself, or that would hold an `off` back. Options that name a plug stay
 * free: which plug feeds the host is the administrator's knowledge.
 */
const reservedParameters = new Set(['action', 'option', 'version', 'help', 'delay']);

/** Option names that carry a secret in ClusterLabs agents; they belong in `secretParameters`. */
const secretName = /(^|_)(passwd|password|hexadecimal_kg|api_key|token|secret)$/;

/** One spelling of an agent's option: agents accept `-` and `_` alike. */
export const normalParameterName = (name: string): string =>
	name.toLowerCase().replaceAll('-', '_');

const agentDevice = z
	.strictObject({
		kind: z.literal('agent'),
		...common,
		/** Name of a ClusterLabs fence agent in the search path, for example `fence_redfish`. */
		agent: z.string().regex(/^fence_[A-Za-z0-9_]+$/, 'must be the name of a fence agent'),
		parameters: z.record(parameterName, line),
		/** Option name to the file that holds its value; readable by root alone. */
		secretParameters: z.record(parameterName, file).default({}),
	})
	.check((context) => {
		const { parameters, secretParameters } = context.value;
		for (const [section, names] of [
			['parameters', Object.keys(parameters)],
			['secretParameters', Object.keys(secretParameters)],
		] as const) {
			for (const name of names) {
				const message = parameterProblem(section, name, parameters);
				if (message === null) continue;
				context.issues.push({
					code: 'custom',
					message,
					path: [section, name],
					input: context.value,
				});
			}
		}
	});

const parameterProblem = (
	section: 'parameters' | 'secretParameters',
	name: string,
	parameters: Readonly<Record<string, string>>,
): string | null => {
	const normal = normalParameterName(name);
	if (reservedParameters.has(normal)) return `"${name}" is set by vmpair; remove it`;
	if (section === 'parameters' && secretName.test(normal)) {
		return `"${name}" is a secret; name the file that holds it under secretParameters`;
	}
	// With `cycle` an agent may report success before the host is off.
	if (normal === 'method' && parameters[name] !== 'onoff') {
		return '"method" must be "onoff": with "cycle" success does not mean that the host is off';
	}
	return null;
};

/** One fence device of one host. Durations in milliseconds. */
export const fenceDevice = z.discriminatedUnion('kind', [ipmiDevice, agentDevice]);

export type IpmiDevice = z.infer<typeof ipmiDevice>;
export type AgentDevice = z.infer<typeof agentDevice>;
export type FenceDevice = z.infer<typeof fenceDevice>;
