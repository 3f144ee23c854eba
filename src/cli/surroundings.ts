/** What a verb may know of the process it runs in; `main.ts` alone reads it from there. */
export interface Surroundings {
	/** Unix socket of the agent on this host. */
	readonly socketPath: string;
	/** Folder with the agent's durable state, read only while the agent is down. */
	readonly stateFolder: string;
	/** Folder with the documents that messages send to: the runbook's pages and the formats. */
	readonly documents: string;
	/** The file that was started, for a demo that starts agents. */
	readonly program: string;
	/** Who asks, for the history: the person behind sudo where that is known. */
	readonly user: string;
	/** A person sits at both ends: questions may be asked. */
	readonly interactive: boolean;
	readonly colour: boolean;
	/** Columns of the terminal; 80 when there is none. */
	readonly columns: number;
	/** One line for stdout. */
	readonly print: (line: string) => void;
	/** One line for stderr. */
	readonly warn: (line: string) => void;
}

/** Exit codes, as in the manual: sysexits where one fits. */
export const exit = {
	done: 0,
	failed: 1,
	refused: 2,
	usage: 64,
	dataDamaged: 65,
	unreachable: 69,
	software: 70,
	inProgress: 75,
	notPermitted: 77,
	config: 78,
} as const;
