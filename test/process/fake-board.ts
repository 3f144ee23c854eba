import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Proof } from '#src/watchdog/board.ts';
import { program, until } from '#test/process/stage.ts';

const listens = async (socketPath: string): Promise<boolean> =>
	await new Promise((resolve) => {
		const socket = connect(socketPath);
		socket.once('connect', () => resolve(true));
		socket.once('error', () => resolve(false));
		socket.once('connect', () => socket.destroy());
	});

/** A host's kernel, as files: a board that takes what it is fed, and what sysfs says of it. */
export class FakeBoard {
	readonly folder = mkdtempSync(join(tmpdir(), 'vmpair-feeder-'));
	readonly #children: ChildProcess[] = [];

	constructor() {
		mkdirSync(join(this.folder, 'watchdog0'));
		this.write('wdctl', `#!/bin/sh\nprintf %s "$2" > ${this.at('watchdog0/timeout')}\n`, 0o755);
		this.show({
			identity: 'iTCO_wdt',
			timeout: '30',
			state: 'inactive',
			nowayout: '0',
			bootstatus: '0',
		});
		mkdirSync(this.at('dev'));
		for (const name of ['dev/watchdog0', 'sysrq']) this.write(name, '');
		this.write('bootId', 'boot-1\n');
		this.write('machine', 'machine-1\n');
	}

	at(name: string): string {
		return join(this.folder, name);
	}

	write(name: string, text: string, mode = 0o600): void {
		writeFileSync(this.at(name), text, { mode });
	}

	read(name: string): string {
		return readFileSync(this.at(name), 'utf8');
	}

	show(attributes: Readonly<Record<string, string>>): void {
		for (const [name, value] of Object.entries(attributes))
			this.write(`watchdog0/${name}`, `${value}\n`);
	}

	/** Everything written to the device so far. */
	get fed(): string {
		return this.read('dev/watchdog0');
	}

	prove(): void {
		const proof: Proof = {
			format: 1,
			device: '/dev/watchdog0',
			identity: 'iTCO_wdt',
			machine: 'machine-1',
			timeoutMs: 5000,
			bootId: 'boot-0',
			closedMs: 0,
			markMs: 5000,
			state: 'proven',
			detail: '',
			at: '',
		};
		this.write('proof', JSON.stringify(proof));
	}

	get places(): readonly string[] {
		const names = ['bootId', 'machine', 'sysrq', 'wdctl', 'proof'];
		return [`sysfs=${this.folder}`, `devices=${this.at('dev')}`]
			.concat(names.map((name) => `${name}=${this.at(name)}`))
			.flatMap((word) => ['--place', word]);
	}

	spawn(...words: readonly string[]): ChildProcess {
		const child = spawn(process.execPath, [program, ...words, ...this.places], { stdio: 'pipe' });
		this.#children.push(child);
		child.stdin.end();
		child.stdout.resume();
		child.stderr.resume();
		return child;
	}

	/** A feeder that holds this board once an agent says so. */
	async feeder(socketPath = this.at('feeder.sock')): Promise<ChildProcess> {
		const child = this.spawn('feeder', '--listen', socketPath);
		await until('the feeder listens', async () => await listens(socketPath));
		return child;
	}

	close(): void {
		for (const child of this.#children) child.kill('SIGKILL');
		rmSync(this.folder, { recursive: true, force: true });
	}
}
