/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Multiboot protocol, version 1, as its Specification 0.6.96 lays it down: the header in the
 * kernel's file (3.1), the machine at its entry (3.2), what it is told (3.3). Little-endian, 32-bit
 * physical addresses.
 */
#ifndef VMM_BOOT_MULTIBOOT_PROTO_H
#define VMM_BOOT_MULTIBOOT_PROTO_H

#include <assert.h>
#include <stddef.h>

#include "base/types.h"

/* 3.1: the header lies at a multiple of 4, wholly within the first 8 KiB. */
#define MULTIBOOT_SEARCH 8192u
#define MULTIBOOT_HEADER_ALIGN 4u
#define MULTIBOOT_HEADER_MAGIC 0x1badb002u

/* 3.1.2: flags. A loader must refuse what it does not know of the lower 16. */
#define MULTIBOOT_PAGE_ALIGN (1u << 0)
#define MULTIBOOT_MEMORY_INFO (1u << 1)
#define MULTIBOOT_VIDEO_MODE (1u << 2)
#define MULTIBOOT_REQUIREMENTS 0xffffu
#define MULTIBOOT_ADDRESSES (1u << 16)

/* 3.1.1: the three numbers sum up to 0. */
struct multiboot_header {
	u32 magic;
	u32 flags;
	u32 checksum;
};
static_assert(sizeof(struct multiboot_header) == 12, "Multiboot 3.1");

/* 3.1.3: follows the header where MULTIBOOT_ADDRESSES is set. */
struct multiboot_addresses {
	u32 header;
	u32 load;
	u32 load_end; /* 0: the file's end */
	u32 bss_end; /* 0: no bss */
	u32 entry;
};
static_assert(sizeof(struct multiboot_addresses) == 20, "Multiboot 3.1.3");

/* 3.2: in EAX at the entry; EBX points to the information. */
#define MULTIBOOT_BOOT_MAGIC 0x2badb002u

/* 3.3: which fields are valid. */
#define MULTIBOOT_HAS_MEMORY (1u << 0)
#define MULTIBOOT_HAS_CMDLINE (1u << 2)
#define MULTIBOOT_HAS_MODULES (1u << 3)
#define MULTIBOOT_HAS_MAP (1u << 6)
#define MULTIBOOT_HAS_LOADER_NAME (1u << 9)

struct multiboot_info {
	u32 flags;
	u32 mem_lower; /* KiB from 0 */
	u32 mem_upper; /* KiB from 1 MiB to the first hole */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count;
	u32 mods_addr;
	u32 symbols[4];
	u32 mmap_length; /* bytes */
	u32 mmap_addr;
	u32 drives_length;
	u32 drives_addr;
	u32 config_table;
	u32 loader_name;
	u32 apm_table;
	u32 video[11];
};
static_assert(sizeof(struct multiboot_info) == 116, "Multiboot 3.3");
static_assert(offsetof(struct multiboot_info, mmap_length) == 44, "Multiboot 3.3");
static_assert(offsetof(struct multiboot_info, loader_name) == 64, "Multiboot 3.3");
static_assert(offsetof(struct multiboot_info, video) == 72, "Multiboot 3.3");

struct multiboot_module {
	u32 start;
	u32 end; /* one past the last byte */
	u32 string;
	u32 reserved;
};
static_assert(sizeof(struct multiboot_module) == 16, "Multiboot 3.3");

struct multiboot_map_entry {
	u32 size; /* of what follows */
	u64 addr;
	u64 len;
	u32 type; /* 1: RAM */
} __attribute__((packed));
static_assert(sizeof(struct multiboot_map_entry) == 24, "Multiboot 3.3");

#endif
