/* SPDX-License-Identifier: BSD-2-Clause */
/* The PVH boot protocol: Xen's docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h. */
#ifndef VMM_BOOT_PVH_PROTO_H
#define VMM_BOOT_PVH_PROTO_H

#include <assert.h>
#include <stdint.h>

#define PVH_MAGIC 0x336ec578u
#define PVH_VERSION 1

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};
static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};
static_assert(sizeof(struct pvh_module) == 32, "start_info.h");

/* Types as in E820. */
struct pvh_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
static_assert(sizeof(struct pvh_memmap_entry) == 24, "start_info.h");

/* Notes of the name "Xen" (public/elfnote.h). */
#define PVH_NOTE_GUEST_OS 6
#define PVH_NOTE_PHYS32_ENTRY 18

#endif
