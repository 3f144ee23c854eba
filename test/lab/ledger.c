/*
 * The lab's guest: process 1 of a tiny PVH virtual machine.
 *
 * It appends numbered records to its disk, each one synchronous and past every cache, and only then sends the number
 * to a recorder outside both hosts. It never formats or repairs anything: after a start on either host it looks for
 * the last record on the disk and goes on from there. The boot id is random for each boot of the guest, so the
 * recorder can tell two live copies from one that moved.
 *
 * `xl shutdown` makes the kernel run /sbin/poweroff, which is this very program under another name; so is the process
 * beside the ledger that uses CPU when the lab says so.
 *
 * Kernel arguments: vm=NAME addr=A.B.C.D recorder=A.B.C.D:PORT period=MS end=poweroff|reboot|crash@RECORDS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 512
#define MAGIC "VMPAIR-LEDGER"
#define RESEND_MS 100
#define LOAD_PORT 7002
#define SLICE_MS 100

static char vm[64] = "ledger", boot[17], address[32] = "10.77.2.200", recorder[64] = "10.77.2.1:7000", end_how[16];
static long period_ms = 50, end_after;

static void say(const char *text)
{
	printf("ledger: %s\n", text);
	fflush(stdout);
}

static void halt(const char *why)
{
	say(why);
	for (;;)
		pause();
}

static void nap(long ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };
	nanosleep(&t, NULL);
}

static long long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		printf("ledger: module %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void read_arguments(void)
{
	char line[2048] = "", *word;
	int fd = open("/proc/cmdline", O_RDONLY);
	if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
		halt("no kernel command line");
	close(fd);
	for (word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		sscanf(word, "vm=%63s", vm);
		sscanf(word, "addr=%31s", address);
		sscanf(word, "recorder=%63s", recorder);
		sscanf(word, "period=%ld", &period_ms);
		sscanf(word, "end=%15[a-z]@%ld", end_how, &end_after);
	}
}

static void bring_up(const char *name, const char *ip, const char *mask)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, ip, &a->sin_addr);
	while (ioctl(s, SIOCSIFADDR, &r) < 0)
		nap(20);
	inet_pton(AF_INET, mask, &a->sin_addr);
	ioctl(s, SIOCSIFNETMASK, &r);
	ioctl(s, SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
}

/* Returns 1 when sector `n - 1` holds record n of this VM; another VM's record stops everything. */
static int has_record(int disk, char *block, unsigned long long n)
{
	unsigned long long found = 0;
	char owner[64] = "";
	if (pread(disk, block, RECORD_BYTES, (off_t)(n - 1) * RECORD_BYTES) != RECORD_BYTES)
		return 0;
	if (sscanf(block, MAGIC " vm=%63s n=%llu", owner, &found) != 2)
		return 0;
	if (strcmp(owner, vm) != 0)
		halt("WRONG DISK: it holds another VM's records");
	return found == n;
}

static unsigned long long last_record(int disk, char *block, unsigned long long capacity)
{
	unsigned long long low = 0, high = capacity + 1;
	while (high - low > 1) {
		unsigned long long middle = low + (high - low) / 2;
		if (has_record(disk, block, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

static int open_disk(unsigned long long *capacity)
{
	unsigned long long bytes = 0;
	int fd;
	while ((fd = open("/dev/xvda", O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC)) < 0)
		nap(20);
	ioctl(fd, BLKGETSIZE64, &bytes);
	*capacity = bytes / RECORD_BYTES;
	return fd;
}

static int open_link(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char *colon = strchr(recorder, ':');
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!colon || s < 0)
		halt("no recorder");
	*colon = 0;
	inet_pton(AF_INET, recorder, &to.sin_addr);
	to.sin_port = htons(atoi(colon + 1));
	while (connect(s, (struct sockaddr *)&to, sizeof to) < 0)
		nap(50);
	return s;
}

/* Sends until the recorder answered with this very number: an unanswered number may or may not be recorded. */
static void acknowledge(int link, const char *kind, unsigned long long n)
{
	char out[160], in[64];
	int length = snprintf(out, sizeof out, "%s %s %s %llu", kind, vm, boot, n);
	for (;;) {
		long long until = now_ms() + RESEND_MS;
		send(link, out, length, 0);
		while (now_ms() < until) {
			unsigned long long got;
			ssize_t size = recv(link, in, sizeof in - 1, MSG_DONTWAIT);
			if (size < 0) {
				nap(1);
				continue;
			}
			in[size] = 0;
			if (sscanf(in, "K %llu", &got) == 1 && got == n)
				return;
		}
	}
}

static void end_as_told(unsigned long long written)
{
	if (!end_after || written < (unsigned long long)end_after)
		return;
	say("ending as told");
	if (!strcmp(end_how, "poweroff"))
		reboot(RB_POWER_OFF);
	if (!strcmp(end_how, "reboot"))
		reboot(RB_AUTOBOOT);
	int fd = open("/proc/sysrq-trigger", O_WRONLY);
	if (fd >= 0 && write(fd, "c", 1) < 0)
		halt("cannot crash");
}

static void keep_ledger(int disk, int link, char *block, unsigned long long n, unsigned long long capacity)
{
	for (unsigned long long written = 0; n < capacity; written++) {
		long long start = now_ms();
		n++;
		memset(block, 0, RECORD_BYTES);
		snprintf(block, RECORD_BYTES, MAGIC " vm=%s n=%llu boot=%s\n", vm, n, boot);
		while (pwrite(disk, block, RECORD_BYTES, (off_t)(n - 1) * RECORD_BYTES) != RECORD_BYTES) {
			printf("ledger: write of %llu failed: %s\n", n, strerror(errno));
			send(link, "E", 1, 0);
			nap(500);
		}
		acknowledge(link, "A", n);
		if (written == 0)
			say("first record written");
		end_as_told(written + 1);
		if (now_ms() - start < period_ms)
			nap(period_ms - (now_ms() - start));
	}
	halt("disk full");
}

/*
 * Uses a share of one CPU: nothing at first, then as the last datagram says, "load PERCENT", which is answered by the
 * same words. It goes along with the guest to the other host, and ends with the boot of the guest.
 */
static void carry_load(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(LOAD_PORT) }, from;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), busy_ms = 0;
	if (s < 0 || bind(s, (struct sockaddr *)&own, sizeof own) < 0)
		halt("nobody can ask for load");
	for (;;) {
		char text[64];
		int percent;
		struct pollfd order = { .fd = s, .events = POLLIN };
		socklen_t length = sizeof from;
		if (poll(&order, 1, busy_ms ? SLICE_MS - busy_ms : -1) > 0) {
			ssize_t size = recvfrom(s, text, sizeof text - 1, 0, (struct sockaddr *)&from, &length);
			text[size > 0 ? size : 0] = 0;
			if (sscanf(text, "load %d", &percent) == 1 && percent >= 0 && percent <= 100) {
				busy_ms = SLICE_MS * percent / 100;
				sendto(s, text, size, 0, (struct sockaddr *)&from, length);
			}
		}
		for (long long until = now_ms() + busy_ms; now_ms() < until;)
			;
	}
}

int main(int count, char **words)
{
	if (count > 0 && strstr(words[0], "poweroff"))
		return reboot(RB_POWER_OFF);
	if (count > 0 && strstr(words[0], "reboot"))
		return reboot(RB_AUTOBOOT);
	if (count > 0 && strstr(words[0], "load"))
		carry_load();
	unsigned long long capacity, last;
	unsigned char seed[8];
	char *block;
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	read_arguments();
	load_module("/lib/xen-blkfront.ko");
	load_module("/lib/xen-netfront.ko");
	if (getrandom(seed, sizeof seed, 0) != sizeof seed)
		halt("no random number");
	for (int i = 0; i < 8; i++)
		sprintf(boot + 2 * i, "%02x", seed[i]);
	if (posix_memalign((void **)&block, 4096, 4096))
		halt("no memory");
	bring_up("lo", "127.0.0.1", "255.0.0.0");
	bring_up("eth0", address, "255.255.255.0");
	if (fork() == 0)
		carry_load();
	int disk = open_disk(&capacity);
	last = last_record(disk, block, capacity);
	printf("ledger: vm %s boot %s continues after %llu of %llu\n", vm, boot, last, capacity);
	int link = open_link();
	acknowledge(link, "B", last);
	keep_ledger(disk, link, block, last, capacity);
}
