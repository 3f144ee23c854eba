/** Real processes, real TLS, real time: one test after the other, apart from `npm test`. */
export default {
	extensions: ['ts'],
	files: ['test/process/*.test.ts'],
	concurrency: 1,
	serial: true,
	workerThreads: false,
	timeout: '120s',
};
