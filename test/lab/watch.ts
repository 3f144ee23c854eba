/** What the lab sees of one host while a scenario runs: a stream from `observer.pl`, reopened after every boot. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { measureClock } from './clock.ts';
import { hostPid, setCarrier, sshCommand, type Place } from './host.ts';
import { setClock } from './snapshot.ts';
import { peerOf, type LabHost, type Network } from './world.ts';

export type Note = {
	/** On the outer machine's clock. */
	readonly atMs: number;
	readonly host: string;
	readonly level: string;
	readonly message: string;
	readonly fields: Readonly<Record<string, string | number | boolean | null>>;
};

type Drbd = {
	readonly connection: string;
	readonly role: string;
	readonly disk: string;
	readonly peerDisk: string;
	readonly frozen: boolean;
};

type Condition = Readonly<Record<'name' | 'subject' | 'summary' | 'next', string>>;

export type Freeze = { readonly minor: number; readonly fromMs: number; toMs: number | undefined };

export type HostView = {
	powered: boolean;
	/** When it got power again; what was heard before is of an earlier life. */
	poweredAtMs: number;
	/** It has power and stands still: nothing can be asked of it. */
	hung: boolean;
	agent: 'running' | 'down';
	/** By minor number. */
	drbd: ReadonlyMap<number, Drbd>;
	/** The agent's durable record, as it is in the file. */
	state: RecordFile | undefined;
	status: StatusView | undefined;
	/** When `status` came, on the outer clock. */
	statusMs: number;
	/** When its observer last said anything; 0 while the host has no power. */
	seenMs: number;
	notes: Note[];
	/** When DRBD held writes back here, by minor number; the last one is open while it still does. */
	freezes: Freeze[];
};

type JournalLine = Pick<Note, 'level' | 'message' | 'fields'> & {
	readonly at: string;
	readonly seq: number;
};

type RecordFile = {
	readonly arbiter?: { readonly now: string; readonly next: string | null } | null;
	readonly resources: Readonly<
		Record<string, { record: { owner: string | null; inSync: readonly string[] } }>
	>;
};

type StatusView = {
	readonly verdict: string;
	readonly reason: string;
	readonly conditions: readonly Condition[];
	readonly vms: readonly {
		readonly vm: string;
		readonly sights: readonly { readonly host: string; readonly presence: string }[];
	}[];
};

const clockOffMs = 2000;
const drbdLine = /(\d+): cs:(\S+) ro:([^/]+)\/\S+ ds:([^/]+)\/(\S+) . (\S)/gu;
const connecting = new Set(['WFConnection', 'Unconnected', 'Timeout', 'BrokenPipe']);

/** `/proc/drbd`'s lines in the words of DRBD 9; a resource that is not up is not in the map. */
function parseDrbd(text: string): ReadonlyMap<number, Drbd> {
	const found = new Map<number, Drbd>();
	for (const match of text.matchAll(drbdLine)) {
		const [, minor, state = '', role = '', disk = '', peerDisk = '', flag] = match;
		const apart = connecting.has(state) || state === 'NetworkFailure';
		const connection = apart ? 'Connecting' : state === 'StandAlone' ? 'StandAlone' : 'Connected';
		found.set(Number(minor), { connection, role, disk, peerDisk, frozen: flag === 's' });
	}
	return found;
}

/** Follows one host until `stop`; `view` is always what was seen last. */
export class HostWatch {
	readonly view: HostView = {
		powered: true,
		poweredAtMs: 0,
		hung: false,
		agent: 'down',
		drbd: new Map(),
		state: undefined,
		status: undefined,
		statusMs: 0,
		seenMs: 0,
		notes: [],
		freezes: [],
	};
	readonly host: LabHost;
	readonly #place: Place;
	readonly #cables: readonly Network[];
	readonly #seen = new Set<string>();
	/** What brings the host's clock to the outer one; undefined until it is measured for this stream. */
	#addMs: number | undefined;
	/** Notes that came before. */
	#held: JournalLine[] = [];
	#bootId = '';
	#stopped = false;
	#child: ChildProcess | undefined;
	/** Told of every change of power, on the outer clock. */
	onPower: (on: boolean, atMs: number) => void = () => {};
	onNote: (note: Note) => void = () => {};

	/** `cables` are the networks without a switch: the peer sees this host's death as a lost carrier. */
	constructor(place: Place, host: LabHost, cables: readonly Network[]) {
		this.#place = place;
		this.host = host;
		this.#cables = cables;
	}

	start(): void {
		void this.#followPower();
		void this.#followStream();
	}

	/** Looks anew: what the host's stream said stands still with it. */
	reopen(): void {
		this.#child?.kill();
	}

	stop(): void {
		this.#stopped = true;
		this.#child?.kill();
	}

	async #followPower(): Promise<void> {
		while (!this.#stopped) {
			const on = (await hostPid(this.#place, this.host)) !== undefined;
			if (on !== this.view.powered) {
				this.view.powered = on;
				if (on) this.view.poweredAtMs = Date.now();
				this.onPower(on, Date.now());
				if (!on) this.#child?.kill();
				await this.#cablesFollow(on);
			}
			await delay(50);
		}
	}

	async #cablesFollow(on: boolean): Promise<void> {
		const peer = peerOf(this.host);
		for (const network of this.#cables) {
			// The peer may be without power itself: then there is no card to tell.
			await setCarrier(this.#place, peer, network, on).catch(() => {});
			if (on) await this.#ownCarrier(network, peer);
		}
	}

	/** A host that boots beside a dead one has no carrier on their cable. */
	async #ownCarrier(network: Network, peer: LabHost): Promise<void> {
		const peerOn = (await hostPid(this.#place, peer)) !== undefined;
		await setCarrier(this.#place, this.host, network, peerOn).catch(() => {});
	}

	async #followStream(): Promise<void> {
		while (!this.#stopped) {
			if (!this.view.powered) {
				this.view.agent = 'down';
				this.#takeDrbd(new Map());
				this.view.seenMs = 0;
				await delay(200);
				continue;
			}
			try {
				// Beside each other: a host that was paused shows what it does in the first second, and its clock is off.
				await Promise.all([this.#timeNotes(), this.#stream()]);
			} catch {
				await delay(1000);
			}
		}
	}

	async #timeNotes(): Promise<void> {
		this.#addMs = undefined;
		let addMs: number;
		try {
			addMs = await this.#clock();
		} catch (error) {
			// Both begin anew.
			this.#child?.kill();
			throw error;
		}
		this.#addMs = addMs;
		for (const entry of this.#held.splice(0)) this.#takeNote(entry, addMs);
	}

	/** A boot, or a rest of the whole host, leaves the emulated clock behind; a real host would have NTP. */
	async #clock(): Promise<number> {
		const { addMs } = await measureClock(this.#place, this.host, 5);
		if (Math.abs(addMs) < clockOffMs) return addMs;
		await setClock(this.#place, this.host);
		return (await measureClock(this.#place, this.host, 5)).addMs;
	}

	async #stream(): Promise<void> {
		const [command, args] = sshCommand(this.#place, this.host, 'perl - 0.3 10');
		const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
		this.#child = child;
		createReadStream(join(import.meta.dirname, 'observer.pl')).pipe(child.stdin);
		child.stdin.on('error', () => {});
		for await (const line of createInterface({ input: child.stdout })) this.#take(line);
	}

	#take(line: string): void {
		const match = /^(\w+) (\d+\.\d+) (.*)$/u.exec(line);
		if (match === null) return;
		const [, kind, , payload = ''] = match;
		this.view.seenMs = Date.now();
		if (kind === 'drbd') this.#takeDrbd(parseDrbd(payload));
		else if (kind === 'agent') this.view.agent = payload === 'running' ? 'running' : 'down';
		else if (kind === 'boot') this.#takeBoot(payload);
		else if (kind === 'state' && payload !== '')
			this.view.state = JSON.parse(payload) as RecordFile;
		else if (kind === 'note') this.#hearNote(JSON.parse(payload) as JournalLine);
		else if (kind === 'status') {
			this.view.status = JSON.parse(payload) as StatusView;
			this.view.statusMs = Date.now();
		}
	}

	#takeDrbd(drbd: ReadonlyMap<number, Drbd>): void {
		const { freezes } = this.view;
		this.view.drbd = drbd;
		for (const freeze of freezes) {
			if (drbd.get(freeze.minor)?.frozen !== true) freeze.toMs ??= Date.now();
		}
		for (const [minor, { frozen }] of drbd) {
			const open = freezes.some((each) => each.minor === minor && each.toMs === undefined);
			if (frozen && !open) freezes.push({ minor, fromMs: Date.now(), toMs: undefined });
		}
	}

	/** A host that was reset has booted without losing power: what its guests wrote before is of an earlier life. */
	#takeBoot(id: string): void {
		if (this.#bootId !== '' && this.#bootId !== id) this.view.poweredAtMs = Date.now();
		this.#bootId = id;
	}

	#hearNote(entry: JournalLine): void {
		if (this.#addMs === undefined) this.#held.push(entry);
		else this.#takeNote(entry, this.#addMs);
	}

	#takeNote({ at, seq, level, message, fields }: JournalLine, addMs: number): void {
		// A reopened stream reads the journal from its beginning.
		const key = `${seq} ${at}`;
		if (this.#seen.has(key)) return;
		this.#seen.add(key);
		const atMs = Date.parse(at) + addMs;
		const note = { atMs, host: this.host.name, level, message, fields };
		this.view.notes.push(note);
		this.onNote(note);
	}
}
