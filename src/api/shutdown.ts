/**
 * How long a host that shuts down waits for its VMs, ms. reboot.target and poweroff.target of systemd 252 force the end
 * after 30 minutes (JobTimeoutSec), counted from the order: both together, and the unit's own limit, stay below that.
 */
export const movingMs = 18 * 60_000;
/** What has not gone by then is shut down in order for so long. */
export const stoppingMs = 8 * 60_000;
