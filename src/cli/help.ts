import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { usageError } from '#src/cli/options.ts';
import { version } from '#src/version.ts';

interface Topic {
	readonly synopsis: string;
	readonly summary: string;
	readonly details: readonly string[];
}

const acting = [
	'--no-wait    do not wait until it is done (exit code 75)',
	'--json       print the outcome as one JSON object',
];

/** Every verb, in the order in which the help shows them. A test compares this with `main.ts`. */
export const topics: Readonly<Record<string, Topic>> = {
	status: {
		synopsis: 'status [-w] [--json]',
		summary: 'is everything fine, what happened, what to do now',
		details: [
			'-w, --watch  redraw every second',
			'--json       stable format, see docs/status.schema.json',
		],
	},
	history: {
		synopsis: 'history [--since 1h] [-f | --inputs] [--peer] [--json]',
		summary: 'every decision and refusal, with its evidence',
		details: [
			'--since      only this far back, for instance 30m or 2h',
			'-f, --follow go on with new entries',
			'--all        fine detail too',
			'--numbers    the number of each entry, for "vmpair explain"',
			'--peer       what the other host said of itself, kept here for when it is dead',
			'--inputs     what the agent was told, too: DRBD, Xen, links, peer, requests (as root)',
			'--json       one JSON object a line',
		],
	},
	'post-mortem': {
		synopsis: 'post-mortem [N] [--json]',
		summary: 'how a host died and how long its VMs were down, once it is back',
		details: [
			'N            1 is the newest; 20 are kept',
			'--json       print it as one JSON object',
		],
	},
	explain: {
		synopsis: 'explain VM|HOST|NUMBER [--json]',
		summary: 'why a VM or a host is as it is, or on what an event of the history rests',
		details: [
			'NUMBER       of an event, as "vmpair history --numbers" shows it (as root)',
			'--json       print what it rests on as one JSON object',
		],
	},
	'what-if': {
		synopsis: 'what-if HOST dead | LINK cut | migrate VM',
		summary: 'what both agents would do, in order and with times; does nothing',
		details: [
			'Runs the engine from its present state in a simulated pair: which VMs would run where,',
			'by what proof and after how many seconds, which not and why, and which alerts come.',
			'--json       print the answer as one JSON object, see docs/what-if.schema.json',
		],
	},
	check: {
		synopsis: 'check',
		summary: "the pair for a monitoring system: one line, figures, a plugin's exit code",
		details: [
			'Ends with 0 OK, 1 WARNING, 2 CRITICAL (also without an agent) or 3 UNKNOWN, as do the',
			'plugins of Nagios, Icinga and their kin. Run it on both hosts.',
		],
	},
	doctor: {
		synopsis: 'doctor [--config FILE] [--json]',
		summary: 'everything that can be checked on this host, with remedies; changes nothing',
		details: [
			'Configuration, witness, watchdog, pair, fence devices, and what a failover would take.',
			'+ well, ? worth mending, ! wrong. Ends with 1 when something is wrong.',
			'--config     another file than /etc/vmpair/vmpair.yaml',
			'--json       print what was found as one JSON object',
		],
	},
	report: {
		synopsis: 'report [--out FILE] [--config FILE]',
		summary: 'everything that explains a trouble of this host, in one file without its secrets',
		details: [
			'Status, doctor, history, state, and what Xen, DRBD, systemd and the kernel say.',
			'--out        where to write it; otherwise vmpair-report-HOST-TIME.tar.gz in this folder',
			'--config     another file than /etc/vmpair/vmpair.yaml',
		],
	},
	alert: {
		synopsis: 'alert list | test [--receiver NAME] | replay --receiver NAME --since 1h|ID',
		summary: 'what is open and what waits, try the receivers, send something once more',
		details: [
			'list         open incidents, and what waits for each receiver of this host',
			'--kept       also what can be sent again, with its numbers',
			'test         a message that means nothing, over the same way; says how long each took',
			'replay       what is kept goes to a receiver once more, in order, under the same ids',
			'--receiver   the one that is meant; without it "test" tries all',
			'--since      from so far back, for instance 30m or 2h; or one message by its id',
			'--json       print the outcome as one JSON object',
		],
	},
	ack: {
		synopsis: 'ack KEY [--reason TEXT]',
		summary: 'tell everybody that you see to an open incident',
		details: [
			'KEY          as "vmpair alert list" and every message shows it',
			'--reason     why it may take a while, for those who look',
			'--json       print the outcome as one JSON object',
		],
	},
	takeover: {
		synopsis: 'takeover --confirm-dead HOST [--yes]',
		summary: 'start the VMs of a host that you know to be dead',
		details: [
			'Shows what is known of the host first. Refused while the host gives any sign of life.',
			'--confirm-dead HOST  the host of which you have seen yourself that it is dead',
			'--yes        do not ask to type the name again',
			...acting,
		],
	},
	migrate: {
		synopsis: 'migrate VM [--to HOST] [--dry-run | --cancel]',
		summary: 'move a running VM to the other host without a stop (live migration)',
		details: [
			'Tells every step. One that cannot be finished turns back: the VM stays where it is.',
			'--to HOST    where it shall be, so that a second try moves nothing back',
			'--dry-run    only say whether it would go and what stands in the way',
			'--cancel     have one that is on its way stay, as long as its guest is still here',
			...acting,
		],
	},
	move: {
		synopsis: 'move VM [--to HOST]',
		summary: 'stop a VM, hand it over, start it on the other host',
		details: ['--to HOST    where it shall be, so that a second try moves nothing back', ...acting],
	},
	drill: {
		synopsis: 'drill VM [--to HOST] [--hard] [--return] [--yes]',
		summary: 'rehearse the failover of a running VM, and see what each phase takes',
		details: [
			'Takes it down here and starts it on the other host by the way of "move".',
			'Refused with the reason while anything is degraded. "vmpair explain VM" shows when',
			'the last one was.',
			'--to HOST    where it shall be, so that a second try moves nothing back',
			'--hard       the guest is destroyed, as by the death of its host, not shut down',
			'--return     bring it back the same way when it is protected again',
			'--yes        do not ask to type the name of the VM',
			...acting,
		],
	},
	start: {
		synopsis: 'start VM [--accept-stale [--confirm VM]]',
		summary: 'start a VM, and keep it started',
		details: [
			'--accept-stale  start from a copy that misses acknowledged writes; shows what is lost',
			'--confirm VM    the name typed beforehand, for scripts',
			...acting,
		],
	},
	stop: { synopsis: 'stop VM', summary: 'shut a VM down, and keep it stopped', details: acting },
	'split-brain': {
		synopsis: 'split-brain show [VM] | resolve VM --discard HOST',
		summary: 'a split brain, or records that conflict: see both sides, give one up',
		details: [
			'show           what both hosts hold, side by side, and what would be lost',
			'resolve        one host gives its copy up and takes over the other; asked on the other',
			'--discard HOST the host whose copy (and record) goes; its name is asked for again',
			'--keep HOST    the same, by the host whose copy stays',
			'--confirm HOST the name of the host whose copy goes, typed beforehand, for scripts',
			...acting,
		],
	},
	arm: {
		synopsis: 'arm [--reason TEXT]',
		summary: 'automatic failover on, for both hosts',
		details: ['--reason     why, for those who look at the status', ...acting],
	},
	disarm: {
		synopsis: 'disarm --reason TEXT',
		summary: 'automatic failover off, for both hosts; VMs go on',
		details: ['--reason     why, for those who look at the status', ...acting],
	},
	pause: {
		synopsis: 'pause [--for 1h] --reason TEXT',
		summary: 'no automatic takeover, fence or move for a while, on both hosts; VMs go on',
		details: [
			'Ends by itself while both hosts are up and hear each other, else as soon as they do.',
			'What protects data goes on; alerts about the work wait for the end.',
			'--for        how long, 1h when left out, 24h at most; once more: so long from now on',
			'--reason     why, for those who look at the status',
			...acting,
		],
	},
	resume: {
		synopsis: 'resume',
		summary: 'end a pause before its time',
		details: acting,
	},
	evacuate: {
		synopsis: 'evacuate HOST [--cold] [--dry-run]',
		summary: 'every VM of a host goes to the other one, live where it can',
		details: [
			'--cold       one that can not go live is stopped, and started on the other host',
			'--dry-run    only say what would go and what stands in the way',
			...acting,
		],
	},
	balance: {
		synopsis: 'balance [--dry-run]',
		summary: 'move one VM live away from the overloaded host, if that helps',
		details: [
			'Does not wait for hold, mode and rests as the pair by itself does; see docs/load.md.',
			'--dry-run    only the load of both hosts, and what would be moved or why nothing',
			...acting,
		],
	},
	standby: {
		synopsis: 'standby on --reason TEXT | off',
		summary: 'this host takes nothing over and is kept empty, also after a boot',
		details: ['--reason     why, for those who look at the status', ...acting],
	},
	leave: {
		synopsis: 'leave [--migrate | --stop | --cancel]',
		summary: 'hand everything over before this host is switched off',
		details: [
			'--migrate    VMs go live where they can, instead of being stopped and started over there',
			'--stop       VMs are stopped; in an armed pair they start again when this host is back,',
			'             or on the other one when its power goes off meanwhile',
			'--cancel     take a leave back that has not come to its end',
			'--at-shutdown as hosts.*.shutdown says; systemd runs it before this host goes down',
			'--config     another file than /etc/vmpair/vmpair.yaml, for --at-shutdown',
			...acting,
		],
	},
	config: {
		synopsis: 'config check [--file FILE] [--json]',
		summary: 'check the configuration and what it names on this host, with line and remedy',
		details: [
			'--file       another file than /etc/vmpair/vmpair.yaml',
			'--host       as the host of this name would read it',
			'--no-files   leave alone the files that it names, to check it on another machine',
			'--json       problems, times and advice as one JSON object',
		],
	},
	fence: {
		synopsis: 'fence check [--json]',
		summary: 'ask every fence device of both hosts now: power, time, whose it is',
		details: [
			'Switches nothing. Ends with 1 when a level could not be used or a BMC is the wrong one.',
			'--json       print the answers as one JSON object',
		],
	},
	reload: {
		synopsis: 'reload',
		summary: 'have the agent read its configuration again',
		details: ['--json       print the outcome as one JSON object'],
	},
	witness: {
		synopsis: 'witness check [--config FILE] [--json]',
		summary: 'try the witness as this host would use it; remedies for what is wrong',
		details: [
			'Carries out every command on a trial record of its own. Ends with 69 without an answer.',
		],
	},
	watchdog: {
		synopsis: 'watchdog check|test [--config FILE]',
		summary: 'does the watchdog of this host count, and does it really reset the host',
		details: [
			'check          what is known of the board; --json as one JSON object',
			'test           resets this host for real, after the typed name of the host',
			'--confirm HOST the name typed beforehand, for scripts',
		],
	},
	feeder: {
		synopsis: 'feeder',
		summary: 'feeds the watchdog as long as the agent grants; systemd runs it',
		details: ['--listen PATH  its socket; /run/vmpair/feeder.sock when left out'],
	},
	'migrate-receive': {
		synopsis: 'migrate-receive --vm VM [--config FILE]',
		summary: 'takes the memory of a VM that the peer moves here live; the agent runs it',
		details: [
			'Waits for the one connection of the peer and hands it to "xl migrate-receive".',
			'--wait       seconds until it gives up when nobody comes; otherwise 60',
			'--config     another file than /etc/vmpair/vmpair.yaml',
		],
	},
	'migrate-send': {
		synopsis: 'migrate-send --vm VM [--config FILE] -- ...',
		summary: 'what "xl migrate" starts in the place of ssh; the agent runs that',
		details: [
			'Standard input and output belong to xl; what stands after -- is left unread.',
			'--limit      seconds until it gives up, and xl lets the VM go on here; otherwise 14400',
			'--config     another file than /etc/vmpair/vmpair.yaml',
		],
	},
	keygen: {
		synopsis: 'keygen [--host NAME] [--out DIRECTORY] [--json]',
		summary: 'make the key and certificate of this host, once; print the fingerprint',
		details: [
			'--host       its name in the configuration, where that is not its host name',
			'--out        where the two files go; otherwise /etc/vmpair, where the agent looks',
			'--json       print names and fingerprint as one JSON object',
		],
	},
	agent: {
		synopsis: 'agent [--config FILE]',
		summary: 'the agent itself; systemd runs it',
		details: ['--config     another file than /etc/vmpair/vmpair.yaml'],
	},
	demo: {
		synopsis: 'demo [--script NAME] [--json]',
		summary: 'two agents and a simulated pair of hosts on this machine',
		details: [
			'--script     run it unattended: power-cut',
			'--seed       of everything that is random in the simulated hosts; otherwise 1',
			'--keep       keep the files of both agents',
			'--json       print the timeline as JSON',
		],
	},
	simulate: {
		synopsis: 'simulate [--seeds N] [--seed S] [--jobs N] [--scenario FILE]',
		summary: 'random or written faults against the same program in a simulated world',
		details: [
			'--seeds      how many worlds; otherwise 1000',
			'--seed       the first seed, or the one to repeat; otherwise 1',
			'--jobs       how many threads; otherwise one for each processor. The report is the same.',
			'--class      honest (devices tell the truth), dishonest, mistaken (people are wrong),',
			'             witness, narrow (faults that meet), ladder (two levels of devices),',
			'             migration (faults in the middle of live migrations) or load (busy VMs)',
			'--scenario   a written world instead, see docs/scenario-format.md',
			'--resume     go on after an interrupted run, with its sums in this file',
			'--trace      every step on stderr',
			'--json       print the sums as one JSON object',
		],
	},
	completion: {
		synopsis: 'completion bash|zsh|fish|vms|hosts',
		summary: 'the completion script of a shell, or the names that it asks for',
		details: ['The package installs the scripts. Elsewhere: source <(vmpair completion bash)'],
	},
	help: { synopsis: 'help [VERB]', summary: 'this text, or more about a verb', details: [] },
};

/** What the numbers mean with which a verb ends, as lines of text. */
export const exitCodes: readonly string[] = [
	'Exit codes: 0 done, 1 failed, 2 refused for safety, 64 wrong usage, 65 damaged state,',
	'69 agent not reachable, 70 a fault of vmpair itself, 75 still under way, 77 not permitted,',
	'78 wrong configuration.',
];

const overview = (): string[] => [
	`vmpair ${version}: failover of virtual machines between two Xen hosts`,
	'',
	...Object.values(topics).map(({ synopsis, summary }) => `  vmpair ${synopsis}\n      ${summary}`),
	'',
	'Every verb takes --socket PATH and --state DIRECTORY for an agent with others than the usual ones.',
	'vmpair --version prints the version.',
	...exitCodes,
];

/** `vmpair help [VERB]`, and `vmpair --version`. */
export const help = async (argv: string[], around: Surroundings): Promise<number> => {
	const [verb] = argv;
	if (verb === '--version') {
		around.print(`vmpair ${version}`);
		return exit.done;
	}
	if (verb === undefined || verb.startsWith('-')) {
		for (const line of overview()) around.print(line);
		return exit.done;
	}
	const topic = topics[verb];
	if (topic === undefined) throw usageError(`there is no verb "${verb}"`, '');
	around.print(`vmpair ${topic.synopsis}`);
	around.print(`  ${topic.summary}`);
	for (const line of topic.details) {
		around.print(`  ${line.replaceAll('docs/', `${around.documents}/`)}`);
	}
	return exit.done;
};
