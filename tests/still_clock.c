/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/still_clock.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic u64 still_ns; /* 0: the host's */

/* In libc's place, as all below. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	u64 now = atomic_load(&still_ns);

	if (!now || id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){ .tv_sec = (time_t)(now / NSEC_PER_SEC),
				 .tv_nsec = (long)(now % NSEC_PER_SEC) };
	return 0;
}

void still_clock_begin(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	atomic_store(&still_ns, (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec);
}

void still_clock_pass(u64 ns)
{
	atomic_fetch_add(&still_ns, ns);
}

void still_clock_end(void)
{
	atomic_store(&still_ns, 0);
}

int epoll_wait(int fd, struct epoll_event *ev, int max, int timeout_ms)
{
	int (*real)(int, struct epoll_event *, int, int);
	bool still = atomic_load(&still_ns) && timeout_ms > 0;
	int n;

	*(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
	n = real(fd, ev, max, still ? 0 : timeout_ms);
	if (still && !n)
		still_clock_pass((u64)timeout_ms * NSEC_PER_MSEC);
	return n;
}

int epoll_pwait2(int fd, struct epoll_event *ev, int max, const struct timespec *ts,
		 const sigset_t *mask)
{
	int (*real)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
	int n;

	if (!atomic_load(&still_ns)) {
		*(void **)&real = dlsym(RTLD_NEXT, "epoll_pwait2");
		return real(fd, ev, max, ts, mask);
	}
	n = epoll_wait(fd, ev, max, 0);
	if (!n)
		still_clock_pass((u64)ts->tv_sec * NSEC_PER_SEC + (u64)ts->tv_nsec);
	return n;
}
