import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Gives a socket up at once; never throws. A plain one is reset, so that the kernel forgets what it has not sent yet.
 * One whose end is under way (by us, or because the peer ended) is only closed: Node 24 answers a reset with EINVAL
 * while libuv's shutdown is waiting, keeps the handle for ever, and then neither process nor thread can end.
 */
export function abandon(socket: Socket): void {
	const resets = !(socket instanceof TLSSocket) && !socket.connecting && socket.writable;
	if (resets) socket.resetAndDestroy();
	socket.destroy();
}
