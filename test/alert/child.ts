import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { ChildOrder } from '#test/alert/outbox-child.ts';

/** An outbox in a process of its own, to be killed. */
export const startChild = (order: ChildOrder): ChildProcess =>
	fork(new URL('outbox-child.ts', import.meta.url), [JSON.stringify(order)], {
		stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
	});
