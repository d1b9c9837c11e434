/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first instruction's registers. Only what the entry protocols ask for is set; the rest stays
 * as KVM resets it. Intel SDM volume 3: 3.4.5 segment descriptors, 4.5 paging.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <string.h>

#define CR0_PE (1ull << 0)
#define CR0_ET (1ull << 4)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_ALWAYS (1ull << 1)

/* Linux asks its loader for these two selectors. */
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TASK 0x20

/* Segment types: code executable and readable, data writable, both accessed; a busy task. */
#define TYPE_CODE 0xb
#define TYPE_DATA 0x3
#define TYPE_TASK 0xb

#define PAGE_PRESENT (1ull << 0)
#define PAGE_WRITE (1ull << 1)
#define PAGE_LARGE (1ull << 7)
#define TABLE_ENTRIES 512
#define TABLE_GIBS 4

static struct kvm_segment segment(u16 selector, u8 type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

static void segments_set(struct kvm_sregs *s)
{
	s->cs = segment(SELECTOR_CODE, TYPE_CODE);
	s->ds = s->es = s->fs = s->gs = s->ss = segment(SELECTOR_DATA, TYPE_DATA);
	s->tr = (struct kvm_segment){
		.limit = 0x67, .selector = SELECTOR_TASK, .type = TYPE_TASK, .present = 1
	};
	s->ldt = (struct kvm_segment){ .unusable = 1 };
	s->gdt = s->idt = (struct kvm_dtable){ 0 };
}

void boot_cpu_flat32(struct boot_state *state, u32 entry, gpa_t start_info)
{
	struct kvm_sregs *s = &state->sregs;

	segments_set(s);
	s->cr0 = CR0_PE | CR0_ET;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
	state->regs = (struct kvm_regs){
		.rip = entry,
		.rbx = start_info,
		.rflags = RFLAGS_ALWAYS,
	};
}

/* One PML4, one PDPT, a page directory of 2 MiB pages for each GiB. */
static int page_tables_write(const struct gmem *mem)
{
	u64 *table = gmem_range(mem, BOOT_PAGE_TABLES, (2 + TABLE_GIBS) * GUEST_PAGE_SIZE);
	u64 *pdpt, *pd;

	if (!table)
		return -EFAULT;
	memset(table, 0, (2 + TABLE_GIBS) * GUEST_PAGE_SIZE);
	pdpt = table + TABLE_ENTRIES;
	pd = pdpt + TABLE_ENTRIES;
	table[0] = (BOOT_PAGE_TABLES + GUEST_PAGE_SIZE) | PAGE_PRESENT | PAGE_WRITE;
	for (u64 i = 0; i < TABLE_GIBS; i++)
		pdpt[i] =
			(BOOT_PAGE_TABLES + (2 + i) * GUEST_PAGE_SIZE) | PAGE_PRESENT | PAGE_WRITE;
	for (u64 i = 0; i < TABLE_GIBS * TABLE_ENTRIES; i++)
		pd[i] = i * MiB(2) | PAGE_PRESENT | PAGE_WRITE | PAGE_LARGE;
	return 0;
}

/* The two segments as descriptors, where a guest may reload them. */
static int gdt_write(const struct gmem *mem)
{
	static const u64 gdt[] = {
		[SELECTOR_CODE / 8] = 0x00af9b000000ffffull,
		[SELECTOR_DATA / 8] = 0x00cf93000000ffffull,
	};

	return gmem_write(mem, BOOT_GDT, gdt, sizeof(gdt));
}

int boot_cpu_long64(const struct gmem *mem, struct boot_state *state, u64 entry, gpa_t params)
{
	struct kvm_sregs *s = &state->sregs;
	int err = page_tables_write(mem);

	if (!err)
		err = gdt_write(mem);
	if (err)
		return err;
	segments_set(s);
	s->cs.l = 1;
	s->cs.db = 0;
	s->gdt = (struct kvm_dtable){ .base = BOOT_GDT, .limit = SELECTOR_DATA + 7 };
	s->cr0 = CR0_PE | CR0_ET | CR0_PG;
	s->cr3 = BOOT_PAGE_TABLES;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	state->regs = (struct kvm_regs){
		.rip = entry,
		.rsi = params,
		.rflags = RFLAGS_ALWAYS,
	};
	return 0;
}
