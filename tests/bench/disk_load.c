/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_load ROUNDS MILLISECONDS [LOAD...]: the /init of the benchmark `disk`: loads the modules of
 * /modules, takes the first disk that comes, virtio's or SCSI's, and puts each load, or each of
 * those named, on it for that long, ROUNDS times in turn, by O_DIRECT and Linux's own asynchronous
 * I/O (io_submit). A depth of one is one thread's, on the first CPU or on the last; the others
 * have a thread a CPU, bound to it, each of that depth. The host reads its counters when the
 * console says "begin LOAD" and "end LOAD REQUESTS NANOSECONDS", in the rest that follows either
 * line.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 32
#define CPUS_MAX 64
#define REST_MS 250

struct load {
	const char *name;
	uint16_t opcode;
	uint32_t size; /* bytes a request */
	unsigned depth;
	bool random, last; /* last: on the last CPU, where there are several */
};

#define READ IOCB_CMD_PREAD
#define WRITE IOCB_CMD_PWRITE
static const struct load loads[] = {
	{ "randread-4k-qd1", READ, 4096, 1, true, false },
	{ "randread-4k-qd1-last", READ, 4096, 1, true, true },
	{ "randread-4k-qd32", READ, 4096, 32, true, false },
	{ "randwrite-4k-qd32", WRITE, 4096, 32, true, false },
	{ "seqread-1m-qd4", READ, 1 << 20, 4, false, false },
};

struct job {
	pthread_t thread;
	const struct load *load;
	int fd, cpu;
	uint64_t blocks; /* of the load's size, on the disk */
	uint64_t next; /* the block, or the state of the random numbers */
	uint64_t end_ns, done;
};

static void die(const char *what)
{
	printf("failed %s: %m\n", what);
	sleep(1);
	reboot(RB_AUTOBOOT);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void rest(void)
{
	tcdrain(STDOUT_FILENO);
	usleep(REST_MS * 1000);
}

static uint64_t next_block(struct job *j)
{
	if (!j->load->random)
		return j->next++ % j->blocks;
	j->next ^= j->next << 13;
	j->next ^= j->next >> 7;
	j->next ^= j->next << 17;
	return j->next % j->blocks;
}

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Until the time is over: what has come back goes out again, all of it by one call. */
static void keep_busy(struct job *j, aio_context_t aio, struct iocb **list)
{
	struct io_event events[DEPTH_MAX];
	long ready = j->load->depth, out = 0;

	while (ready || out) {
		for (long i = 0; i < ready; i++)
			list[i]->aio_offset = (int64_t)(next_block(j) * j->load->size);
		for (long sent = 0; sent < ready;) {
			long n = syscall(SYS_io_submit, aio, ready - sent, list + sent);

			if (n <= 0)
				die("io_submit");
			sent += n;
		}
		out += ready;
		ready = syscall(SYS_io_getevents, aio, 1L, out, events, NULL);
		if (ready <= 0)
			die("io_getevents");
		out -= ready;
		for (long i = 0; i < ready; i++) {
			if (events[i].res != j->load->size)
				die("a request");
			list[i] = (struct iocb *)(uintptr_t)events[i].obj;
		}
		j->done += (uint64_t)ready;
		if (now_ns() >= j->end_ns)
			ready = 0;
	}
}

static void *job_main(void *arg)
{
	struct job *j = arg;
	const struct load *l = j->load;
	struct iocb iocb[DEPTH_MAX] = { 0 }, *list[DEPTH_MAX];
	size_t bytes = (size_t)l->depth * l->size;
	aio_context_t aio = 0;
	char *buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	bind_to(j->cpu);
	if (buffer == MAP_FAILED || syscall(SYS_io_setup, l->depth, &aio))
		die("io_setup");
	for (unsigned i = 0; i < l->depth; i++) {
		iocb[i].aio_fildes = (uint32_t)j->fd;
		iocb[i].aio_lio_opcode = l->opcode;
		iocb[i].aio_buf = (uintptr_t)buffer + (uint64_t)i * l->size;
		iocb[i].aio_nbytes = l->size;
		list[i] = &iocb[i];
	}
	keep_busy(j, aio, list);
	syscall(SYS_io_destroy, aio);
	munmap(buffer, bytes);
	return NULL;
}

static void run_load(const struct load *l, int fd, uint64_t size, unsigned ms)
{
	static struct job jobs[CPUS_MAX];
	long cpus = l->depth == 1 ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t begun, done = 0;

	printf("begin %s .\n", l->name);
	rest();
	begun = now_ns();
	for (int i = 0; i < cpus; i++) {
		struct job *j = &jobs[i];

		*j = (struct job){ .load = l, .fd = fd, .blocks = size / l->size };
		j->cpu = l->last ? (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 : i;
		j->next = l->random ? 0x9e3779b97f4a7c15u + (unsigned)i
				    : j->blocks / (unsigned)cpus * (unsigned)i;
		j->end_ns = begun + (uint64_t)ms * 1000000;
		if (pthread_create(&j->thread, NULL, job_main, j))
			die("pthread_create");
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(jobs[i].thread, NULL);
		done += jobs[i].done;
	}
	printf("end %s %llu %llu .\n", l->name, (unsigned long long)done,
	       (unsigned long long)(now_ns() - begun));
	rest();
}

/* Those that need others not loaded yet have their turn in a later pass. */
static void load_modules(void)
{
	for (int pass = 0; pass < 16; pass++) {
		DIR *d = opendir("/modules");
		struct dirent *e;

		if (!d)
			return;
		while ((e = readdir(d))) {
			int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);

			if (!syscall(SYS_finit_module, fd, "", 0))
				unlinkat(dirfd(d), e->d_name, 0);
			close(fd);
		}
		closedir(d);
	}
}

/* No scheduler of the guest's own between the load and the disk. */
static void schedule_none(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/queue/scheduler", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "none", 4) != 4)
		printf("%s keeps its scheduler: %m\n", name);
	close(fd);
}

static int open_disk(void)
{
	static const char *const names[] = { "vda", "sda" };
	char path[16];

	for (int tenths = 0; tenths < 300; tenths++) {
		for (unsigned i = 0; i < 2; i++) {
			int fd;

			snprintf(path, sizeof(path), "/dev/%s", names[i]);
			fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
			if (fd < 0)
				continue;
			schedule_none(names[i]);
			return fd;
		}
		usleep(100000);
	}
	die("open of a disk");
	return -1;
}

/* Those named; all where none is. */
static int wanted(const struct load *l, int argc, char **argv)
{
	if (l->last && sysconf(_SC_NPROCESSORS_ONLN) == 1)
		return 0;
	for (int i = 3; i < argc; i++)
		if (!strcmp(argv[i], l->name))
			return 1;
	return argc <= 3;
}

int main(int argc, char **argv)
{
	int rounds, console, fd;
	unsigned ms;
	uint64_t size;

	/* Words of the command line that the kernel does not know come first: kvmtool's "noacpi". */
	for (; argc > 1 && !isdigit((unsigned char)argv[1][0]); argc--)
		argv++;
	rounds = argc > 1 ? atoi(argv[1]) : 1;
	ms = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	console = open("/dev/console", O_WRONLY);
	dup2(console, STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	load_modules();
	fd = open_disk();
	if (ioctl(fd, BLKGETSIZE64, &size) || size < 64u << 20)
		die("size of the disk");
	rest();
	for (int round = 0; round < rounds; round++)
		for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
			if (wanted(&loads[i], argc, argv))
				run_load(&loads[i], fd, size, ms);
	printf("over .\n");
	rest();
	return reboot(RB_AUTOBOOT);
}
