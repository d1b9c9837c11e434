/* SPDX-License-Identifier: BSD-2-Clause */
/* Which kind of kernel a file is, and what all kinds need to be read with. */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot_multiboot_proto.h"

/* Enough for every format's magic. */
#define HEAD_SIZE MULTIBOOT_SEARCH

/* A cpio reader takes zeros between archives, and wants each to start on a multiple of this. */
#define INITRD_ALIGN 4

/* Another format is one more row; the first that knows the file takes it. */
static const struct format {
	bool (*probe)(const u8 *head, size_t len);
	int (*load)(struct boot *b);
} formats[] = {
	{ boot_multiboot_probe, boot_multiboot_load },
	{ boot_elf_probe, boot_elf_load },
	{ boot_bzimage_probe, boot_bzimage_load },
};

int boot_fail(struct boot *b, int err, const char *fmt, ...)
{
	int n = snprintf(b->error, b->error_size, "%s: ", b->config->kernel_name);
	va_list args;

	if (n < 0 || (size_t)n >= b->error_size)
		return err;
	va_start(args, fmt);
	vsnprintf(b->error + n, b->error_size - (size_t)n, fmt, args);
	va_end(args);
	return err;
}

int boot_read(const struct boot_blob *blob, u64 offset, void *buf, u64 len)
{
	u8 *to = buf;

	if (offset > blob->size || len > blob->size - offset)
		return -ENODATA;
	if (blob->fd < 0 && blob->data && len) {
		memcpy(to, (const u8 *)blob->data + offset, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(blob->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		to += n;
		offset += (u64)n;
		len -= (u64)n;
	}
	return 0;
}

int boot_fail_read(struct boot *b, int err, const char *what)
{
	if (err == -ENODATA)
		return boot_fail(b, -EINVAL, "it ends within %s (is it complete?)", what);
	return boot_fail(b, err, "cannot read %s: %s", what, strerror(-err));
}

int boot_check_memory(struct boot *b, u64 end)
{
	const char *what = b->config->initrd_count ? "kernel and initrd need" : "the kernel needs";

	if (end <= b->ram_end)
		return 0;
	if (end > LAYOUT_HOLE)
		return boot_fail(b, -EINVAL, "%s more than the %llu MiB that lie below 4 GiB", what,
				 LAYOUT_HOLE >> 20);
	return boot_fail(b, -EINVAL, "%s at least %llu MiB of memory: raise --memory", what,
			 (unsigned long long)(ALIGN_UP(end, MiB(1)) >> 20));
}

/* The kernel file as a blob, and its first bytes. Returns how many, or -errno. */
static int kernel_open(struct boot *b, u8 head[static HEAD_SIZE])
{
	u64 len;
	int err;

	if (fstat(b->config->kernel_fd, &b->kernel_stat))
		return boot_fail(b, -errno, "%s", strerror(errno));
	if (!S_ISREG(b->kernel_stat.st_mode))
		return boot_fail(b, -EINVAL,
				 "not a regular file; a kernel is a bzImage or an ELF "
				 "file");
	b->kernel = (struct boot_blob){ .fd = b->config->kernel_fd,
					.size = (u64)b->kernel_stat.st_size };
	len = MIN(b->kernel.size, HEAD_SIZE);
	err = boot_read(&b->kernel, 0, head, len);
	if (err)
		return boot_fail_read(b, err, "its first pages");
	return (int)len;
}

int boot_load(const struct gmem *mem, const struct boot_config *config, struct boot_state *state,
	      char *error, size_t error_size)
{
	struct boot b = {
		.mem = mem,
		.config = config,
		.state = state,
		.error = error,
		.error_size = error_size,
		.cmdline_max = LAYOUT_CMDLINE_MAX - 1,
		.initrd_limit = GiB(2),
		.initrd_align = INITRD_ALIGN,
	};
	u8 head[HEAD_SIZE];
	int len;

	if (!mem->count || mem->region[0].gpa || mem->region[0].size < LAYOUT_RAM_MIN)
		return boot_fail(&b, -EINVAL, "needs at least %llu MiB of memory: raise --memory",
				 (unsigned long long)(LAYOUT_RAM_MIN >> 20));
	b.ram_end = mem->region[0].size;
	len = kernel_open(&b, head);
	if (len < 0)
		return len;
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].probe(head, (size_t)len))
			return formats[i].load(&b);
	return boot_fail(&b, -EINVAL,
			 "not a kernel candela knows; it boots an x86 bzImage "
			 "(/boot/vmlinuz-...), an ELF file with a PVH note or a Multiboot kernel");
}
