/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hypercall in real mode raises #UD (TLFS: "Hypercall Interface"); VP 1 makes it on its way up.
 */
#include "tests/bare/bare.h"

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_wrmsr(HV_MSR_HYPERCALL, BARE_REAL_PAGE | HV_MSR_PAGE_ENABLE);
	CHECK_EQUAL(bare_real_mode_call(1), BARE_UD);
	bare_pass();
}
