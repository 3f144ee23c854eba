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
	| 'idle-and-mute'
	/** V1: the beats that were heard do not count for the takeover by silence. */
	| 'beats-forgotten'
	/** V2: beats are echoed although a claim is on its way. */
	| 'echo-while-claiming'
	/** V4: the witness lets a claimed host write, and a claimer take over whatever it holds there. */
	| 'script-unchecked'
	/** V2, V21: the witness carries a command out whatever claim it was decided under. */
	| 'claim-unnamed'
	/** V5: the handler is let through by an exclusion in the witness, of whatever loss. */
	| 'exclusion-reused'
	/** V6: a restarted witness looks like the one before. */
	| 'run-unseen'
	/** V10: an agent that restarts takes fencing for the arbiter, whatever both hosts agreed on. */
	| 'arbiter-forgotten'
	/** L3: the claim of a dead host is never voided. */
	| 'claim-for-ever'
	/** P3: T_take is as short as the lease alone. */
	| 'taken-early'
	/** V17: the watchdog is stopped as soon as its own host is disarmed, whoever reckons with it. */
	| 'disarmed-at-once'
	/** I6: VMs are shown as paused and run on. */
	| 'pause-shown'
	/** I6: the watchdog is fed whatever is granted. */
	| 'fed-for-ever'
	/** xl starts the copy that a live migration has brought by itself, as it does without `-p`. */
	| 'unpaused-by-xl'
	/** Two Primaries are reported forbidden and are still allowed. */
	| 'two-primaries-stay'
	/** The source of a live migration is reported Secondary and is not. */
	| 'both-stay-primary';
