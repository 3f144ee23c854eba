import { topics } from '#src/cli/help.ts';

/** What a shell offers behind a word, all read from the help: neither can tell what the other does not. */

type Names = 'vms' | 'hosts' | 'verbs' | 'files';

/** One verb, as a shell completes it. */
export interface Completed {
	readonly verb: string;
	readonly summary: string;
	/** Words that it takes as they are, such as `show`. */
	readonly words: readonly string[];
	/** What names it takes. */
	readonly names: readonly Names[];
	readonly options: readonly { readonly option: string; readonly value: Names | null }[];
}

const namesOf: ReadonlyMap<string, Names> = new Map([
	['VM', 'vms'],
	['HOST', 'hosts'],
	['VERB', 'verbs'],
	['FILE', 'files'],
	['PATH', 'files'],
	['DIRECTORY', 'files'],
]);

const optionPattern = /--([a-z][a-z-]+)(?:[ =]([A-Z]+)\b)?/g;

const tokensOf = (synopsis: string): string[] =>
	synopsis
		.replaceAll(optionPattern, ' ')
		.split(/[\s|[\]]+/)
		.slice(1);

/** Every verb of the help. */
export const completions = (): readonly Completed[] =>
	Object.entries(topics).map(([verb, { synopsis, summary, details }]) => {
		const values = new Map<string, Names | null>([['help', null]]);
		const option = /^(?:-[a-z], )?--/;
		// An option stands at the beginning of its line; elsewhere it is only spoken of.
		for (const text of [synopsis, ...details.filter((line) => option.test(line))])
			for (const [, name = '', value = ''] of (text === synopsis
				? text
				: text.split(/ {2,}/, 1).join('')
			).matchAll(optionPattern))
				values.set(name, namesOf.get(value) ?? values.get(name) ?? null);
		const tokens = tokensOf(synopsis);
		return {
			verb,
			summary,
			words: [...new Set(tokens.filter((token) => /^[a-z][a-z-]+$/.test(token)))],
			names: [...new Set(tokens.flatMap((token) => namesOf.get(token) ?? []))],
			options: [...values].map(([name, value]) => ({ option: `--${name}`, value })),
		};
	});

/** Verbs that people type; the others are for systemd and the agent. */
const forPeople = ({ verb }: Completed): boolean =>
	!['agent', 'feeder', 'migrate-receive', 'migrate-send'].includes(verb);

/** The agent is asked for names, for a second at most: a shell must not hang with it. */
const asked: Readonly<Record<Names, string>> = {
	vms: '$(timeout 1 vmpair completion vms 2>/dev/null)',
	hosts: '$(timeout 1 vmpair completion hosts 2>/dev/null)',
	verbs: '$verbs',
	files: '',
};

/** The script for bash; zsh runs it by its own `bashcompinit`. */
const bash = (verbs: readonly Completed[]): string[] => [
	'# Completion of vmpair for bash. Written by "vmpair completion bash".',
	'_vmpair() {',
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=''",
	`\tlocal verbs='${verbs.map(({ verb }) => verb).join(' ')}'`,
	'\tif [ "$COMP_CWORD" -eq 1 ]; then',
	'\t\tCOMPREPLY=($(compgen -W "$verbs" -- "$cur"))',
	'\t\treturn',
	'\tfi',
	'\tcase "${COMP_WORDS[1]} $prev" in',
	...verbs.flatMap(({ verb, options }) =>
		options.flatMap(({ option, value }) => {
			if (value === null) return [];
			const reply =
				value === 'files'
					? 'COMPREPLY=($(compgen -f -- "$cur"))'
					: `COMPREPLY=($(compgen -W "${asked[value]}" -- "$cur"))`;
			return [`\t'${verb} ${option}') ${reply}; return ;;`];
		}),
	),
	'\tesac',
	'\tcase "${COMP_WORDS[1]}" in',
	...verbs.map(({ verb, words, names, options }) => {
		const offered = options.map(({ option }) => option).join(' ');
		const others = [...words, ...names.map((each) => asked[each])].join(' ');
		return `\t${verb}) case "$cur" in -*) words='${offered}' ;; *) words="${others}" ;; esac ;;`;
	}),
	'\tesac',
	'\tCOMPREPLY=($(compgen -W "$words" -- "$cur"))',
	'}',
	'complete -F _vmpair vmpair',
];

const zsh = (verbs: readonly Completed[]): string[] => [
	'#compdef vmpair',
	'# Completion of vmpair for zsh. Written by "vmpair completion zsh".',
	'autoload -U +X bashcompinit && bashcompinit',
	...bash(verbs).slice(1),
];

const quoted = (text: string): string =>
	`'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const fishNames: Readonly<Record<Names, string>> = {
	vms: '(timeout 1 vmpair completion vms 2>/dev/null)',
	hosts: '(timeout 1 vmpair completion hosts 2>/dev/null)',
	verbs: '',
	files: '',
};

const fish = (verbs: readonly Completed[]): string[] => [
	'# Completion of vmpair for fish. Written by "vmpair completion fish".',
	'complete -c vmpair -f',
	...verbs.flatMap(({ verb, summary, words, names, options }) => {
		const within = `complete -c vmpair -n '__fish_seen_subcommand_from ${verb}'`;
		const arguments_ = [...words, ...names.map((each) => fishNames[each])]
			.filter((each) => each !== '')
			.join(' ');
		return [
			`complete -c vmpair -n __fish_use_subcommand -a ${verb} -d ${quoted(summary)}`,
			...(arguments_ === '' ? [] : [`${within} -a ${quoted(arguments_)}`]),
			...options.map(({ option, value }) => {
				const takes =
					value === null ? '' : value === 'files' ? ' -r -F' : ` -x -a ${quoted(fishNames[value])}`;
				return `${within} -l ${option.slice(2)}${takes}`;
			}),
		];
	}),
];

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The completion script of a shell, with its last line end. */
export const completionScript = (shell: Shell): string => {
	const verbs = completions().filter(forPeople);
	const lines = { bash, zsh, fish }[shell](verbs);
	return `${lines.join('\n')}\n`;
};
