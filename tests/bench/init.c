/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The /init of the boot benchmark: it ends the machine at once, by the debug-exit port that candela
 * and QEMU's isa-debug-exit share, else by a reboot (kvmtool).
 */
#include <sys/io.h>
#include <sys/reboot.h>

#define DEBUG_EXIT_PORT 0xf4

int main(void)
{
	if (!ioperm(DEBUG_EXIT_PORT, 1, 1))
		outb(0, DEBUG_EXIT_PORT);
	return reboot(RB_AUTOBOOT);
}
