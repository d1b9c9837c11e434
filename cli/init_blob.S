/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's init (images/init), byte for byte. */
	.section .rodata
	.balign 16
	.globl init_blob_start, init_blob_end
	.type init_blob_start, @object
	.type init_blob_end, @object
init_blob_start:
	.incbin "images/init/init"
init_blob_end:
	.size init_blob_start, . - init_blob_start
	.byte 0

	.section .note.GNU-stack, "", @progbits
