/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine uses of the outside world, opened before anything is sandboxed. */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "vmbus/chaos.h"

static int open_input(const char *option, const char *path, char *error, size_t size)
{
	/* A pipe that nobody writes to would be waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0) {
		snprintf(error, size, "%s %s: %s", option, path, strerror(errno));
		return -EINVAL;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		snprintf(error, size, "%s %s: not a regular file", option, path);
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* Makes one folder of the cache's path; an existing one is fine. */
static bool make_dir(const char *path)
{
	return !mkdir(path, 0700) || errno == EEXIST;
}

/* The cache is a convenience: where it cannot be had, kernels are unpacked every time. */
static int open_cache(void)
{
	const char *own = getenv("CANDELA_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char path[PATH_MAX];
	int n;

	if (own && *own)
		n = snprintf(path, sizeof(path), "%s", own);
	else if (xdg && *xdg)
		n = make_dir(xdg) ? snprintf(path, sizeof(path), "%s/candela", xdg) : -1;
	else if (home && *home) {
		n = snprintf(path, sizeof(path), "%s/.cache", home);
		if (n > 0 && n < PATH_MAX && make_dir(path))
			n = snprintf(path, sizeof(path), "%s/.cache/candela", home);
	} else
		return -1;
	if (n < 0 || n > PATH_MAX - (int)sizeof("/vmlinux") || !make_dir(path))
		return -1;
	strcat(path, "/vmlinux");
	return make_dir(path) ? open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC) : -1;
}

static int open_pty(struct machine_files *f, char *error, size_t size)
{
	struct termios raw;
	/*
	 * Where there is room for one byte poll() calls it writable, and a longer write would wait.
	 */
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	char *name;

	if (fd < 0 || grantpt(fd) || unlockpt(fd) || !(name = ptsname(fd))) {
		snprintf(error, size, "--console pty: %s", strerror(errno));
		return -EIO;
	}
	f->console_in = f->console_out = fd;
	f->pty_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (f->pty_slave >= 0 && !tcgetattr(f->pty_slave, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(f->pty_slave, TCSANOW, &raw);
	}
	log_line(LOG_WARN, "the guest's console is %s", name);
	return 0;
}

static int open_unix(struct machine_files *f, const char *path, char *error, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		snprintf(error, size, "--console unix:%s: the path is longer than %zu bytes", path,
			 sizeof(addr.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(addr.sun_path, path);
	f->console_listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	f->console_bound = f->console_listen >= 0 &&
			   !bind(f->console_listen, (struct sockaddr *)&addr, sizeof(addr));
	if (f->console_bound && !listen(f->console_listen, 1))
		return 0;
	err = errno;
	snprintf(error, size, "--console unix:%s: %s%s", path, strerror(err),
		 err == EADDRINUSE ? "; remove it if no other candela serves it" : "");
	return -EINVAL;
}

static int open_console(struct machine_files *f, const struct config *c, char *error, size_t size)
{
	switch (c->console) {
	case CONSOLE_STDIO:
		f->console_in = STDIN_FILENO;
		f->console_out = STDOUT_FILENO;
		return 0;
	case CONSOLE_NONE:
		return 0;
	case CONSOLE_FILE:
		f->console_out =
			open(c->console_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (f->console_out >= 0)
			return 0;
		snprintf(error, size, "--console file:%s: %s", c->console_path, strerror(errno));
		return -EINVAL;
	case CONSOLE_PTY:
		return open_pty(f, error, size);
	case CONSOLE_UNIX:
		return open_unix(f, c->console_path, error, size);
	}
	return -EINVAL;
}

/* One image that is several disks: guests hold two of one id for two paths to the same disk. */
static void tell_apart(struct machine_files *f, const struct config *c, unsigned disk)
{
	char *id = f->disk[disk]->id;
	size_t len = strlen(id);
	unsigned count = 1;

	for (unsigned i = 0; i < disk; i++)
		count += c->disk[i].dvd == c->disk[disk].dvd && !strncmp(f->disk[i]->id, id, len);
	if (count > 1)
		snprintf(id + len, sizeof(f->disk[disk]->id) - len, "-%u", count);
}

static int open_disks(struct machine_files *f, const struct config *c, char *error, size_t size)
{
	for (unsigned i = 0; i < c->disk_count; i++) {
		struct disk_config config = c->disk[i];
		int err = 0;

		config.loops = c->io_threads;
		for (unsigned j = 0; !err && j < i; j++)
			err = disk_tell_apart(&config, &c->disk[j], error, size);
		if (!err)
			err = disk_open(&f->disk[i], &config, error, size);
		/* Whatever is wrong with an image is the user's to mend. */
		if (err)
			return err == -ENOMEM ? err : -EINVAL;
		tell_apart(f, c, i);
		f->disk_count = i + 1;
	}
	return 0;
}

/* Which file it is comes with the error. */
static int open_chaos(struct machine_files *f, const struct chaos_config *c, char *error,
		      size_t size)
{
	const char *what = c->replay ? "replay=" : "log=";
	int used = snprintf(error, size, "--chaos %s", what), err;

	f->chaos = calloc(1, sizeof(*f->chaos));
	if (!f->chaos) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	f->chaos->seed = c->seed;
	f->chaos->rate = c->rate;
	if (c->replay)
		return chaos_replay(f->chaos, c->replay, error + used, size - (size_t)used)
			       ? -EINVAL
			       : 0;
	err = c->log ? chaos_log(f->chaos, c->log) : 0;
	if (!err)
		return 0;
	snprintf(error + used, size - (size_t)used, "%s: %s", c->log, strerror(-err));
	return -EINVAL;
}

int machine_files_open(struct machine_files *f, const struct config *config, char *error,
		       size_t error_size)
{
	int err;

	*f = (struct machine_files){ .kernel_fd = -1,
				     .initrd_fd = -1,
				     .cache_fd = -1,
				     .console_in = -1,
				     .console_out = -1,
				     .console_listen = -1,
				     .pty_slave = -1 };
	f->kernel_fd = open_input("--kernel", config->kernel, error, error_size);
	if (f->kernel_fd < 0)
		return f->kernel_fd;
	if (config->initrd) {
		f->initrd_fd = open_input("--initrd", config->initrd, error, error_size);
		if (f->initrd_fd < 0)
			return f->initrd_fd;
	}
	f->cache_fd = open_cache();
	if (config->chaos.on) {
		err = open_chaos(f, &config->chaos, error, error_size);
		if (err)
			return err;
	}
	err = open_disks(f, config, error, error_size);
	return err ? err : open_console(f, config, error, error_size);
}

int machine_files_connect(struct machine_files *f, char *error, size_t error_size)
{
	int err = 0;

	for (unsigned i = 0; !err && i < f->disk_count; i++)
		err = disk_connect(f->disk[i], error, error_size);
	return err;
}

void machine_files_let_go(struct machine_files *f)
{
	for (unsigned i = 0; i < f->disk_count; i++)
		disk_let_go(f->disk[i]);
}

static void close_fd(int *fd)
{
	if (*fd > STDERR_FILENO)
		close(*fd);
	*fd = -1;
}

void machine_files_close(struct machine_files *f, const struct config *config)
{
	for (unsigned i = 0; i < f->disk_count; i++)
		f->disk[i]->ops->close(f->disk[i]);
	f->disk_count = 0;
	if (f->chaos)
		chaos_fini(f->chaos);
	free(f->chaos);
	f->chaos = NULL;
	if (f->console_bound)
		unlink(config->console_path);
	f->console_bound = false;
	close_fd(&f->console_listen);
	close_fd(&f->console_out);
	close_fd(&f->pty_slave);
	close_fd(&f->cache_fd);
	close_fd(&f->initrd_fd);
	close_fd(&f->kernel_fd);
}
