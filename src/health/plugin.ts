import { answer, type Answer, type Exited, notUnderstood } from '#src/health/answer.ts';
import { healths } from '#src/ports-load.ts';

/**
 * What a monitoring plugin says: its exit code, and the first line of its output up to the performance data.
 * https://www.monitoring-plugins.org/doc/guidelines.html
 */
export const pluginAnswer = (end: Exited): Answer => {
	const health = healths[end.exitCode];
	// 126, 127 and whatever an interpreter ends with are no answer.
	if (health === undefined) return notUnderstood('the plugin', end);
	const [text = ''] = end.stdout.trimStart().split('\n', 1);
	const [words = ''] = text.split('|', 1);
	if (words.trim() !== '') return answer(health, words);
	return answer(health, end.stderr.trim() === '' ? 'the plugin wrote nothing' : end.stderr);
};
