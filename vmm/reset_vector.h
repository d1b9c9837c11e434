/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies at a PC's reset vector, 0xffff0 in real mode. A Linux guest on hardware-reduced ACPI
 * without EFI does not write the ACPI reset register: it asks the EFI that is not there and then
 * jumps here (arch/x86/kernel/reboot.c, drivers/firmware/efi/reboot.c). A few bytes of code write
 * the register in its place.
 */
#ifndef VMM_RESET_VECTOR_H
#define VMM_RESET_VECTOR_H

#include "vmm/memory.h"

/* Writes the code. 0, or -EFAULT where RAM does not reach there. */
int reset_vector_write(const struct gmem *mem);

#endif
