/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads FPU state, over and over, until it is killed: what switches of tasks do now and then. */
#include <stdint.h>

int main(void)
{
	static uint8_t state[512] __attribute__((aligned(16)));

	__asm__ volatile("fxsave %0" : "=m"(state));
	for (;;)
		__asm__ volatile("fxrstor %0" : : "m"(state));
}
