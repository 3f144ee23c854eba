import test from 'ava';
import { judge, parseDisk, parseEntries, type DiskRecord, type Entry } from '#test/lab/ledger.ts';

const vm = 'ledger1';

const ack = (atMs: number, boot: string, number: number): Entry => ({
	atMs,
	kind: 'ack',
	vm,
	boot,
	number,
});
const started = (atMs: number, boot: string, number: number): Entry => ({
	...ack(atMs, boot, number),
	kind: 'boot',
});
const rules = (entries: Entry[], disk?: DiskRecord[]): string[] =>
	judge(vm, entries, disk, 10_000).violations.map((violation) => violation.rule);

const story = [
	started(900, 'aa', 0),
	ack(1000, 'aa', 1),
	ack(1050, 'aa', 2),
	started(7000, 'bb', 3),
	ack(7050, 'bb', 4),
	ack(7100, 'bb', 5),
];
const disk = ['aa', 'aa', 'aa', 'bb', 'bb'].map((boot, at) => ({ number: at + 1, boot }));

test('a clean failover has no violation, also when a written number was never acknowledged', (t) => {
	t.deepEqual(rules(story, disk), []);
});

test('the largest gap is the freeze between the last write before and the first after', (t) => {
	const verdict = judge(vm, story, disk, 7150);
	t.is(verdict.gapMs, 6000);
	t.is(verdict.gapFromMs, 1050);
	t.deepEqual(verdict.boots, ['aa', 'bb']);
	t.is(verdict.acknowledged, 4);
});

test('a VM that fell silent shows as a gap up to the end of the recording', (t) => {
	t.is(judge(vm, story, disk, 60_000).gapMs, 60_000 - 7100);
});

test('the same number from two guest boots is caught', (t) => {
	const forked = [...story, started(8000, 'cc', 5), ack(8050, 'cc', 5)];
	t.deepEqual(rules(forked), ['number-twice']);
});

test('two live copies are caught when a boot speaks after its successor', (t) => {
	t.deepEqual(rules([...story, ack(7200, 'aa', 6)]), ['two-live-copies']);
});

test('an acknowledged number that is not on the disk is caught', (t) => {
	t.deepEqual(rules(story, disk.slice(0, 4)), ['acknowledged-write-lost']);
});

test('an acknowledged number that another boot overwrote on the disk is caught', (t) => {
	const overwritten = disk.map((record) =>
		record.number === 2 ? { ...record, boot: 'bb' } : record,
	);
	t.deepEqual(rules(story, overwritten), ['acknowledged-write-lost']);
});

test('a guest that started from an older disk is caught at its first word', (t) => {
	const stale = [ack(1000, 'aa', 1), ack(1050, 'aa', 2), started(7000, 'bb', 1)];
	t.deepEqual(rules(stale), ['acknowledged-write-lost']);
});

test('a record out of its place on the disk is caught', (t) => {
	const holed = [...disk.slice(0, 2), { number: 4, boot: 'bb' }];
	t.true(rules([], holed).includes('disk-out-of-order'));
});

test('a VM that was never heard is no success', (t) => {
	t.deepEqual(rules([]), ['silent']);
});

test('the entries of other VMs do not count', (t) => {
	const other = story.map((entry) => ({ ...entry, vm: 'ledger2', boot: 'dd' }));
	t.deepEqual(rules([...story, ...other], disk), []);
});

test('a torn last line of the recorder is left out', (t) => {
	const text = `${JSON.stringify(story[0])}\n${JSON.stringify(story[1])}\n{"atMs":1050,"ki`;
	t.deepEqual(parseEntries(text), story.slice(0, 2));
});

const sector = (text: string): Uint8Array => {
	const bytes = new Uint8Array(512);
	bytes.set(new TextEncoder().encode(text));
	return bytes;
};

test('records are read from the disk up to the first empty sector', (t) => {
	const bytes = Buffer.concat([
		sector('VMPAIR-LEDGER vm=ledger1 n=1 boot=aa\n'),
		sector('VMPAIR-LEDGER vm=ledger1 n=2 boot=bb\n'),
		sector(''),
		sector('VMPAIR-LEDGER vm=ledger1 n=9 boot=bb\n'),
	]);
	t.deepEqual(parseDisk(bytes, vm), [
		{ number: 1, boot: 'aa' },
		{ number: 2, boot: 'bb' },
	]);
});

test("another VM's record on the disk is an error, not an end", (t) => {
	const bytes = sector('VMPAIR-LEDGER vm=ledger2 n=1 boot=aa\n');
	t.throws(() => parseDisk(bytes, vm), { message: /record of ledger2/u });
});
