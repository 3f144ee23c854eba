/** Takes the product's webhooks inside the lab's namespace: `node alert-sink.ts ADDRESS PORT FILE`. */
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const [address = '127.0.0.1', port = '7001', file = 'alerts.jsonl'] = process.argv.slice(2);
const out = openSync(file, 'a');

const server = createServer((request, response) => {
	const atMs = Date.now();
	let text = '';
	request.setEncoding('utf8');
	request.on('data', (chunk: string) => {
		text += chunk;
	});
	request.on('end', () => {
		const body = JSON.parse(text) as unknown;
		writeSync(out, `${JSON.stringify({ atMs, body })}\n`);
		response.end('{}');
	});
});
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(port), address, () => process.stdout.write('ready\n'));
