/**
 * Sends the newest state to another thread, one message under way at a time. While the other side is
 * busy, what it has not taken yet is merged, so a stalled thread never finds more than two messages.
 */
export interface Mailbox<Content extends object> {
	/** Changes what is sent next. */
	readonly update: (change: (waiting: Partial<Content>) => Partial<Content>) => void;
	/** The other side took the last message. */
	readonly taken: () => void;
}

/**
 * `post` sends one message to the other side, whose answer has to call `taken` here. Begins `busy`
 * when the other side is not there yet and will say so by a first `taken`.
 */
export const createMailbox = <Content extends object>(
	post: (content: Partial<Content>) => void,
	begin: 'free' | 'busy' = 'free',
): Mailbox<Content> => {
	let waiting: Partial<Content> | null = null;
	let underWay = begin === 'busy';
	const flush = (): void => {
		if (underWay || waiting === null) return;
		const content = waiting;
		waiting = null;
		underWay = true;
		post(content);
	};
	return {
		update: (change) => {
			waiting = change(waiting ?? {});
			flush();
		},
		taken: () => {
			underWay = false;
			flush();
		},
	};
};
