/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/reset_vector.h"

#include "vmm/layout.h"

int reset_vector_write(const struct gmem *mem)
{
	static const u8 code[] = {
		0xb0,
		LAYOUT_RESET_VALUE, /* mov $LAYOUT_RESET_VALUE, %al */
		0xba,
		LAYOUT_PORT_RESET & 0xff,
		LAYOUT_PORT_RESET >> 8, /* mov $port, %dx */
		0xee, /* out %al, (%dx) */
		0xf4, /* hlt */
		0xeb,
		0xfd, /* jmp to the hlt */
	};

	_Static_assert(sizeof(code) <= LAYOUT_KERNEL - LAYOUT_RESET_VECTOR, "it must fit");
	return gmem_write(mem, LAYOUT_RESET_VECTOR, code, sizeof(code));
}
