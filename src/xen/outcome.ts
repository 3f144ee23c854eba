/** Why `xl create` failed, from what it wrote. */
export interface CreateFailure {
	readonly code: 'domain-exists' | 'memory-short' | 'create-failed';
	/** The first error: what follows it are consequences. */
	readonly detail: string;
}

/** `libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 2:TEXT`, the place in the source cut off. */
const sourcePlace =
	/^(?:libxl|xc|xl): (?:error|warning|panic): (?:panic: )?(?:[\w.]+:\s?\d+:\s?[\w]+: )?/;

const isError = (line: string): boolean =>
	/^(?:libxl|xc|xl): error/.test(line) || /^(?:Failed|Error|Invalid|config|.*: error)/i.test(line);

/** Reads the lines that `xl create` and systemd wrote for one start that failed. */
export const createFailure = (text: string): CreateFailure => {
	const lines = text.split('\n').map((line) => line.trim());
	const first = lines.find((line) => isError(line)) ?? lines.findLast((line) => line !== '') ?? '';
	const detail = first.replace(sourcePlace, '').slice(0, 300);
	if (/already exists/.test(first)) return { code: 'domain-exists', detail };
	if (/out of memory|cannot allocate memory|free memory/i.test(text)) {
		return { code: 'memory-short', detail };
	}
	return { code: 'create-failed', detail };
};
