/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_load: the /init of the benchmark `disk`: loads the modules of /modules, takes the first disk
 * that comes, virtio's or SCSI's, and says "ready .". From then on a key on the console is the load
 * (disk_loads.h) that it puts on the disk until the next one, by O_DIRECT and Linux's own
 * asynchronous I/O (io_submit). A depth of one is one thread's, on the first CPU or on the last;
 * the others have a thread a CPU, bound to it, each of that depth. It runs until somebody ends the
 * machine; what does not work it says by "failed".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
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
#include <unistd.h>

#include "tests/bench/disk_loads.h"

#define DEPTH_MAX 32
#define CPUS_MAX 64

struct job {
	pthread_t thread;
	const struct disk_load *load;
	const atomic_bool *over;
	sem_t *under_way;
	int fd, cpu;
	uint64_t blocks; /* of the load's size, on the disk */
	uint64_t next; /* the block, or the state of the random numbers */
};

/* A disk, and the load that is on it. */
struct bench {
	int fd;
	uint64_t size; /* bytes */
	struct job jobs[CPUS_MAX];
	unsigned count;
	sem_t under_way; /* one for each job whose first request is back */
	atomic_bool over;
};

static void die(const char *what)
{
	printf("failed %s: %m\n", what);
	sleep(1);
	reboot(RB_AUTOBOOT);
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

/* Until the load is over: what has come back goes out again, all of it by one call. */
static void keep_busy(struct job *j, aio_context_t aio, struct iocb **list)
{
	struct io_event events[DEPTH_MAX];
	long ready = j->load->depth, out = 0;
	bool first = true;

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
		if (first)
			sem_post(j->under_way);
		first = false;
		if (atomic_load_explicit(j->over, memory_order_relaxed))
			ready = 0;
	}
}

static void *job_main(void *arg)
{
	struct job *j = arg;
	const struct disk_load *l = j->load;
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
		iocb[i].aio_lio_opcode = l->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
		iocb[i].aio_buf = (uintptr_t)buffer + (uint64_t)i * l->size;
		iocb[i].aio_nbytes = l->size;
		list[i] = &iocb[i];
	}
	keep_busy(j, aio, list);
	syscall(SYS_io_destroy, aio);
	munmap(buffer, bytes);
	return NULL;
}

static void begin_load(struct bench *b, const struct disk_load *l)
{
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);

	b->count = l->depth == 1 ? 1 : cpus;
	if (b->count > CPUS_MAX)
		b->count = CPUS_MAX;
	b->over = false;
	for (unsigned i = 0; i < b->count; i++) {
		struct job *j = &b->jobs[i];

		*j = (struct job){ .load = l, .over = &b->over, .fd = b->fd };
		j->under_way = &b->under_way;
		j->blocks = b->size / l->size;
		j->cpu = (int)(l->last ? cpus - 1 : i);
		j->next = l->random ? 0x9e3779b97f4a7c15u + i : j->blocks / b->count * i;
		if (pthread_create(&j->thread, NULL, job_main, j))
			die("pthread_create");
	}
	for (unsigned i = 0; i < b->count; i++)
		sem_wait(&b->under_way);
	printf(DISK_LOAD_SAYS "\n", l->name);
}

static void end_load(struct bench *b)
{
	b->over = true;
	for (unsigned i = 0; i < b->count; i++)
		pthread_join(b->jobs[i].thread, NULL);
	b->count = 0;
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

/* Keys as they are typed, and none of them printed. */
static int open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_CLOEXEC);
	struct termios raw;

	dup2(fd, STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (tcgetattr(fd, &raw))
		die("tcgetattr");
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw))
		die("tcsetattr");
	return fd;
}

int main(void)
{
	static struct bench b;
	int console;
	char key;

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	console = open_console();
	load_modules();
	b.fd = open_disk();
	if (ioctl(b.fd, BLKGETSIZE64, &b.size) || b.size < 64u << 20)
		die("size of the disk");
	sem_init(&b.under_way, 0, 0);
	printf("ready .\n");
	while (read(console, &key, 1) == 1) {
		unsigned index = (unsigned)(key - DISK_LOAD_KEY(0));

		end_load(&b);
		if (index < DISK_LOADS)
			begin_load(&b, &disk_loads[index]);
	}
	die("read of the console");
	return 1;
}
