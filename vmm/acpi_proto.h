/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables as they lie in memory. ACPI 6.4; the section is above each structure. */
#ifndef VMM_ACPI_PROTO_H
#define VMM_ACPI_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* 5.2.3.2 Generic Address Structure */
struct acpi_gas {
	uint8_t space; /* ACPI_SPACE_* */
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size; /* 1: byte */
	uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct acpi_gas) == 12, "5.2.3.2");

#define ACPI_SPACE_IO 1
#define ACPI_ACCESS_BYTE 1

/* 5.2.5.3 Root System Description Pointer */
struct acpi_rsdp {
	char signature[8]; /* "RSD PTR " */
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision; /* 2 */
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* of all bytes */
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
static_assert(offsetof(struct acpi_rsdp, length) == 20, "5.2.5.3");

/* 5.2.6 System Description Table Header */
struct acpi_header {
	char signature[4];
	uint32_t length; /* with this header */
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "5.2.6");

/* 5.2.9 Fixed ACPI Description Table; the fields between are zero on hardware-reduced machines */
struct acpi_fadt {
	struct acpi_header header; /* "FACP" */
	uint32_t facs;
	uint32_t dsdt;
	uint8_t hardware[65];
	uint16_t boot_arch; /* ACPI_BOOT_* */
	uint8_t reserved;
	uint32_t flags; /* ACPI_FADT_* */
	struct acpi_gas reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_gas x_hardware[8];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	char hypervisor[8];
} __attribute__((packed));
static_assert(sizeof(struct acpi_fadt) == 276, "5.2.9, revision 6");
static_assert(offsetof(struct acpi_fadt, boot_arch) == 109, "5.2.9");
static_assert(offsetof(struct acpi_fadt, reset_register) == 116, "5.2.9");
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "5.2.9");
static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "5.2.9");

/* 5.2.9.3 IA-PC Boot Architecture Flags */
#define ACPI_BOOT_NO_VGA (1u << 2)

/* Table 5.10: fixed feature flags */
#define ACPI_FADT_WBINVD (1u << 0)
#define ACPI_FADT_PROC_C1 (1u << 2)
#define ACPI_FADT_POWER_BUTTON (1u << 4) /* set: no fixed one */
#define ACPI_FADT_SLEEP_BUTTON (1u << 5) /* set: no fixed one */
#define ACPI_FADT_RESET (1u << 10)
#define ACPI_FADT_HW_REDUCED (1u << 20)

/* 5.2.12 Multiple APIC Description Table, with its entries behind it */
struct acpi_madt {
	struct acpi_header header; /* "APIC" */
	uint32_t local_apic;
	uint32_t flags; /* bit 0: a PIC is there too */
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt) == 44, "5.2.12");

/* 5.2.12.2 Processor Local APIC */
struct acpi_madt_lapic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags; /* bit 0: enabled */
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_lapic) == 8, "5.2.12.2");

/* 5.2.12.3 I/O APIC */
struct acpi_madt_ioapic {
	uint8_t type; /* 1 */
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_ioapic) == 12, "5.2.12.3");

/* 5.2.12.7 Local APIC NMI */
struct acpi_madt_nmi {
	uint8_t type; /* 4 */
	uint8_t length;
	uint8_t processor_uid; /* 0xff: all */
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
static_assert(sizeof(struct acpi_madt_nmi) == 6, "5.2.12.7");

#endif
