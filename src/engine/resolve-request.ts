import type { Reply, Request } from '#src/api/request.ts';
import { type Draft, vmOf } from '#src/engine/draft.ts';
import { accepted, refused } from '#src/engine/reply.ts';
import { openOrder, resolveBlocker } from '#src/engine/resolve.ts';

/** A person decides which copy of a VM is given up; asked on the host whose copy stays: it writes the record. */
export const resolve = (
	draft: Draft,
	request: Extract<Request, { verb: 'resolve' }>,
	id: string,
): Reply => {
	const { state } = draft;
	const { self, peer } = state.config;
	const { discard, by } = request;
	const vm = vmOf(state, request.vm);
	if (vm === undefined)
		return refused('unknown-vm', `${request.vm} is not a VM of this pair`, 'vmpair status');
	const command = `vmpair split-brain resolve ${vm.vm} --discard ${discard}`;
	if (discard === self)
		return refused(
			'ask-other-host',
			`${self} would give its own copy up: the host whose copy stays must be asked`,
			`on ${peer}: ${command}`,
		);
	if (discard !== peer)
		return refused('unknown-host', `${discard} is not a host of this pair`, 'vmpair status');
	const blocker = resolveBlocker(state, vm);
	const show = `vmpair split-brain show ${vm.vm}`;
	switch (blocker?.code) {
		case 'apart':
			return refused('not-together', blocker.message, 'see the runbook link-silent');
		case 'nothing':
			return refused('nothing-to-resolve', blocker.message, show);
		case 'disk':
			return refused('disk-not-promotable', blocker.message, show);
		case 'runs':
			return refused(
				'runs-there',
				blocker.message,
				`vmpair split-brain resolve ${vm.vm} --keep ${peer}`,
			);
		case undefined:
	}
	openOrder(draft, vm, id.slice(-64), by);
	return accepted(`${peer} gives up its copy of ${vm.vm}, ${self} keeps its own`);
};
