/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables: RSDP, XSDT, FADT (hardware-reduced), MADT, DSDT. Pure: bytes into guest RAM.
 * The DSDT (vmm/dsdt.asl, compiled by iasl at build time) carries the VMBus device, the serial
 * ports and the S5 sleep type. ACPI 6.4 sections 5.2.5 to 5.2.12, 4.1 for hardware-reduced.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include "vmm/memory.h"

/*
 * Writes all tables for cpus processors (1 to LAYOUT_CPUS_MAX) to LAYOUT_ACPI. *rsdp is where the
 * RSDP lies. 0, -ENOSPC where they do not fit, -EFAULT where that is not RAM.
 */
int acpi_build(const struct gmem *mem, unsigned cpus, gpa_t *rsdp);

#endif
