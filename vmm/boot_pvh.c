/* SPDX-License-Identifier: BSD-2-Clause */
/* What a PVH guest is handed: start info, one module (the initrd), the memory map, side by side. */
#include "vmm/boot_internal.h"

#include <errno.h>

#include "vmm/boot_pvh_proto.h"

struct block {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memmap_entry map[BOOT_MAP_MAX];
};

static_assert(BOOT_PARAMS + sizeof(struct block) <= BOOT_GDT, "they share a page");

static void block_fill(const struct boot *b, struct block *block)
{
	struct boot_map_entry map[BOOT_MAP_MAX];
	unsigned count = boot_map(b->mem, map);

	*block = (struct block){
		.info = {
			.magic = PVH_MAGIC,
			.version = PVH_VERSION,
			.nr_modules = b->initrd_size ? 1 : 0,
			.modlist_paddr = BOOT_PARAMS + offsetof(struct block, initrd),
			.cmdline_paddr = LAYOUT_CMDLINE,
			.rsdp_paddr = b->config->rsdp,
			.memmap_paddr = BOOT_PARAMS + offsetof(struct block, map),
			.memmap_entries = count,
		},
		.initrd = { .paddr = b->initrd, .size = b->initrd_size },
	};
	for (unsigned i = 0; i < count; i++)
		block->map[i] = (struct pvh_memmap_entry){ .addr = map[i].gpa,
							   .size = map[i].size,
							   .type = map[i].type };
}

int boot_pvh_start(struct boot *b, u32 entry)
{
	struct block block;

	block_fill(b, &block);
	if (gmem_write(b->mem, BOOT_PARAMS, &block, sizeof(block)))
		return boot_fail(b, -EINVAL, "no memory for the start info");
	boot_cpu_flat32(b->state, entry, BOOT_PARAMS);
	return 0;
}
