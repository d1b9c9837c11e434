/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unused_file.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

/* Where a file system has no leases the lock alone has to tell. */
static bool lease_possible(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		return errno != EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool file_unused(const char *path)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool unused = fd >= 0 && !fcntl(fd, F_OFD_SETLK, &all) && lease_possible(fd);

	if (fd >= 0)
		close(fd);
	return unused;
}

bool file_unused_soon(const char *path)
{
	for (unsigned tries = 3000; tries; tries--) {
		if (file_unused(path))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10 * (long)NSEC_PER_MSEC }, NULL);
	}
	return false;
}
