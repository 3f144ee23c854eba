import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { serveApi } from '#src/api/driver-server.ts';
import type { Status } from '#src/api/view.ts';
import { move } from '#src/cli/move.ts';
import { namedVm, unknownVerb } from '#src/cli/names.ts';
import { start } from '#src/cli/start.ts';
import { stop } from '#src/cli/stop.ts';
import { takeover } from '#src/cli/takeover.ts';
import { VmpairError } from '#src/std/error.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const pair = exampleStatus(['ldap', 'samba'].map((name) => exampleVm(name)));

/** Surroundings with an agent that must not be asked for anything. */
const withAgent = async (t: ExecutionContext, status: Status = pair) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmpair-names-'));
	const socketPath = join(folder, 'agent.sock');
	const unasked = async (): Promise<never> => {
		throw new Error('the agent was asked');
	};
	const server = await serveApi(
		{ socketPath, group: null },
		{
			status: () => status,
			history: async () => [],
			request: unasked,
			reload: unasked,
			engine: () => ({ version: '0', state: {} }),
			postMortems: async () => [],
			fenceCheck: unasked,
			alert: unasked,
		},
	);
	t.teardown(async () => {
		await server.close();
		rmSync(folder, { recursive: true });
	});
	return createAround({ socketPath });
};

const thrownBy = async (work: Promise<number>): Promise<VmpairError> => {
	try {
		await work;
	} catch (error) {
		if (error instanceof VmpairError) return error;
		throw error;
	}
	throw new Error('it went well');
};

test('a VM that does not exist is answered with those that do, before anything is asked for', async (t) => {
	const { around } = await withAgent(t);
	for (const work of [
		() => start(['lpad'], around),
		() => start(['lpad', '--accept-stale', '--confirm', 'lpad'], around),
		() => stop(['lpad'], around),
		() => move(['lpad'], around),
	]) {
		const { code, message, next } = await thrownBy(work());
		t.is(code, 'unknown-vm');
		t.is(message, 'there is no VM "lpad" in this pair; its VMs are ldap, samba');
		t.is(next, 'did you mean ldap? "vmpair status" shows every VM');
	}
});

test('a host that does not exist is answered with the two that do', async (t) => {
	const { around, warned } = await withAgent(t);
	for (const work of [
		() => move(['ldap', '--to', 'west'], around),
		() => takeover(['--confirm-dead', 'west', '--yes'], around),
	]) {
		const { code, message, next } = await thrownBy(work());
		t.is(code, 'unknown-host');
		t.is(message, 'there is no host "west" in this pair; its hosts are north and south');
		t.is(next, '"vmpair status" shows both hosts');
	}
	t.deepEqual(warned, [], 'no evidence about a host that does not exist');
});

test('this host itself cannot be confirmed dead', async (t) => {
	const { around } = await withAgent(t);
	const { code, next } = await thrownBy(takeover(['--confirm-dead', 'north', '--yes'], around));
	t.is(code, 'wrong-host');
	t.regex(next, /if south is dead, name that/);
});

test('many names are cut short, and none at all has its own next step', (t) => {
	const vms = Array.from({ length: 23 }, (_, index) => exampleVm(`vm-${index + 10}`));
	const many = t.throws(() => namedVm(exampleStatus(vms), 'web'), { instanceOf: VmpairError });
	t.regex(many?.message ?? '', /vm-10, vm-11, .*vm-29 and 3 more$/);
	const none = t.throws(() => namedVm(exampleStatus([]), 'web'), { instanceOf: VmpairError });
	t.regex(none?.message ?? '', /it has none$/);
	t.regex(none?.next ?? '', /vmpair\.yaml/);
});

test('a verb that is misspelt is told with the one that was probably meant', (t) => {
	const verbs = ['status', 'start', 'history'];
	t.is(
		unknownVerb('statsu', verbs).message,
		'there is no verb "statsu"; "status" was probably meant',
	);
	t.is(unknownVerb('fly', verbs).message, 'there is no verb "fly"');
});
