/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside a stock Linux guest: drives a VMBus device from user space, through the kernel's
 * uio_hv_generic driver, which the device (a folder below /sys/bus/vmbus/devices) is bound to.
 *
 *	uio_guest echo DEVICE PACKETS   to the echo device: sizes from 0 to 60,000 bytes, many laps
 *	                                round both rings, every byte that comes back is looked at
 *	uio_guest hold DEVICE           ... some, then waits until the device is taken away:
 *	                                status 0
 *	uio_guest plug DEVICE OP COUNT  a command to the plug device (plug_proto.h)
 *
 * The driver maps two rings in a row (map 0, the guest's to the host first) and the page for
 * signals by bit (map 2). A monitored device is signalled there. For others a write of 1 to
 * /dev/uioN makes the kernel signal (Linux 6.12; 6.1 takes monitored devices only). The same write
 * lets interrupts through; a read then waits for one.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/boot/plug_proto.h"
#include "vmbus/ring_proto.h"
#include "vmbus/vmbus_proto.h"

#define PAYLOAD_MAX 60000u
#define PATIENCE_MS 20000

struct half {
	struct ring_header *header;
	u8 *data;
	u32 size; /* bytes of data */
};

struct channel {
	int fd;
	struct half out, in;
	u32 *monitor; /* the word with our bit; NULL: signalled by hypercall */
	u32 monitor_bit;
	u64 signals, waits;
};

struct packet {
	u16 type;
	u64 id;
	u32 size;
	u8 payload[PAYLOAD_MAX + 8];
};

static void die(const char *what)
{
	fprintf(stderr, "uio_guest: %s%s%s\n", what, errno ? ": " : "",
		errno ? strerror(errno) : "");
	exit(1);
}

/* ---- The device ------------------------------------------------------------------------------ */

/* The number in a file of sysfs, -1 where there is none. */
static long number_in(const char *folder, const char *file)
{
	char path[512], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strtol(text, NULL, 0);
}

/* The folder uio/uioN of a bound device. */
static void find_uio(const char *device, char *folder, size_t size)
{
	char pattern[512];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/uio/uio*", device);
	if (glob(pattern, 0, NULL, &found) || found.gl_pathc != 1)
		die("the device is not bound to uio_hv_generic");
	snprintf(folder, size, "%s", found.gl_pathv[0]);
	globfree(&found);
}

static void *map(int fd, const char *folder, unsigned index, size_t *size)
{
	char file[64];
	void *p;

	snprintf(file, sizeof(file), "maps/map%u/size", index);
	*size = (size_t)number_in(folder, file);
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index * 4096);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static struct half half_at(u8 *bytes, size_t size)
{
	return (struct half){ (struct ring_header *)bytes, bytes + RING_PAGE_SIZE,
			      (u32)size - RING_PAGE_SIZE };
}

static void channel_open(struct channel *c, const char *device)
{
	struct vmbus_monitor_page *page;
	long id = number_in(device, "monitor_id");
	char folder[512], node[64];
	size_t size;
	u8 *rings;

	memset(c, 0, sizeof(*c));
	find_uio(device, folder, sizeof(folder));
	snprintf(node, sizeof(node), "/dev/%s", strrchr(folder, '/') + 1);
	c->fd = open(node, O_RDWR);
	if (c->fd < 0)
		die(node);
	rings = map(c->fd, folder, 0, &size);
	c->out = half_at(rings, size / 2);
	c->in = half_at(rings + size / 2, size / 2);
	if (id < 0 || id >= VMBUS_MONITORS)
		return;
	page = map(c->fd, folder, 2, &size);
	c->monitor = &page->group[id / VMBUS_MONITOR_GROUP_SIZE].pending;
	c->monitor_bit = 1u << id % VMBUS_MONITOR_GROUP_SIZE;
}

/* Lets interrupts through; and signals a host that has no bit to look at. */
static void unmask(struct channel *c)
{
	s32 on = 1;

	if (write(c->fd, &on, sizeof(on)) != sizeof(on) && errno != EIO)
		die("write");
}

static void signal_host(struct channel *c)
{
	c->signals++;
	if (c->monitor)
		__atomic_fetch_or(c->monitor, c->monitor_bit, __ATOMIC_SEQ_CST);
	else
		unmask(c);
}

/* ---- Rings ----------------------------------------------------------------------------------- */

static u32 load(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(u32 *p, u32 value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

/* Bytes that hold no packet. The writer leaves some of them alone, for full is not empty. */
static u32 bytes_free(const struct half *h)
{
	u32 read = load(&h->header->read_index), write = load(&h->header->write_index);

	return read > write ? read - write : h->size - write + read;
}

static u32 copy_in(const struct half *h, u32 index, const void *bytes, u32 len)
{
	u32 first = len < h->size - index ? len : h->size - index;

	memcpy(h->data + index, bytes, first);
	memcpy(h->data, (const u8 *)bytes + first, len - first);
	return (index + len) % h->size;
}

static u32 copy_out(const struct half *h, u32 index, void *bytes, u32 len)
{
	u32 first = len < h->size - index ? len : h->size - index;

	memcpy(bytes, h->data + index, first);
	memcpy((u8 *)bytes + first, h->data, len - first);
	return (index + len) % h->size;
}

/* An in-band packet. False: no room. */
static bool channel_send(struct channel *c, u64 id, const void *payload, u32 size, bool completion)
{
	static const u8 zeroes[RING_ALIGN];
	u32 pad = -size % RING_ALIGN, old = load(&c->out.header->write_index), index = old;
	u32 total = (u32)sizeof(struct ring_descriptor) + size + pad;
	struct ring_trailer trailer = { .packet_start = old };
	struct ring_descriptor d = { .type = VMBUS_PACKET_INBAND,
				     .offset8 = sizeof(d) / RING_ALIGN,
				     .len8 = (u16)(total / RING_ALIGN),
				     .flags = completion ? RING_PACKET_COMPLETION_REQUESTED : 0,
				     .trans_id = id };

	if (bytes_free(&c->out) <= total + sizeof(trailer))
		return false;
	index = copy_in(&c->out, index, &d, sizeof(d));
	index = copy_in(&c->out, index, payload, size);
	index = copy_in(&c->out, index, zeroes, pad);
	index = copy_in(&c->out, index, &trailer, sizeof(trailer));
	store(&c->out.header->write_index, index);
	/* The host has seen everything before: it may sleep. */
	if (!load(&c->out.header->interrupt_mask) && load(&c->out.header->read_index) == old)
		signal_host(c);
	return true;
}

/* The host waits for room and has it now, by the `len` bytes just read. */
static void give_room(struct channel *c, u32 len)
{
	u32 wanted = load(&c->in.header->pending_send_sz), now = bytes_free(&c->in);

	if (wanted && now > wanted && now - len <= wanted)
		signal_host(c);
}

/* False: none. */
static bool channel_recv(struct channel *c, struct packet *p)
{
	u32 index = load(&c->in.header->read_index), len, next;
	struct ring_descriptor d;

	if (index == load(&c->in.header->write_index))
		return false;
	next = copy_out(&c->in, index, &d, sizeof(d));
	p->type = d.type;
	p->id = d.trans_id;
	p->size = (d.len8 - d.offset8) * RING_ALIGN;
	if (d.offset8 != sizeof(d) / RING_ALIGN || p->size > sizeof(p->payload))
		die("a packet from the host makes no sense");
	copy_out(&c->in, next, p->payload, p->size);
	len = d.len8 * RING_ALIGN + (u32)sizeof(struct ring_trailer);
	store(&c->in.header->read_index, (index + len) % c->in.size);
	give_room(c, len);
	return true;
}

/* Until an interrupt; not at all where there is a packet. False: the device has gone. */
static bool channel_wait(struct channel *c, int timeout_ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	u32 count;

	unmask(c);
	if (load(&c->in.header->read_index) != load(&c->in.header->write_index))
		return true;
	c->waits++;
	errno = 0;
	if (poll(&p, 1, timeout_ms) == 0)
		die("the host does not answer");
	return read(c->fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- Echoes ---------------------------------------------------------------------------------- */

static u32 size_of(u64 id)
{
	return (u32)(id % 64 == 63 ? id * 7919 % PAYLOAD_MAX : id * 31 % 1500);
}

static u8 byte_of(u64 id, u32 at)
{
	return (u8)(id * 13 + at * 7 + (at >> 8));
}

static bool send_echo(struct channel *c, u64 id)
{
	static u8 payload[PAYLOAD_MAX];
	u32 size = size_of(id);

	for (u32 i = 0; i < size; i++)
		payload[i] = byte_of(id, i);
	return channel_send(c, id, payload, size, id % 2);
}

static void check_echo(const struct packet *p, u64 id)
{
	u32 size = size_of(id);

	errno = 0;
	if (p->id != id)
		die("echoes come in another order");
	if (p->type != (id % 2 ? VMBUS_PACKET_COMPLETION : VMBUS_PACKET_INBAND))
		die("an echo of the wrong type");
	if (p->size != size + -size % RING_ALIGN)
		die("an echo of the wrong size");
	for (u32 i = 0; i < p->size; i++)
		if (p->payload[i] != (i < size ? byte_of(id, i) : 0))
			die("an echo with the wrong bytes");
}

/*
 * Sends and receives `packets`, at most `ahead` of them unanswered. Reads late where `lazy`: both
 * rings run full. The bytes of payload.
 */
static u64 echoes(struct channel *c, u64 packets, u64 ahead, bool lazy)
{
	static struct packet p;
	u64 sent = 0, got = 0, bytes = 0;

	while (got < packets) {
		bool full = false;

		while (sent < packets && sent - got < ahead && !full) {
			full = !send_echo(c, sent);
			sent += !full;
			if (!lazy)
				break;
		}
		if (!channel_recv(c, &p)) {
			if (!full && sent < packets && sent - got < ahead)
				continue;
			if (!channel_wait(c, PATIENCE_MS))
				die("the device has gone");
			continue;
		}
		do {
			check_echo(&p, got++);
			bytes += p.size;
		} while (channel_recv(c, &p));
	}
	return bytes;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const struct channel *before, const struct channel *c, const char *what,
		   u64 packets, u64 bytes, double took)
{
	printf("%s: %llu packets, %llu bytes each way in %.2f s: %.0f packets/s, %.1f signals and "
	       "%.1f waits per 1,000\n",
	       what, (unsigned long long)packets, (unsigned long long)bytes, took,
	       (double)packets / took,
	       1e3 * (double)(c->signals - before->signals) / (double)packets,
	       1e3 * (double)(c->waits - before->waits) / (double)packets);
}

static void echo_timed(struct channel *c, const char *what, u64 packets, u64 ahead, bool lazy)
{
	struct channel before = *c;
	double start = seconds();
	u64 bytes = echoes(c, packets, ahead, lazy);

	report(&before, c, what, packets, bytes, seconds() - start);
}

static void echo_main(const char *device, u64 packets)
{
	struct channel c;

	channel_open(&c, device);
	printf("%s, rings of %u + %u bytes\n", c.monitor ? "monitored" : "by hypercall", c.out.size,
	       c.in.size);
	echo_timed(&c, "one by one", packets / 10, 1, false);
	echo_timed(&c, "32 ahead", packets, 32, false);
	echo_timed(&c, "full rings", packets, packets, true);
}

/* ---- The other commands ---------------------------------------------------------------------- */

static void hold_main(const char *device)
{
	struct channel c;

	channel_open(&c, device);
	echoes(&c, 200, 16, false);
	printf("held\n");
	fflush(stdout);
	while (channel_wait(&c, -1))
		;
	if (errno != EIO)
		die("read");
}

static void plug_main(const char *device, u32 op, u32 count)
{
	struct plug_command command = { op, count };
	static struct packet p;
	struct plug_answer a;
	struct channel c;

	channel_open(&c, device);
	channel_send(&c, 1, &command, sizeof(command), true);
	while (!channel_recv(&c, &p))
		if (!channel_wait(&c, PATIENCE_MS))
			die("the device has gone");
	memcpy(&a, p.payload, sizeof(a));
	printf("%u %u %u %u %u %u\n", a.done, a.echoes, a.disks, a.gone, a.refused, a.bay_disks);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "echo"))
		echo_main(argv[2], strtoull(argv[3], NULL, 0));
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		hold_main(argv[2]);
	else if (argc == 5 && !strcmp(argv[1], "plug"))
		plug_main(argv[2], (u32)atoi(argv[3]), (u32)atoi(argv[4]));
	else
		return 2;
	return 0;
}
