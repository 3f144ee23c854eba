import * as z from 'zod';
import type { DropReason } from '#src/heartbeat/drop.ts';
import { peerNoteSchema } from '#src/heartbeat/recorder.ts';
import { protocolVersion } from '#src/heartbeat/document.ts';

/**
 * The frames two agents exchange on every heartbeat link. A frame is one text message: its type, a
 * space, and JSON. Whatever does not fit is dropped and counted, and its connection is closed.
 */

/** Upper bound of a document's JSON in bytes. */
export const documentMaxBytes = 1024 * 1024;
/** Upper bound of a whole message in bytes, for the WebSocket's own limit. */
export const frameMaxBytes = documentMaxBytes + 64;
/** Everything but a document is tiny. */
const smallMaxLength = 4096;

const name = z.string().min(1).max(128);
const id = z.string().min(1).max(64);
const nonce = z.string().min(16).max(64);
const milliseconds = z.number().min(0);

const helloSchema = z.strictObject({
	protocolVersion: z.literal(protocolVersion),
	pairId: name,
	host: name,
	bootId: id,
	session: id,
	/** Fresh for every connection: only its answer makes a boot id count (V13). */
	nonce,
});

const answerSchema = z.strictObject({
	bootId: id,
	session: id,
	/** The nonce of the receiver's hello on this connection. */
	nonce,
});

const beatSchema = z.strictObject({
	host: name,
	bootId: id,
	session: id,
	/** Counts the rounds of beats of this session, over all links. */
	seq: z.int().min(1),
	/** The last seq received on this connection; null before the first. */
	echo: z.int().min(1).nullable(),
	/** The echo is a promise not to act before T_take: only then it is a vote (V2). */
	promises: z.boolean(),
	/** How long the sender held that seq before it echoed it here, ms. */
	heldMs: milliseconds,
	/** How far the sender's main loop is behind, ms. */
	lagMs: milliseconds,
});

const notesSchema = z.strictObject({
	host: name,
	bootId: id,
	session: id,
	/** Number of the first note in this run of the sender's agent. */
	first: z.int().min(1),
	notes: z.array(peerNoteSchema).min(1).max(64),
});

/** What a document says of its sender. The rest is checked where it is used, off this thread. */
const documentHeadSchema = z.object({
	pairId: name,
	host: name,
	bootId: id,
	session: id,
	seq: z.int().min(1),
});

export type Hello = Readonly<z.infer<typeof helloSchema>>;
export type Answer = Readonly<z.infer<typeof answerSchema>>;
export type Beat = Readonly<z.infer<typeof beatSchema>>;
export type NotesFrame = Readonly<z.infer<typeof notesSchema>>;
export type DocumentHead = Readonly<z.infer<typeof documentHeadSchema>>;

export type Frame =
	| { readonly type: 'hello'; readonly hello: Hello }
	| { readonly type: 'answer'; readonly answer: Answer }
	| { readonly type: 'beat'; readonly beat: Beat }
	| { readonly type: 'notes'; readonly notes: NotesFrame }
	/** `text` is the document's JSON as it came. */
	| { readonly type: 'document'; readonly head: DocumentHead; readonly text: string };

export type Decoded =
	| { readonly frame: Frame; readonly dropped: null }
	| { readonly frame: null; readonly dropped: DropReason };

export const encodeHello = (hello: Hello): string => `hello ${JSON.stringify(hello)}`;
export const encodeAnswer = (answer: Answer): string => `answer ${JSON.stringify(answer)}`;
export const encodeBeat = (beat: Beat): string => `beat ${JSON.stringify(beat)}`;
export const encodeNotes = (notes: NotesFrame): string => `notes ${JSON.stringify(notes)}`;
/** `text` is the JSON of a peer document. */
export const encodeDocument = (text: string): string => `document ${text}`;

/** Reads one message from the wire. Never throws, whatever the text. */
export const decodeFrame = (message: string): Decoded => {
	const space = message.slice(0, 16).indexOf(' ');
	if (space === -1) return drop('malformed');
	const type = message.slice(0, space);
	const text = message.slice(space + 1);
	if (message.length > (type === 'document' ? frameMaxBytes : smallMaxLength))
		return drop('oversized');
	const json = parseJson(text);
	if (json === undefined) return drop('malformed');
	switch (type) {
		case 'hello':
			if (speaksAnotherVersion(json)) return drop('unknown-version');
			return take(helloSchema.safeParse(json), (hello) => ({ type: 'hello', hello }));
		case 'answer':
			return take(answerSchema.safeParse(json), (answer) => ({ type: 'answer', answer }));
		case 'beat':
			return take(beatSchema.safeParse(json), (beat) => ({ type: 'beat', beat }));
		case 'notes':
			return take(notesSchema.safeParse(json), (notes) => ({ type: 'notes', notes }));
		case 'document':
			return take(documentHeadSchema.safeParse(json), (head) => ({ type: 'document', head, text }));
		default:
			return drop('malformed');
	}
};

/** Told apart from garbage, because its remedy is another: both hosts need an agent of one version. */
const speaksAnotherVersion = (json: unknown): boolean => {
	const version = z.object({ protocolVersion: z.int() }).safeParse(json);
	return version.success && version.data.protocolVersion !== protocolVersion;
};

const take = <Content>(
	parsed: z.ZodSafeParseResult<Content>,
	frame: (content: Content) => Frame,
): Decoded => (parsed.success ? { frame: frame(parsed.data), dropped: null } : drop('malformed'));

const drop = (dropped: DropReason): Decoded => ({ frame: null, dropped });

const parseJson = (text: string): unknown => {
	try {
		return JSON.parse(text) as unknown;
	} catch {
		// Not JSON: the caller counts it as malformed.
		return undefined;
	}
};
