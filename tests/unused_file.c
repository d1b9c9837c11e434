/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unused_file.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

bool file_unused(const char *path)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool unused = fd >= 0 && !fcntl(fd, F_OFD_SETLK, &all) && !fcntl(fd, F_SETLEASE, F_WRLCK) &&
		      !fcntl(fd, F_SETLEASE, F_UNLCK);

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
