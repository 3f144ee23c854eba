/** The ledger's rules, pure: what a recorder's file and the disks must show after any faults. */

/** One datagram the recorder took in, each number once. `atMs` is the outer machine's wall clock. */
export type Entry = {
	readonly atMs: number;
	/** `boot`: the guest found `number` as its last record; `ack`: it has written record `number`. */
	readonly kind: 'boot' | 'ack';
	readonly vm: string;
	readonly boot: string;
	readonly number: number;
};

/** One record read back from a VM's disk. */
export type DiskRecord = { readonly number: number; readonly boot: string };

type Violation = { readonly rule: string; readonly text: string };

export type VmVerdict = {
	readonly vm: string;
	readonly acknowledged: number;
	/** Guest boots in the order of their first entry. */
	readonly boots: readonly string[];
	/** The longest time between two acknowledgements, in ms, and when it began. */
	readonly gapMs: number;
	readonly gapFromMs: number;
	/** Undefined when the disk was not read back. */
	readonly onDisk: number | undefined;
	readonly violations: readonly Violation[];
};

const recordBytes = 512;

/** Parses the recorder's file: JSON lines, oldest first; a torn last line is left out. */
export function parseEntries(text: string): Entry[] {
	const entries: Entry[] = [];
	for (const line of text.split('\n')) {
		try {
			entries.push(JSON.parse(line) as Entry);
		} catch {
			continue;
		}
	}
	return entries;
}

/** Reads the records out of a disk's first sectors, up to the first sector without one. */
export function parseDisk(disk: Uint8Array, vm: string): DiskRecord[] {
	const records: DiskRecord[] = [];
	const decoder = new TextDecoder('latin1');
	for (let at = 0; at + recordBytes <= disk.length; at += recordBytes) {
		const line = decoder.decode(disk.subarray(at, at + recordBytes));
		const match = /^VMPAIR-LEDGER vm=(\S+) n=(\d+) boot=([0-9a-f]+)\n/u.exec(line);
		if (match === null) break;
		const [, owner, number, boot = ''] = match;
		if (owner !== vm) throw new Error(`the disk of ${vm} holds a record of ${owner}`);
		records.push({ number: Number(number), boot });
	}
	return records;
}

function interleavings(entries: readonly Entry[]): Violation[] {
	const ended = new Set<string>();
	const found: Violation[] = [];
	let current: string | undefined;
	for (const { boot, number, atMs } of entries) {
		if (boot === current) continue;
		if (current !== undefined) ended.add(current);
		if (ended.has(boot)) {
			const text = `boot ${boot} spoke again (number ${number}, ${atMs}) after boot ${current}`;
			found.push({ rule: 'two-live-copies', text });
		}
		current = boot;
	}
	return found;
}

function repetitions(entries: readonly Entry[]): Violation[] {
	const found: Violation[] = [];
	const owner = new Map<number, string>();
	let highest = 0;
	for (const { kind, boot, number } of entries) {
		if (kind === 'boot') {
			if (number < highest) {
				const text = `boot ${boot} found ${number} as its last record, ${highest} was acknowledged`;
				found.push({ rule: 'acknowledged-write-lost', text });
			}
			continue;
		}
		const first = owner.get(number);
		if (first !== undefined && first !== boot) {
			const text = `number ${number} was acknowledged by boot ${first} and by boot ${boot}`;
			found.push({ rule: 'number-twice', text });
		}
		owner.set(number, first ?? boot);
		highest = Math.max(highest, number);
	}
	return found;
}

function missing(entries: readonly Entry[], disk: readonly DiskRecord[]): Violation[] {
	const onDisk = new Map(disk.map((record) => [record.number, record.boot]));
	return entries
		.filter((entry) => entry.kind === 'ack' && onDisk.get(entry.number) !== entry.boot)
		.map(({ number, boot }) => {
			const there = onDisk.get(number);
			const text = `number ${number} of boot ${boot} is not on the disk (${there ?? 'nothing'} is)`;
			return { rule: 'acknowledged-write-lost', text };
		});
}

function sequence(disk: readonly DiskRecord[]): Violation[] {
	return disk
		.filter((record, at) => record.number !== at + 1)
		.slice(0, 1)
		.map(({ number }) => ({ rule: 'disk-out-of-order', text: `record ${number} is out of place` }));
}

function largestGap(
	entries: readonly Entry[],
	untilMs: number,
): { gapMs: number; gapFromMs: number } {
	const times = entries.filter((entry) => entry.kind === 'ack').map((entry) => entry.atMs);
	let gap = { gapMs: 0, gapFromMs: times[0] ?? untilMs };
	for (const [at, fromMs] of times.entries()) {
		const gapMs = (times[at + 1] ?? Math.max(untilMs, fromMs)) - fromMs;
		if (gapMs > gap.gapMs) gap = { gapMs, gapFromMs: fromMs };
	}
	return gap;
}

/**
 * Judges one VM. `disk` is undefined when no current disk could be read; `untilMs` is when the recording ended, so a
 * VM that fell silent shows as a gap.
 */
export function judge(
	vm: string,
	all: readonly Entry[],
	disk: readonly DiskRecord[] | undefined,
	untilMs: number,
): VmVerdict {
	const entries = all.filter((entry) => entry.vm === vm);
	const violations = [
		...interleavings(entries),
		...repetitions(entries),
		...(disk === undefined ? [] : [...missing(entries, disk), ...sequence(disk)]),
	];
	if (entries.length === 0) violations.push({ rule: 'silent', text: `${vm} was never heard` });
	return {
		vm,
		acknowledged: new Set(entries.filter((e) => e.kind === 'ack').map((e) => e.number)).size,
		boots: [...new Set(entries.map((entry) => entry.boot))],
		...largestGap(entries, untilMs),
		onDisk: disk?.length,
		violations,
	};
}
