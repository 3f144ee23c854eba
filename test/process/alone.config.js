/** What takes every processor for itself, after the other process tests. */
export default {
	extensions: ['ts'],
	files: ['test/process/alone/*.test.ts'],
	concurrency: 1,
	serial: true,
	workerThreads: false,
	timeout: '120s',
};
