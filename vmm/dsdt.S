/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiled DSDT, embedded whole. */
	.section .rodata
	.balign 16
	.globl acpi_dsdt, acpi_dsdt_end
	.hidden acpi_dsdt, acpi_dsdt_end
acpi_dsdt:
	.incbin "vmm/dsdt.aml"
acpi_dsdt_end:
	.section .note.GNU-stack, "", @progbits
