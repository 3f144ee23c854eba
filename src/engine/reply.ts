import type { Reply } from '#src/api/request.ts';

/** The three answers to a request. */

/** It is not done; `code` stands in docs/errors.md. */
export const refused = (code: string, message: string, next: string): Reply => ({
	status: 'refused',
	code,
	message,
	next,
});

/** It is under way; status shows how it ends. */
export const accepted = (message: string): Reply => ({
	status: 'accepted',
	code: 'accepted',
	message,
	next: 'vmpair status -w',
});

/** It is done. */
export const done = (message: string, next = ''): Reply => ({
	status: 'done',
	code: 'done',
	message,
	next,
});
