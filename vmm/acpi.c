/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of a machine without PM timer, PIC, SCI or any other fixed ACPI hardware. They lie
 * back to back in the legacy BIOS area, where also a guest that is not told finds the RSDP.
 *
 * Leaves out: x2APIC entries (VP numbers stay below 255), processor objects (the MADT is enough
 * for every guest without CPU hotplug), FACS (nothing to wake up from).
 */
#include "vmm/acpi.h"

#include <errno.h>
#include <string.h>

#include "vmm/acpi_proto.h"
#include "vmm/layout.h"

/* vmm/dsdt.S */
extern const u8 acpi_dsdt[], acpi_dsdt_end[];

/* The ids of compiled tables are in dsdt.asl. */
#define OEM_ID "CANDEL"
#define OEM_TABLE_ID "CANDELA "
#define CREATOR_ID "CNDL"

/* What a Hyper-V guest's firmware says of itself (FADT, Hypervisor Vendor Identity). */
#define HYPERVISOR "MsHyperV"

static_assert(LAYOUT_CPUS_MAX < 255, "processors beyond that need x2APIC entries");

struct area {
	u8 *base;
	u64 used;
};

#define AREA_SIZE (LAYOUT_ACPI_END - LAYOUT_ACPI)

/* Room for len zeroed bytes, or NULL. */
static void *area_take(struct area *a, u64 len)
{
	u64 start = ALIGN_UP(a->used, 16);

	if (start > AREA_SIZE || len > AREA_SIZE - start)
		return NULL;
	a->used = start + len;
	return memset(a->base + start, 0, len);
}

static gpa_t area_gpa(const struct area *a, const void *p)
{
	return LAYOUT_ACPI + (u64)((const u8 *)p - a->base);
}

/* What makes len bytes with a zero checksum field sum up to zero. */
static u8 checksum(const void *p, u64 len)
{
	const u8 *b = p;
	u8 sum = 0;

	for (u64 i = 0; i < len; i++)
		sum = (u8)(sum + b[i]);
	return (u8)-sum;
}

/* The signature fields have no final NUL. */
static void text(char *field, const char *s)
{
	memcpy(field, s, strlen(s));
}

/* Fills in the header of a table whose body is complete. */
static void header_finish(struct acpi_header *h, const char *signature, u8 revision, u64 len)
{
	text(h->signature, signature);
	h->length = (u32)len;
	h->revision = revision;
	text(h->oem_id, OEM_ID);
	text(h->oem_table_id, OEM_TABLE_ID);
	h->oem_revision = 1;
	text(h->creator_id, CREATOR_ID);
	h->creator_revision = 1;
	h->checksum = checksum(h, len);
}

static struct acpi_gas port(u16 address)
{
	return (struct acpi_gas){
		.space = ACPI_SPACE_IO,
		.bit_width = 8,
		.access_size = ACPI_ACCESS_BYTE,
		.address = address,
	};
}

static const void *dsdt_add(struct area *a)
{
	u64 len = (u64)(acpi_dsdt_end - acpi_dsdt);
	void *dsdt = area_take(a, len);

	return dsdt ? memcpy(dsdt, acpi_dsdt, len) : NULL;
}

/*
 * No "CMOS RTC absent" among the boot flags: the clock is there, and a guest that believes the
 * flag starts in 1970.
 */
static const void *fadt_add(struct area *a, gpa_t dsdt)
{
	struct acpi_fadt *f = area_take(a, sizeof(*f));

	if (!f)
		return NULL;
	f->dsdt = (u32)dsdt;
	f->x_dsdt = dsdt;
	f->boot_arch = ACPI_BOOT_NO_VGA;
	f->flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_POWER_BUTTON |
		   ACPI_FADT_SLEEP_BUTTON | ACPI_FADT_RESET | ACPI_FADT_HW_REDUCED;
	f->reset_register = port(LAYOUT_PORT_RESET);
	f->reset_value = LAYOUT_RESET_VALUE;
	f->sleep_control = port(LAYOUT_PORT_SLEEP_CONTROL);
	f->sleep_status = port(LAYOUT_PORT_SLEEP_STATUS);
	text(f->hypervisor, HYPERVISOR);
	header_finish(&f->header, "FACP", 6, sizeof(*f));
	return f;
}

/*
 * The I/O APIC's id is what KVM's answers in its id register. There is no timer or other ISA
 * interrupt whose pin or polarity would have to be overridden.
 */
static const void *madt_add(struct area *a, unsigned cpus)
{
	u64 len = sizeof(struct acpi_madt) + cpus * sizeof(struct acpi_madt_lapic) +
		  sizeof(struct acpi_madt_ioapic) + sizeof(struct acpi_madt_nmi);
	struct acpi_madt *m = area_take(a, len);
	struct acpi_madt_lapic *lapic;
	struct acpi_madt_ioapic *ioapic;

	if (!m)
		return NULL;
	m->local_apic = (u32)LAYOUT_LAPIC;
	lapic = (struct acpi_madt_lapic *)(m + 1);
	for (unsigned i = 0; i < cpus; i++)
		lapic[i] = (struct acpi_madt_lapic){
			.length = sizeof(*lapic),
			.processor_uid = (u8)i,
			.apic_id = (u8)i,
			.flags = 1,
		};
	ioapic = (struct acpi_madt_ioapic *)(lapic + cpus);
	*ioapic = (struct acpi_madt_ioapic){
		.type = 1,
		.length = sizeof(*ioapic),
		.address = (u32)LAYOUT_IOAPIC,
	};
	*(struct acpi_madt_nmi *)(ioapic + 1) = (struct acpi_madt_nmi){
		.type = 4,
		.length = sizeof(struct acpi_madt_nmi),
		.processor_uid = 0xff,
		.lint = 1,
	};
	header_finish(&m->header, "APIC", 5, len);
	return m;
}

static const void *xsdt_add(struct area *a, const gpa_t *table, unsigned count)
{
	u64 len = sizeof(struct acpi_header) + count * sizeof(*table);
	struct acpi_header *x = area_take(a, len);

	if (!x)
		return NULL;
	memcpy(x + 1, table, count * sizeof(*table));
	header_finish(x, "XSDT", 1, len);
	return x;
}

static void rsdp_fill(struct acpi_rsdp *r, gpa_t xsdt)
{
	text(r->signature, "RSD PTR ");
	text(r->oem_id, OEM_ID);
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = checksum(r, offsetof(struct acpi_rsdp, length));
	r->extended_checksum = checksum(r, sizeof(*r));
}

int acpi_build(const struct gmem *mem, unsigned cpus, gpa_t *rsdp)
{
	struct area a = { .base = gmem_range(mem, LAYOUT_ACPI, AREA_SIZE) };
	const void *dsdt, *fadt, *madt, *xsdt;
	struct acpi_rsdp *root;

	if (!a.base)
		return -EFAULT;
	if (!cpus || cpus > LAYOUT_CPUS_MAX)
		return -EINVAL;
	root = area_take(&a, sizeof(*root));
	dsdt = dsdt_add(&a);
	if (!root || !dsdt)
		return -ENOSPC;
	fadt = fadt_add(&a, area_gpa(&a, dsdt));
	madt = madt_add(&a, cpus);
	if (!fadt || !madt)
		return -ENOSPC;
	xsdt = xsdt_add(&a, (gpa_t[]){ area_gpa(&a, fadt), area_gpa(&a, madt) }, 2);
	if (!xsdt)
		return -ENOSPC;
	rsdp_fill(root, area_gpa(&a, xsdt));
	*rsdp = area_gpa(&a, root);
	return 0;
}
