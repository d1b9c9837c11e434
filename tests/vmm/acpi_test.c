/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks the tables as a guest does, from the RSDP; iasl reads them too where it is there. */
#include "vmm/acpi.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/acpi_proto.h"
#include "vmm/layout.h"

static struct gmem mem;
static gpa_t rsdp;

static int build(void **state)
{
	(void)state;
	if (gmem_init(&mem, MiB(16)))
		return -1;
	memset(gmem_range(&mem, LAYOUT_ACPI, 4096), 0xaa, 4096);
	return acpi_build(&mem, 3, &rsdp);
}

static int release(void **state)
{
	(void)state;
	gmem_fini(&mem);
	return 0;
}

static u8 sum(const void *p, u64 len)
{
	const u8 *b = p;
	u8 s = 0;

	for (u64 i = 0; i < len; i++)
		s = (u8)(s + b[i]);
	return s;
}

/* The checked table at gpa. */
static const void *table(gpa_t gpa, const char *signature)
{
	const struct acpi_header *h = gmem_range(&mem, gpa, sizeof(*h));

	assert_non_null(h);
	assert_in_range(gpa, LAYOUT_ACPI, LAYOUT_ACPI_END - h->length);
	assert_memory_equal(h->signature, signature, 4);
	assert_int_equal(sum(h, h->length), 0);
	assert_memory_equal(h->oem_id, "CANDEL", 6);
	return h;
}

static const struct acpi_header *xsdt(void)
{
	const struct acpi_rsdp *r = gmem_range(&mem, rsdp, sizeof(*r));

	return table(r->xsdt, "XSDT");
}

static gpa_t xsdt_entry(unsigned i)
{
	gpa_t gpa;

	memcpy(&gpa, (const u8 *)(xsdt() + 1) + i * sizeof(gpa), sizeof(gpa));
	return gpa;
}

static void rsdp_can_be_found_by_scanning(void **state)
{
	const struct acpi_rsdp *r = gmem_range(&mem, rsdp, sizeof(*r));

	(void)state;
	assert_in_range(rsdp, 0xe0000, 0xfffff);
	assert_int_equal(rsdp % 16, 0);
	assert_memory_equal(r->signature, "RSD PTR ", 8);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
	assert_int_equal(r->revision, 2);
	assert_int_equal(xsdt()->length, 36 + 2 * 8);
}

static void fadt_is_hardware_reduced(void **state)
{
	const struct acpi_fadt *f = table(xsdt_entry(0), "FACP");

	(void)state;
	assert_int_equal(f->header.revision, 6);
	assert_int_equal(f->header.length, 276);
	assert_true(f->flags & (1u << 20));
	assert_true(f->flags & (1u << 10));
	assert_int_equal(f->boot_arch & (1u << 5), 0); /* the CMOS clock is there */
	assert_int_equal(f->boot_arch & (1u << 1), 0); /* no 8042 */
	assert_int_equal(f->reset_register.space, 1);
	assert_int_equal(f->reset_register.address, LAYOUT_PORT_RESET);
	assert_int_equal(f->reset_value, LAYOUT_RESET_VALUE);
	assert_int_equal(f->sleep_control.address, LAYOUT_PORT_SLEEP_CONTROL);
	assert_int_equal(f->sleep_status.address, LAYOUT_PORT_SLEEP_STATUS);
	assert_memory_equal(f->hypervisor, "MsHyperV", 8);
	assert_int_equal(f->dsdt, f->x_dsdt);
	table(f->x_dsdt, "DSDT");
}

static void madt_has_every_processor(void **state)
{
	const struct acpi_madt *m = table(xsdt_entry(1), "APIC");
	const u8 *e = (const u8 *)(m + 1), *end = (const u8 *)m + m->header.length;
	unsigned cpus = 0, ioapics = 0;

	(void)state;
	assert_int_equal(m->local_apic, LAYOUT_LAPIC);
	assert_int_equal(m->flags, 0);
	for (; e < end; e += e[1]) {
		assert_true(e[1] >= 2);
		if (e[0] == 0) {
			assert_int_equal(e[3], cpus++);
			assert_int_equal(e[4], 1);
		}
		if (e[0] == 1) {
			const struct acpi_madt_ioapic *io = (const void *)e;

			assert_int_equal(io->address, LAYOUT_IOAPIC);
			assert_int_equal(io->gsi_base, 0);
			ioapics++;
		}
	}
	assert_ptr_equal(e, end);
	assert_int_equal(cpus, 3);
	assert_int_equal(ioapics, 1);
}

static const struct acpi_header *dsdt(void)
{
	const struct acpi_fadt *f = table(xsdt_entry(0), "FACP");

	return table(f->x_dsdt, "DSDT");
}

static bool dsdt_contains(const void *bytes, size_t len)
{
	return memmem(dsdt(), dsdt()->length, bytes, len);
}

/* A fixed I/O port descriptor, decoding 16 bits (ACPI 6.4.2.5). */
static bool dsdt_has_ports(u16 base, u8 count)
{
	u8 d[] = { 0x47, 1, (u8)base, (u8)(base >> 8), (u8)base, (u8)(base >> 8), 1, count };

	return dsdt_contains(d, sizeof(d));
}

/* An edge-triggered, active-high, exclusive interrupt (6.4.2.1). */
static bool dsdt_has_irq(unsigned irq)
{
	u8 d[] = { 0x23, (u8)(1u << irq), (u8)((1u << irq) >> 8), 1 };
	u8 shorter[] = { 0x22, (u8)(1u << irq), (u8)((1u << irq) >> 8) };

	return dsdt_contains(d, sizeof(d)) || dsdt_contains(shorter, sizeof(shorter));
}

static void dsdt_agrees_with_layout(void **state)
{
	u32 window[] = { (u32)LAYOUT_MMIO, (u32)(LAYOUT_MMIO + LAYOUT_MMIO_SIZE - 1), 0,
			 (u32)LAYOUT_MMIO_SIZE };
	u8 s5[] = { '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, LAYOUT_SLEEP_TYPE_S5 };

	(void)state;
	assert_true(dsdt_contains(window, sizeof(window)));
	assert_true(dsdt_contains(s5, sizeof(s5)));
	assert_true(dsdt_has_ports(LAYOUT_PORT_COM1, 8));
	assert_true(dsdt_has_ports(LAYOUT_PORT_COM2, 8));
	assert_true(dsdt_has_ports(LAYOUT_PORT_CMOS, 2));
	assert_false(dsdt_has_ports(0x3e8, 8));
	assert_true(dsdt_has_irq(LAYOUT_IRQ_COM1));
	assert_true(dsdt_has_irq(LAYOUT_IRQ_COM2));
	assert_false(dsdt_has_irq(7));
	assert_true(dsdt_contains("VMBus", 6));
}

static void bad_arguments_are_refused(void **state)
{
	struct gmem none = { 0 };
	gpa_t r;

	(void)state;
	assert_int_equal(acpi_build(&mem, 0, &r), -EINVAL);
	assert_int_equal(acpi_build(&mem, LAYOUT_CPUS_MAX + 1, &r), -EINVAL);
	assert_int_equal(acpi_build(&none, 1, &r), -EFAULT);
	assert_int_equal(acpi_build(&mem, LAYOUT_CPUS_MAX, &r), 0);
}

static void dump(const char *dir, const char *name, const struct acpi_header *h)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(h, 1, h->length, f), h->length);
	assert_int_equal(fclose(f), 0);
}

static void iasl_reads_them(void **state)
{
	char dir[] = "/tmp/candela-acpi-XXXXXX", cmd[256];
	int bad;

	(void)state;
	if (system("command -v iasl >/dev/null"))
		skip();
	assert_non_null(mkdtemp(dir));
	dump(dir, "xsdt", xsdt());
	dump(dir, "facp", table(xsdt_entry(0), "FACP"));
	dump(dir, "apic", table(xsdt_entry(1), "APIC"));
	dump(dir, "dsdt", dsdt());
	/* It exits with 0 also where it finds a table wrong: its words tell. */
	snprintf(cmd, sizeof(cmd),
		 "cd %s && iasl -d *.aml >log 2>&1 && [ \"$(ls *.dsl | wc -l)\" = 4 ] && "
		 "! cat log *.dsl | grep -iE 'error|warning|incorrect|invalid|unknown'",
		 dir);
	bad = system(cmd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdp_can_be_found_by_scanning),
		cmocka_unit_test(fadt_is_hardware_reduced),
		cmocka_unit_test(madt_has_every_processor),
		cmocka_unit_test(dsdt_agrees_with_layout),
		cmocka_unit_test(iasl_reads_them),
		cmocka_unit_test(bad_arguments_are_refused),
	};

	return cmocka_run_group_tests(tests, build, release);
}
