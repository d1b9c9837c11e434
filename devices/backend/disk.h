/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block contract: done() runs on the loop of op->uring, exactly once, never from within
 * disk_submit(). So one disk serves channels of several loops without a lock.
 *
 * Order and durability, as SCSI has them: requests in flight together may be carried out in any
 * order. A FLUSH that succeeds has put on stable storage what was done() before it was submitted;
 * writes still in flight beside it need not be covered. One that fails says so.
 *
 * A back end knows nothing of VMBus or SCSI: byte offsets in, 0 or -errno out. It never sees a
 * request that is out of range, misaligned or forbidden: disk_submit()'s caller has checked them
 * against the fields below (a back end still refuses, it does not trust).
 */
#ifndef DEVICES_BACKEND_DISK_H
#define DEVICES_BACKEND_DISK_H

#include <string.h>
#include <sys/uio.h>

#include "base/types.h"
#include "base/uring.h"

enum disk_op_kind {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_DISCARD,
	DISK_WRITE_ZEROES,
	DISK_OP_KINDS
};

struct disk_op {
	enum disk_op_kind kind;
	bool fua; /* WRITE, WRITE_ZEROES: on stable storage before done() */
	bool unmap; /* WRITE_ZEROES: the space may be given back */
	u64 offset; /* bytes, a multiple of the logical block */
	u64 len; /* bytes, likewise; READ, WRITE: the sum of iov */
	struct iovec *iov; /* kept by the caller until done(); the back end may advance it */
	unsigned iov_count;
	struct uring *uring; /* the submitting loop's */
	u16 flow; /* which of the user's queues it is from: a limit is fair between them */
	/* err: 0, the whole length was carried out; or -errno. */
	void (*done)(struct disk_op *op, int err);
	/* The back end's. kind, offset and len are at done() what they were at first. */
	struct disk *disk;
	struct uring_op io;
	u64 finished; /* bytes, for requests carried out in parts */
	u64 advanced; /* ... of which iov no longer speaks */
	struct iovec piece; /* of WRITE_ZEROES written out, or what goes through a bounce buffer */
	unsigned buffer; /* its number and 1; 0: none */
	unsigned retries; /* left */
	bool synced; /* what FUA asks for is done */
	bool after_loss; /* some of what was written before was lost when it began */
	/* What disks that stand on others keep of a request they pass down. */
	struct {
		struct disk *disk;
		void (*done)(struct disk_op *op, int err);
		u64 begun_ns;
	} meter;
	struct disk_op *limit_next, *flush_next;
	struct {
		void *disk;
		enum disk_op_kind kind;
		u64 offset, len, finished;
		struct iovec *iov, tail;
		void (*done)(struct disk_op *op, int err);
	} upper;
};

struct disk;

struct disk_ops {
	void (*submit)(struct disk *disk, struct disk_op *op);
	/*
	 * Nothing is in flight; frees disk. Any thread, also beside the loops that used it: their
	 * rings let go of its files in their next turns, which free an image for others.
	 */
	void (*close)(struct disk *disk);
	/* NULL where there is nothing to do; see the functions of the same names. */
	int (*connect)(struct disk *disk, char *error, size_t error_size);
	void (*let_go)(struct disk *disk);
	int (*launch)(struct disk *disk, int (*begin)(void *ctx), void *ctx);
	void (*hurry)(struct disk *disk);
	bool fixed_size; /* disk_resize() can do nothing */
};

struct disk {
	const struct disk_ops *ops;
	u64 size; /* bytes, a multiple of logical_block; disk_resize() changes it */
	u32 logical_block; /* 512 or 4096 */
	u32 physical_block; /* a multiple of logical_block */
	bool read_only;
	bool can_discard;
	bool rotational;
	char id[32]; /* stable for the same image: serial number, VPD 0x83 */
	const char *name; /* the image, for people; not owned, NULL: it has none */
	struct disk *lower; /* the one it stands on, closed with it; NULL: none */
};

static inline void disk_submit(struct disk *disk, struct disk_op *op)
{
	op->disk = disk;
	disk->ops->submit(disk, op);
}

/*
 * Whether op may be carried out on disk at all: 0, -EINVAL where it is misaligned, out of range or
 * its iov does not add up, -EROFS.
 */
int disk_check(const struct disk *disk, const struct disk_op *op);

/*
 * The image behind disk has grown to size bytes, or will shrink to it: from now on requests are
 * carried out as far as that, and none that reach beyond. Its user is told apart (storvsp_resize()),
 * of more bytes after this, of fewer before. Any thread, one at a time, beside the loops that use
 * it. 0; -EINVAL: no whole number of blocks, or none; -EOPNOTSUPP: its size is what it was when it
 * was opened (a server's, an ephemeral one's, memory).
 */
int disk_resize(struct disk *disk, u64 size);

/* For back ends: gives it the id that belongs to name, the image's full path or a URI. */
void disk_set_id(struct disk *disk, const char *name);

/*
 * For back ends: copies len bytes of a READ or WRITE between the guest's buffer, from `skip` bytes
 * on, and buf. iov has as many.
 */
void disk_op_copy(const struct disk_op *op, u64 skip, u8 *buf, u64 len);

/* Ends op with err in a later turn: for what needs no I/O. */
void disk_complete(struct disk_op *op, int err);

enum disk_format {
	DISK_AUTO, /* by name and magic, see disk_probe() */
	DISK_RAW,
	DISK_QCOW2,
	DISK_VHDX,
	DISK_VHD,
	DISK_VMDK,
	DISK_FORMATS
};
enum disk_cache {
	DISK_WRITEBACK, /* the host's page cache is the disk's write cache */
	DISK_DIRECT, /* no page cache: O_DIRECT */
	DISK_UNSAFE, /* flushes and FUA are not carried out */
};
enum disk_aio { DISK_AIO_AUTO, DISK_AIO_URING, DISK_AIO_THREADS };

struct disk_config {
	const char *path; /* or an NBD URI */
	bool read_only;
	bool ephemeral; /* all writes are thrown away at the end */
	bool dvd; /* in a DVD drive; read_only */
	bool unlocked; /* take no lock and heed none */
	bool backing; /* the image may name other files, which are opened, too */
	enum disk_format format;
	enum disk_cache cache;
	enum disk_aio aio;
	u32 logical_block; /* 512, 4096; 0: the image's own */
	u64 iops, bps; /* at most that many requests and bytes a second; 0: no limit */
	u32 burst_ms; /* that much of them may be saved up; 0: DISK_BURST_MS */
	unsigned loops; /* that will use it; 0: one */
};

#define DISK_BURST_MS 100u

/* "auto", "raw", "qcow2", "vhdx", "vhd", "vmdk". */
static inline const char *disk_format_name(enum disk_format format)
{
	static const char *const names[DISK_FORMATS] = { "auto", "raw", "qcow2",
							 "vhdx", "vhd", "vmdk" };

	return names[format];
}

/* Whether path is an NBD URI, not a file. */
static inline bool disk_is_uri(const char *path)
{
	return !strncmp(path, "nbd://", 6) || !strncmp(path, "nbds://", 7) ||
	       !strncmp(path, "nbd+unix://", 11) || !strncmp(path, "nbds+unix://", 12);
}

/*
 * Whatever config names (disk_open.c): picks the back end, puts what config asks for on top of it.
 * config.path outlives the disk. 0 and *disk, or -errno with a sentence naming the image and the
 * way out in error. For the process that outlives every start of the guest.
 */
int disk_open(struct disk **disk, const struct disk_config *config, char *error, size_t error_size);

/*
 * Whether two disks of one machine may be opened both: 0, or -EBUSY with a sentence in error where
 * they are one image, which is written.
 */
int disk_tell_apart(const struct disk_config *a, const struct disk_config *b, char *error,
		    size_t error_size);

/*
 * The life of a disk that stands on a connection, whose steps do nothing for the others. In the
 * process that opened it, before each start: disk_connect() (the first time it still is); 0, or
 * -errno with a sentence in error. In the process forked then: disk_launch(), once
 * sandbox_process() was called; begin runs first on each thread it starts. In the first process,
 * after the fork: disk_let_go(), for the connection is the other's now.
 */
int disk_connect(struct disk *disk, char *error, size_t error_size);
int disk_launch(struct disk *disk, int (*begin)(void *ctx), void *ctx);
void disk_let_go(struct disk *disk);

/*
 * The machine is about to end, and waits for what is under way: what a server has not answered
 * after DISK_HURRY_NS fails. Any thread.
 */
void disk_hurry(struct disk *disk);
#define DISK_HURRY_NS (3 * NSEC_PER_SEC)

/*
 * A raw image file or block device (disk_raw_open.c), without what disk_open() puts on top; format
 * is not looked at. 0 and *disk, or -errno with a sentence naming the file and the way out in
 * error.
 */
int disk_raw_open(struct disk **disk, const struct disk_config *config, char *error,
		  size_t error_size);

/*
 * A raw disk on fd, which becomes its own where 0 is returned: not locked, id left empty. 0 and
 * *disk, or -errno.
 */
int disk_raw_adopt(struct disk **disk, int fd, u64 size, u32 logical_block);

/* How a raw disk does its I/O; disk_raw_adopt() leaves it at zero. */
struct disk_raw_how {
	u32 align; /* of buffers, their lengths and places, for O_DIRECT: a power of two; 0: any */
	bool unsafe; /* flushes and FUA are not carried out */
	bool threads; /* plain system calls instead of io_uring */
};
void disk_raw_set(struct disk *disk, struct disk_raw_how how);

/*
 * Opens the file once more for each of so many loops, as far as that goes: what the kernel could
 * not write back it tells each open file once, so that no loop's flush takes the news from
 * another's; not where no flush is carried out. fd: one that was opened already, and is the disk's
 * from now on; -1: none. Where it cannot be opened, of which the user is told, the rest of the
 * loops flush by the file that requests use.
 */
void disk_raw_flush_apart(struct disk *disk, unsigned loops, int fd);

/*
 * Locks the image behind fd for one writer or many readers (disk_lock.c), for as long as fd or a
 * copy of it is open, unless config wants none; one that cannot be locked is used with a warning.
 * 0; or -EBUSY where somebody else has it, or the host as a loop device what is to be written, with
 * a sentence in error that names them.
 */
int disk_lock(int fd, const struct disk_config *config, char *error, size_t error_size);

/*
 * Claims a block device that is to be written, as mounting it does, as long as *fd is open (-1:
 * there is nothing to claim), which is to be used: as long as there is a claim, the kernel lets
 * only its own file discard or zero what lies in the page cache and is not written back (EBUSY by
 * any other). Behind disk_lock(), which names other programs; and patient like it, for two seconds.
 * 0; -EBUSY where the host itself uses it, with a sentence in error.
 */
int disk_claim(int *fd, const struct disk_config *config, char *error, size_t error_size);

/*
 * What file, opened from path, is (disk_probe.c). A format other than raw is only believed where
 * the name says the same: what a guest writes to a raw disk never makes it another kind. 0 and
 * *format; -EINVAL where name and contents differ, with a sentence in error.
 */
int disk_probe(int fd, const char *path, enum disk_format *format, char *error, size_t error_size);

/*
 * Keeps all writes to base in a nameless temporary file, thrown away at the end
 * (disk_ephemeral.c). base becomes part of *disk where 0 is returned. 0, or -errno with a
 * sentence in error.
 */
int disk_ephemeral_open(struct disk **disk, struct disk *base, char *error, size_t error_size);

/*
 * Lets at most iops requests and bps bytes a second through to base (disk_limit.c); 0: any number.
 * burst_ms: how much of them may be saved up. FLUSH is let through always; zeroes written count as
 * bytes, DISCARD as a request only. base becomes part of *disk where 0 is returned. 0 or -ENOMEM.
 */
int disk_limit_open(struct disk **disk, struct disk *base, u64 iops, u64 bps, u32 burst_ms);

/* What a disk has done. Latency: [0] less than 1 us, [n] 2^(n-1) to 2^n us, the last all above. */
#define DISK_LATENCIES 24
struct disk_counts {
	u64 ops, bytes, errors; /* ops: all that ended */
	u64 latency[DISK_LATENCIES];
};
struct disk_counters {
	struct disk_counts kind[DISK_OP_KINDS];
	u64 throttled; /* requests that waited for a limit */
};

/* "read", "write", "flush", "discard", "write_zeroes". */
static inline const char *disk_op_name(enum disk_op_kind kind)
{
	static const char *const names[DISK_OP_KINDS] = { "read", "write", "flush", "discard",
							  "write_zeroes" };

	return names[kind];
}

/*
 * Counts what is asked of base (disk_meter.c). base becomes part of *disk where 0 is returned.
 * 0 or -ENOMEM.
 */
int disk_meter_open(struct disk **disk, struct disk *base);

/* Reads the counters of a disk that has them; zeroes where not. Any thread. */
void disk_counters(const struct disk *disk, struct disk_counters *counters);

/*
 * From now on a request to a disk_meter that the host failed to carry out is not ended but kept for
 * good, and failed(ctx, disk, op, err) called instead, on the loop. Before the loops run.
 */
void disk_on_error(struct disk *disk,
		   void (*failed)(void *ctx, struct disk *disk, const struct disk_op *op, int err),
		   void *ctx);

/* size bytes of memory, zeroed (disk_mem.c): tests and benchmarks. NULL without memory. */
struct disk *disk_mem_open(u64 size, u32 logical_block);

#endif
