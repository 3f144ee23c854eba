/**
 * Bugs that can be planted: each breaks one rule between engine and world, or of the world itself, and
 * proves that a checker sees it. None is ever on outside of the tests.
 */
export type Mutation =
	| 'none'
	/** The record is reported durable but never reaches the disk. */
	| 'persist-skipped'
	/** Every fence-peer call is answered 7. */
	| 'handler-always-fenced'
	/** Every fence-peer call is answered 5, "unreachable, assumed dead". */
	| 'handler-guesses'
	/** `outdate` is reported done and shown as done, but not done. */
	| 'outdate-not-done'
	/** The power of a host whose kernel does not answer reads `off`. */
	| 'silence-is-off'
	/** Every network silence is taken for a power-off. */
	| 'suspect-is-off'
	/** A booted host starts all VMs by itself, by force, as `xendomains` would. */
	| 'xendomains'
	/** A Primary that loses its peer does not freeze (`fencing dont-care`). */
	| 'no-freeze'
	/** A frozen loser's I/O goes on before its disk is taken away. */
	| 'resume-before-detach'
	/** Every reconnect gives the own data up. */
	| 'reconnect-discards'
	/** Writes are acknowledged before the peer has them. */
	| 'writes-not-mirrored'
	/** Every resync runs in the wrong direction and nobody checks it. */
	| 'resync-backwards'
	/** A level counts as off as soon as one device of it says off (V22). */
	| 'any-device'
	/** Every `off` switches both hosts off. */
	| 'fence-both'
	/** A host that was fenced is fenced again whenever it boots. */
	| 'fence-again'
	/** Promotes, creates and unpauses are taken but never done. */
	| 'idle'
	/** The same, and no condition is ever raised. */
	| 'idle-and-mute';
