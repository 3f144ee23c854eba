/** Real processes, real TLS, real time, apart from `npm test`. They mostly wait, so two files run at once. */
export default {
	extensions: ['ts'],
	files: ['test/process/*.test.ts'],
	concurrency: 2,
	serial: true,
	workerThreads: false,
	timeout: '120s',
};
