import type { Tools } from '#src/std/tool.ts';
import { parseShadowPaging } from '#src/xen/paging.ts';

/** The start of the agent waits for it; an emulated host needs a second. */
const limitMs = 3000;

/** Whether Xen on this host has shadow paging; null: it does not say, or does not answer. Only a reboot changes it. */
export const shadowPaging = async (tools: Tools): Promise<boolean | null> => {
	const ended = await tools.run({ file: 'xl', args: ['info', 'virt_caps'], limitMs });
	return ended.end === 'exited' && ended.exitCode === 0 ? parseShadowPaging(ended.stdout) : null;
};
