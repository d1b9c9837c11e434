/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks for a reset by MSR. */
#include "tests/bare/bare.h"

int main(void);
int main(void)
{
	bare_init();
	bare_wrmsr(HV_MSR_RESET, 0);
	bare_wrmsr(HV_MSR_RESET, HV_RESET_NOW);
	bare_fail(__LINE__, "still alive after a reset");
}
