import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { decodeState, encodeState } from '#src/store/state-file.ts';
import { exampleRecord, records } from '#test/store/record.ts';

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

test('a record is read back as it was written', (t) => {
	fc.assert(
		fc.property(records, (record) => {
			t.deepEqual(decodeState(encodeState(record, hash), hash), { kind: 'record', record });
		}),
	);
});

test('equal records are equal texts, whatever the order of their resources', (t) => {
	const [ldap, samba] = ['ldap', 'samba'].map((name) => exampleRecord.resources[name]);
	t.truthy(ldap && samba);
	if (ldap === undefined || samba === undefined) return;
	t.is(
		encodeState({ ...exampleRecord, resources: { samba, ldap } }, hash),
		encodeState({ ...exampleRecord, resources: { ldap, samba } }, hash),
	);
});

test('a file cut short at any byte is damaged', (t) => {
	const bytes = Buffer.from(encodeState(exampleRecord, hash));
	for (let length = 0; length < bytes.length; length += 1)
		t.is(
			decodeState(bytes.subarray(0, length).toString(), hash).kind,
			'corrupt',
			`${length} bytes`,
		);
});

test('a file with any one byte changed is damaged', (t) => {
	const bytes = Buffer.from(encodeState(exampleRecord, hash));
	for (let index = 0; index < bytes.length; index += 1) {
		const changed = Buffer.from(bytes);
		changed[index] = (changed[index] ?? 0) ^ 0x01;
		const { kind } = decodeState(changed.toString(), hash);
		// The digit of the format may turn into a later one; that is refused as well.
		t.not(kind, 'record', `byte ${index}`);
	}
});

test('zeros, a longer file and foreign JSON are damaged', (t) => {
	const text = encodeState(exampleRecord, hash);
	for (const wrong of ['\0'.repeat(text.length), `${text}\n`, text + text, '{}', '[]', 'null', '1'])
		t.is(decodeState(wrong, hash).kind, 'corrupt', JSON.stringify(wrong.slice(0, 20)));
});

test('a file of a later format is told apart from a damaged one', (t) => {
	t.deepEqual(decodeState('{"format": 7, "anything": true}', hash), { kind: 'newer', format: 7 });
});

test('a well-kept file whose content does not fit its format is damaged', (t) => {
	const wrong = { ...exampleRecord, host: '' };
	const decoded = decodeState(encodeState(wrong, hash), hash);
	t.is(decoded.kind, 'corrupt');
});

test('the host and every resource stand on a line of their own, for the handlers of DRBD', (t) => {
	const lines = encodeState(exampleRecord, hash).split('\n');
	t.true(lines.includes('\t"host": "alpha",'));
	for (const name of Object.keys(exampleRecord.resources))
		t.is(lines.filter((line) => line.startsWith(`\t\t"${name}": {"record":{`)).length, 1);
	t.regex(lines.at(-3) ?? '', /^\t"checksum": "[0-9a-f]{64}"$/);
});
