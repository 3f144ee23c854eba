/**
 * The line protocol between DRBD's handler client (`deploy/drbd/drbd-handler`) and the agent: one line
 * each way. Request: `fence-peer RESOURCE`. Answer: `exit N REASON`.
 */

/** A resource name as DRBD allows it; it also stands in file names and log lines. */
const request = /^fence-peer ([A-Za-z0-9_.+-]{1,128})$/;

/** Longer than any request; a client that sends more is not ours. */
export const requestMax = 256;

/** What DRBD does with each: 4 the peer's copy is outdated, 7 the peer is out, 1 nothing is known. */
export type HandlerExit = 1 | 4 | 7;

/** The resource a client asks for; null for anything but a well-formed request. */
export const parseRequest = (line: string): string | null => request.exec(line)?.[1] ?? null;

/** The answer line. The reason is for the kernel log's reader: printable ASCII, bounded. */
export const formatAnswer = (exitCode: HandlerExit, reason: string): string => {
	const printable = reason.replaceAll(/[^ -~]+/g, ' ').trim();
	return `exit ${exitCode} ${printable === '' ? 'no reason given' : printable.slice(0, 300)}\n`;
};
