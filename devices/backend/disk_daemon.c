/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk whose image is in a format that nothing here understands: a qemu-storage-daemon opens it
 * and serves it by NBD to us alone, on a socket whose name is gone before the daemon runs; that it
 * can be connected to again, at the next start of the guest, is due to a descriptor of ours.
 *
 * The daemon belongs to the process that opened the disk: it is told to end when the disk is
 * closed, and by the kernel when that process dies. It is in a session of its own, so that keys
 * pressed on our terminal do not reach it before the guest had its last words. QEMU's locks on the
 * image are its own; it opens an image's other files only where that was allowed
 * (names_other_files()).
 */
#include "devices/backend/disk_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk_nbd.h"

#define PROGRAM "qemu-storage-daemon"

/* How long it may take to put the image in order at its end. */
#define GRACE_NS (30 * NSEC_PER_SEC)

struct disk_daemon {
	struct disk disk;
	const char *name;
	pid_t pid; /* 0: none (any more) */
	int socket_fd; /* the listening socket's inode; -1 */
	int words_fd; /* what it says on stderr; -1 */
	int claim_fd; /* the block device's; -1 */
	pid_t owner; /* whose the daemon is to end: not of processes forked later */
};

struct opening {
	const struct disk_config *config;
	enum disk_format format;
	struct disk_daemon *d;
	int listen_fd;
	bool device; /* the image lies in a block device */
	char path[PATH_MAX];
	char *error;
	size_t error_size;
};

__attribute__((format(printf, 3, 4))) static int open_fail(const struct opening *o, int err,
							   const char *fmt, ...)
{
	int n = snprintf(o->error, o->error_size, "disk image %s ", o->config->path);
	va_list ap;

	if (n < 0 || (size_t)n >= o->error_size)
		return err;
	va_start(ap, fmt);
	vsnprintf(o->error + n, o->error_size - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- The image, as far as we look at it ---- */

static u64 big_endian(const u8 *p, unsigned bytes)
{
	u64 n = 0;

	while (bytes--)
		n = n << 8 | *p++;
	return n;
}

/* A backing file's name, or an external data file (incompatible feature 2 of version 3). */
static bool qcow2_names_files(const u8 *head)
{
	return big_endian(head + 8, 8) ||
	       (big_endian(head + 4, 4) >= 3 && big_endian(head + 72, 8) & 4);
}

/* Only a sparse image that has its data in itself, and no parent, names no file. */
static bool vmdk_names_files(const u8 *head, const char *text, size_t size)
{
	static const u8 no_capacity[8];

	return memcmp(head, "KDMV", 4) || !memcmp(head + 12, no_capacity, 8) ||
	       memmem(text, size, "parentFileNameHint", 18);
}

/* Where it does, whoever made the image chooses files of ours that the guest may read. */
static bool names_other_files(const struct opening *o, int fd)
{
	const size_t size = MiB(1);
	u8 *head = calloc(1, size);
	ssize_t n = head ? pread(fd, head, size, 0) : -1;
	bool names = n < 0;

	if (n >= 0 && o->format == DISK_QCOW2)
		names = qcow2_names_files(head);
	else if (n >= 0 && o->format == DISK_VMDK)
		names = vmdk_names_files(head, (const char *)head, size);
	free(head);
	return names;
}

#define VHD_FOOTER 512
#define VHD_NONE UINT64_MAX /* no footer can say it */
enum { VHD_FIXED = 2, VHD_DIFFERENCING = 4 };

/* The type of disk that the VHD footer at `at` speaks of, or VHD_NONE. */
static u64 vhd_type(int fd, off_t at)
{
	u8 footer[VHD_FOOTER] = { 0 };

	if (pread(fd, footer, sizeof(footer), at) < 0 || memcmp(footer, "conectix", 8))
		return VHD_NONE;
	return big_endian(footer + 60, 4);
}

/*
 * QEMU takes any VHD that begins with a footer for a dynamic one that has all its data. The first
 * sector of a fixed one is its guest's to write, and a differencing one has data in its parent.
 */
static int check_vhd(const struct opening *o, int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	u64 first = vhd_type(fd, 0);
	u64 last = size >= 2 * VHD_FOOTER ? vhd_type(fd, size - VHD_FOOTER) : VHD_NONE;

	if (first == VHD_DIFFERENCING || last == VHD_DIFFERENCING)
		return open_fail(o, -EINVAL,
				 "is a differencing VHD, which without its parent is no disk; "
				 "merge it into that");
	if (first != VHD_NONE && last == VHD_FIXED)
		return open_fail(o, -EINVAL,
				 "is a fixed VHD whose guest wrote what begins another kind; "
				 "format=raw takes it as it is");
	return 0;
}

static int check_kind(const struct opening *o, int fd)
{
	static const struct {
		const char *magic;
		enum disk_format format;
	} kinds[] = { { "QFI\xfb", DISK_QCOW2 }, { "vhdxfile", DISK_VHDX }, { "KDMV", DISK_VMDK } };
	char head[8] = { 0 };

	/* A fixed VHD begins with whatever its guest wrote. */
	if (o->format == DISK_VHD)
		return check_vhd(o, fd);
	if (pread(fd, head, sizeof(head), 0) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].format != o->format &&
		    !memcmp(head, kinds[i].magic, strlen(kinds[i].magic)))
			return open_fail(o, -EINVAL, "is a %s image, not %s",
					 disk_format_name(kinds[i].format),
					 disk_format_name(o->format));
	return 0;
}

static int check_image(struct opening *o)
{
	bool writes = !o->config->read_only && !o->config->ephemeral;
	struct stat st;
	int fd, err;

	if (stat(o->config->path, &st))
		return errno == ENOENT
			       ? open_fail(o, -ENOENT, "does not exist")
			       : open_fail(o, -errno, "cannot be found: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return open_fail(o, -EINVAL, "is neither a file nor a block device");
	o->device = S_ISBLK(st.st_mode);
	fd = open(o->config->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return open_fail(o, -errno, "cannot be opened: %s%s", strerror(errno),
				 writes ? "; ,ro or ,ephemeral only reads it" : "");
	err = check_kind(o, fd);
	if (!err && !o->config->backing && names_other_files(o, fd))
		err = open_fail(
			o, -EPERM,
			"names other files (a backing file, say), which the guest could then "
			"read; backing=on allows that, qemu-img convert makes it one file");
	/* The daemon's own are another's: these, which are given back, find out who has it. */
	if (!err)
		err = disk_lock(fd, o->config, o->error, o->error_size);
	close(fd);
	if (!err)
		err = disk_claim(&o->d->claim_fd, o->config, o->error, o->error_size);
	if (!err && !realpath(o->config->path, o->path))
		err = open_fail(o, -errno, "cannot be found: %s", strerror(errno));
	return err;
}

/* ---- Its socket ---- */

static int bind_and_hold(struct opening *o, const char *dir)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err = 0;

	if ((size_t)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/nbd", dir) >=
	    sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	o->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (o->listen_fd < 0)
		return -errno;
	if (bind(o->listen_fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	o->d->socket_fd = open(addr.sun_path, O_PATH | O_CLOEXEC);
	if (o->d->socket_fd < 0 || listen(o->listen_fd, 4))
		err = -errno;
	unlink(addr.sun_path);
	return err;
}

static int make_socket(struct opening *o)
{
	char dir[] = "/tmp/candela-XXXXXX";
	int err;

	if (!mkdtemp(dir))
		return open_fail(o, -errno, "cannot be served: no folder in /tmp: %s",
				 strerror(errno));
	err = bind_and_hold(o, dir);
	rmdir(dir);
	return err ? open_fail(o, err, "cannot be served: no socket: %s", strerror(-err)) : 0;
}

/* The name of the socket is gone, its inode is not. */
static int daemon_dial(void *ctx)
{
	const struct disk_daemon *d = ctx;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", d->socket_fd);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -errno;
}

/* ---- The program ---- */

/* In QEMU's options a comma within a value is written twice. */
static void double_commas(const char *from, char *to)
{
	while ((*to++ = *from))
		if (*from++ == ',')
			*to++ = ',';
}

/* Only the async-signal-safe, after fork() in a process without threads. */
static void __attribute__((noreturn))
become_daemon(struct opening *o, char *const argv[], pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || null < 0)
		_exit(1);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(o->d->words_fd, STDERR_FILENO);
	if (fcntl(o->listen_fd, F_SETFD, 0))
		_exit(1);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Without backing=on, an image that came to name a backing file since it was looked at has none. */
static void node_option(const struct opening *o, char *node, size_t size)
{
	bool read_only = o->config->read_only || o->config->ephemeral;
	bool can_back = o->format == DISK_QCOW2 || o->format == DISK_VMDK;

	/* As JSON, for only that has a null. */
	snprintf(node, size,
		 "{\"driver\":\"%s\",\"node-name\":\"disk\",\"file\":\"file\","
		 "\"read-only\":%s,\"discard\":\"unmap\"%s}",
		 o->format == DISK_VHD ? "vpc" : disk_format_name(o->format),
		 read_only ? "true" : "false",
		 can_back && !o->config->backing ? ",\"backing\":null" : "");
}

static int start_daemon(struct opening *o)
{
	const struct disk_config *c = o->config;
	bool read_only = c->read_only || c->ephemeral;
	char file[2 * PATH_MAX + 256], node[128], export[128], server[64], path[2 * PATH_MAX];
	char *argv[] = { PROGRAM,        "--blockdev", file,       "--blockdev", node,
			 "--nbd-server", server,       "--export", export,       NULL };
	pid_t parent = getpid();

	double_commas(o->path, path);
	snprintf(file, sizeof(file),
		 "driver=%s,node-name=file,read-only=%s,locking=%s,discard=unmap%s%s,filename=%s",
		 o->device ? "host_device" : "file", read_only ? "on" : "off",
		 c->unlocked ? "off" : "auto", c->cache == DISK_DIRECT ? ",cache.direct=on" : "",
		 c->aio == DISK_AIO_URING ? ",aio=io_uring" : "", path);
	node_option(o, node, sizeof(node));
	snprintf(server, sizeof(server), "addr.type=fd,addr.str=%d", o->listen_fd);
	snprintf(export, sizeof(export), "type=nbd,id=disk,node-name=disk,name=,writable=%s",
		 read_only ? "off" : "on");
	o->d->words_fd = memfd_create("qemu-storage-daemon", MFD_CLOEXEC);
	if (o->d->words_fd < 0)
		return open_fail(o, -errno, "cannot be served: %s", strerror(errno));
	o->d->pid = fork();
	if (!o->d->pid)
		become_daemon(o, argv, parent);
	if (o->d->pid < 0) {
		o->d->pid = 0;
		return open_fail(o, -errno, "cannot be served: %s", strerror(errno));
	}
	return 0;
}

/* Whether it has ended, waiting for it until then at most. */
static bool daemon_ended(struct disk_daemon *d, int *wstatus, u64 deadline_ns)
{
	for (;;) {
		pid_t pid = waitpid(d->pid, wstatus, WNOHANG);

		if (pid == d->pid || (pid < 0 && errno != EINTR)) {
			d->pid = 0;
			return true;
		}
		if (loop_now_ns() >= deadline_ns)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 5 * (long)NSEC_PER_MSEC }, NULL);
	}
}

/* The first line it said, but for its name and the option, which is ours, not the user's. */
static void daemon_words(const struct disk_daemon *d, char *text, size_t size)
{
	ssize_t n = pread(d->words_fd, text, size - 1, 0);
	const char *from = text, *colon;

	text[MAX(n, 0)] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(from, PROGRAM ": ", strlen(PROGRAM ": ")))
		from += strlen(PROGRAM ": ");
	colon = strstr(from, ": ");
	if (!strncmp(from, "--", 2) && colon)
		from = colon + 2;
	memmove(text, from, strlen(from) + 1);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
}

static void daemon_end(struct disk_daemon *d)
{
	char words[512];
	int wstatus;

	if (!d->pid || d->owner != getpid())
		return;
	if (daemon_ended(d, &wstatus, 0)) {
		daemon_words(d, words, sizeof(words));
		log_error("disk image %s: its " PROGRAM " ended by itself%s%s", d->name,
			  words[0] ? ": " : "", words);
		return;
	}
	kill(d->pid, SIGTERM);
	if (daemon_ended(d, &wstatus, loop_now_ns() + GRACE_NS))
		return;
	log_warn("disk image %s: " PROGRAM " does not end; it is killed", d->name);
	kill(d->pid, SIGKILL);
	waitpid(d->pid, &wstatus, 0);
	d->pid = 0;
}

/* Why the daemon's NBD is not there: `error` has what we saw, the daemon may have said more. */
static int explain(const struct opening *o, int err)
{
	struct disk_daemon *d = o->d;
	char words[512];
	int wstatus;

	if (!d->pid || !daemon_ended(d, &wstatus, loop_now_ns() + 2 * NSEC_PER_SEC))
		return err;
	if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 127)
		return open_fail(
			o, -ENOENT,
			"is a %s image, which needs " PROGRAM
			": install qemu-system-common, or convert it with qemu-img convert -O "
			"raw",
			disk_format_name(o->format));
	daemon_words(d, words, sizeof(words));
	return open_fail(o, -EINVAL, "cannot be opened as %s: %s; qemu-img check says more",
			 disk_format_name(o->format),
			 words[0] ? words : PROGRAM " ended without a word");
}

/* ---- The disk ---- */

static void daemon_submit(struct disk *disk, struct disk_op *op)
{
	disk_submit(disk->lower, op);
}

static int daemon_connect(struct disk *disk, char *error, size_t size)
{
	struct disk_daemon *d = container_of(disk, struct disk_daemon, disk);
	char words[512];
	int wstatus;

	if (d->pid && !daemon_ended(d, &wstatus, 0))
		return 0;
	daemon_words(d, words, sizeof(words));
	snprintf(error, size, "disk image %s: its " PROGRAM " has ended%s%s", d->name,
		 words[0] ? ": " : "", words);
	return -EIO;
}

static void daemon_free(struct disk_daemon *d)
{
	daemon_end(d);
	if (d->socket_fd >= 0)
		close(d->socket_fd);
	if (d->words_fd >= 0)
		close(d->words_fd);
	if (d->claim_fd >= 0)
		close(d->claim_fd);
	free(d);
}

static void daemon_close(struct disk *disk)
{
	disk->lower->ops->close(disk->lower);
	daemon_free(container_of(disk, struct disk_daemon, disk));
}

static const struct disk_ops daemon_ops = { .submit = daemon_submit,
					    .close = daemon_close,
					    .connect = daemon_connect };

static int serve(struct opening *o)
{
	struct disk_daemon *d = o->d;
	struct nbd_config nbd = { .name = o->config->path,
				  .dial = daemon_dial,
				  .ctx = d,
				  .logical_block = o->config->logical_block,
				  .read_only = o->config->read_only || o->config->ephemeral,
				  .unsafe = o->config->cache == DISK_UNSAFE };
	int err = start_daemon(o);
	struct disk *lower;

	/* Ours is closed, so that connecting fails where the daemon is gone. */
	close(o->listen_fd);
	o->listen_fd = -1;
	if (!err) {
		err = disk_nbd_open(&lower, &nbd, o->error, o->error_size);
		if (err)
			return explain(o, err);
	}
	if (err)
		return err;
	d->disk = *lower;
	d->disk.ops = &daemon_ops;
	d->disk.lower = lower;
	disk_set_id(&d->disk, o->path);
	return 0;
}

int disk_daemon_open(struct disk **disk, const struct disk_config *config, enum disk_format format,
		     char *error, size_t error_size)
{
	struct opening *o = calloc(1, sizeof(*o));
	struct disk_daemon *d = calloc(1, sizeof(*d));
	int err;

	if (!o || !d) {
		free(o);
		free(d);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	*d = (struct disk_daemon){ .name = config->path,
				   .owner = getpid(),
				   .socket_fd = -1,
				   .words_fd = -1,
				   .claim_fd = -1 };
	*o = (struct opening){ .config = config,
			       .format = format,
			       .d = d,
			       .listen_fd = -1,
			       .error = error,
			       .error_size = error_size };
	err = check_image(o);
	if (!err)
		err = make_socket(o);
	if (!err)
		err = serve(o);
	if (o->listen_fd >= 0)
		close(o->listen_fd);
	free(o);
	if (err)
		daemon_free(d);
	else
		*disk = &d->disk;
	return err;
}
