import type { HistoryEntry } from '#src/api/view.ts';
import { paint, type Tone } from '#src/cli/text.ts';

const tones: Readonly<Record<HistoryEntry['level'], Tone>> = {
	debug: 'dim',
	info: 'plain',
	warn: 'warn',
	error: 'bad',
};

const two = (value: number): string => String(value).padStart(2, '0');

/** Local time with milliseconds: what the person's clock shows. */
export const localTime = (at: string): string => {
	const time = new Date(at);
	const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
	const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
	return `${day} ${clock}.${String(time.getMilliseconds()).padStart(3, '0')}`;
};

/** One entry as one line: time, sentence, fields. */
export const historyLine = (entry: HistoryEntry, colour: boolean): string => {
	const fields = Object.entries(entry.fields)
		.map(([key, value]) => `${key}=${String(value)}`)
		.join(' ');
	const text = paint(entry.message, tones[entry.level], colour);
	return `${localTime(entry.at)}  ${text}${fields === '' ? '' : `  ${paint(fields, 'dim', colour)}`}`;
};
