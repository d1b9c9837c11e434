/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest RAM: one object of a few regions, and the only gate to it. No KVM here, so tests and
 * fuzzers use it on plain memory.
 *
 * RAM is mapped from gmem_init() to gmem_fini(), so a pointer once obtained stays good for the
 * host whatever the guest does. What it points to may change at any moment: copy once, check the
 * copy, use the copy. All functions may be called from any thread.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "base/types.h"

/* A guest physical address. */
typedef u64 gpa_t;

#define GUEST_PAGE_SIZE 4096u
#define GUEST_PAGE_SHIFT 12

#define GMEM_REGIONS 2

struct gmem_region {
	gpa_t gpa;
	u64 size;
	u8 *host;
};

/* Zeroed is valid: no RAM. */
struct gmem {
	struct gmem_region
		region[GMEM_REGIONS]; /* ascending, below and above the hole under 4 GiB */
	unsigned count;
};

/*
 * Maps size bytes (a multiple of GUEST_PAGE_SIZE, not 0) of anonymous RAM, huge pages advised,
 * not reserved up front. What does not fit below the hole (vmm/layout.h) goes above 4 GiB.
 * 0 or -errno.
 */
int gmem_init(struct gmem *m, u64 size);
void gmem_fini(struct gmem *m);

/* All RAM in bytes. */
u64 gmem_size(const struct gmem *m);

/* The host address of [gpa, gpa + len), or NULL where any of it is not RAM. len 0 gives NULL. */
void *gmem_range(const struct gmem *m, gpa_t gpa, u64 len);

/* Copies out of or into RAM. 0, or -EFAULT with nothing copied. */
int gmem_read(const struct gmem *m, gpa_t gpa, void *buf, u64 len);
int gmem_write(const struct gmem *m, gpa_t gpa, const void *buf, u64 len);

/* Zeroes RAM; whole pages are given back to the host instead of written. 0 or -EFAULT. */
int gmem_zero(const struct gmem *m, gpa_t gpa, u64 len);

#endif
