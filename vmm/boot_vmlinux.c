/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmlinux that a bzImage carries: a descriptor of what an earlier run unpacked, whose segments
 * go straight from the page cache into RAM, or bytes unpacked now.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Beyond any kernel; a larger payload is left to the kernel's own code. */
#define PACKED_MAX MiB(256)
#define UNPACKED_MAX MiB(1024)

/* Pages that are wholly given back when unmapped, unlike those of the heap. */
static u8 *pages_get(u64 size)
{
	u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static int payload_read(struct boot *b, u64 offset, u8 *in, u64 in_len)
{
	int err = boot_read(&b->kernel, offset, in, in_len);

	return err ? boot_fail_read(b, err, "its packed kernel") : 0;
}

/* Unpacks into fresh pages of size bytes. */
static int payload_unpack(struct boot *b, u64 offset, u64 len, u64 size, u8 **unpacked)
{
	u8 *in = pages_get(len), *out = pages_get(size);
	int err;

	if (!in || !out)
		err = boot_fail(b, -ENOMEM, "no memory to unpack it");
	else
		err = payload_read(b, offset, in, len);
	if (!err) {
		err = boot_unpack(in, len, out, size);
		if (err)
			boot_fail(b, err, "its packed kernel is damaged");
	}
	if (in)
		munmap(in, len);
	if (err && out)
		munmap(out, size);
	*unpacked = err ? NULL : out;
	return err;
}

int boot_vmlinux_open(struct boot *b, u64 offset, u64 len, struct boot_blob *vmlinux)
{
	u8 head[16], *unpacked;
	u32 size;
	int err;

	*vmlinux = (struct boot_blob){ .fd = -1 };
	if (len < sizeof(head) || len > PACKED_MAX)
		return -ENOTSUP;
	err = payload_read(b, offset, head, sizeof(head));
	if (!err)
		err = payload_read(b, offset + len - sizeof(size), (u8 *)&size, sizeof(size));
	if (err)
		return err;
	if (!boot_unpack_knows(head, sizeof(head)) || !size || size > UNPACKED_MAX)
		return -ENOTSUP;
	vmlinux->size = size;
	vmlinux->fd = boot_cache_open(b->config->cache_fd, &b->kernel_stat, size);
	if (vmlinux->fd >= 0)
		return 0;
	err = payload_unpack(b, offset, len, size, &unpacked);
	if (err)
		return err;
	boot_elf_trim(unpacked, size);
	boot_cache_store(b->config->cache_fd, &b->kernel_stat, unpacked, size);
	vmlinux->data = unpacked;
	return 0;
}

void boot_vmlinux_close(struct boot_blob *vmlinux)
{
	if (vmlinux->fd >= 0)
		close(vmlinux->fd);
	if (vmlinux->data)
		munmap((void *)(uintptr_t)vmlinux->data, vmlinux->size);
	*vmlinux = (struct boot_blob){ .fd = -1 };
}
