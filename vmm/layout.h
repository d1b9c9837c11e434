/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest physical map.
 *
 *	0x0000_0000_0000  +------------------------------+
 *	                  | RAM, low                     |
 *	  0x0000_7000     |   boot parameters            |
 *	  0x0002_0000     |   command line               |
 *	  0x000e_0000     |   RSDP and ACPI tables       |  reserved in the E820 map
 *	  0x000f_fff0     |   reset vector               |  likewise
 *	  0x0010_0000     |   kernel, then initrd        |
 *	0x0000_c000_0000  +------------------------------+  LAYOUT_HOLE
 *	                  | nothing                      |
 *	0x0000_f800_0000  | MMIO window of the VMBus     |  LAYOUT_MMIO
 *	0x0000_fec0_0000  | IOAPIC                       |
 *	0x0000_fee0_0000  | local APIC                   |
 *	0x0000_fffb_b000  | code of ours for the VPs     |  (user back end, without KVM's Hyper-V)
 *	0x0000_fffb_c000  | KVM's TSS and identity map   |  (Intel)
 *	0x0001_0000_0000  +------------------------------+  LAYOUT_HIGH
 *	                  | RAM, high                    |
 *	                  +------------------------------+
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include "base/types.h"

#define LAYOUT_BOOT_PARAMS 0x7000ull
#define LAYOUT_CMDLINE 0x20000ull
#define LAYOUT_CMDLINE_MAX 0x10000u
#define LAYOUT_ACPI 0xe0000ull
#define LAYOUT_ACPI_END 0xff000ull
#define LAYOUT_RESET_VECTOR 0xffff0ull
#define LAYOUT_KERNEL 0x100000ull

#define LAYOUT_HOLE 0xc0000000ull
#define LAYOUT_MMIO 0xf8000000ull
#define LAYOUT_MMIO_SIZE 0x4000000ull
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_LAPIC 0xfee00000ull
#define LAYOUT_ASIDE 0xfffbb000ull
#define LAYOUT_IDENTITY_MAP 0xfffbc000ull
#define LAYOUT_TSS 0xfffbd000ull
#define LAYOUT_HIGH 0x100000000ull

/* Limits of one machine. */
#define LAYOUT_CPUS_MAX 64
#define LAYOUT_RAM_MAX GiB(64)
#define LAYOUT_RAM_MIN MiB(16)

/* I/O ports of the chipset we give. 0xe0 and 0xe4 belong to the hypercall page. */
#define LAYOUT_PORT_EXIT_STATUS 0x0c80 /* byte out: the status of `-- COMMAND` (images/init) */
#define LAYOUT_PORT_SLEEP_CONTROL 0x600
#define LAYOUT_PORT_SLEEP_STATUS 0x601
#define LAYOUT_PORT_RESET 0x602
#define LAYOUT_PORT_CMOS 0x70
#define LAYOUT_PORT_KEYBOARD 0x60
#define LAYOUT_PORT_COM1 0x3f8
#define LAYOUT_PORT_COM2 0x2f8
#define LAYOUT_IRQ_COM1 4
#define LAYOUT_IRQ_COM2 3

#define LAYOUT_SLEEP_TYPE_S5 5
#define LAYOUT_RESET_VALUE 1

#endif
