/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading a guest: files into RAM, and the state VP 0 starts in. Nothing here runs a guest or
 * knows KVM beyond its register structures.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <linux/kvm.h>

#include "base/types.h"
#include "vmm/memory.h"

/* A piece of initrd: a file descriptor (size bytes from its start), or bytes in memory. */
struct boot_blob {
	int fd; /* -1: data */
	const void *data;
	u64 size;
	const char *name; /* what a Multiboot kernel is told of it; NULL: "" */
};

#define BOOT_INITRD_BLOBS 4

struct boot_config {
	int kernel_fd;
	const char *kernel_name; /* for messages */
	const char *cmdline;
	/* That of a Multiboot kernel, which gets the kernel's name before it. */
	const char *append;
	/* Concatenated, each padded to 4 bytes as Linux's cpio reader allows; or a module each. */
	struct boot_blob initrd[BOOT_INITRD_BLOBS];
	unsigned initrd_count;
	/*
	 * Where an unpacked vmlinux may be kept between runs, -1 for nowhere (an O_DIRECTORY fd).
	 */
	int cache_fd;
	unsigned cpus;
	/* Where the RSDP was put (acpi_build()). */
	gpa_t rsdp;
};

/* How VP 0 starts. */
struct boot_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	bool linux_guest; /* a Linux kernel: needs a KVM that can run a stock guest */
};

/*
 * Loads what config names and fills *state; sregs must hold the vCPU's present values and are
 * edited. Takes a bzImage, an ELF file with a PVH note or a Multiboot (version 1) kernel. 0, or
 * -errno with a sentence naming the file and the way out in error: -EINVAL for a bad file, command
 * line or memory size, others from the host. May be called again on the same RAM.
 */
int boot_load(const struct gmem *mem, const struct boot_config *config, struct boot_state *state,
	      char *error, size_t error_size);

#endif
