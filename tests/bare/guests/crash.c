/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives up through the crash MSRs, with a message. The host must see both. */
#include "tests/bare/bare.h"

static const char text[] = BARE_CRASH_TEXT;

int main(void);
int main(void)
{
	bare_init();
	bare_hyperv_init();
	bare_wrmsr(HV_MSR_CRASH_P0, 0x11);
	bare_wrmsr(HV_MSR_CRASH_P0 + 3, (uint64_t)text);
	bare_wrmsr(HV_MSR_CRASH_P0 + 4, sizeof(text) - 1);
	bare_wrmsr(HV_MSR_CRASH_CTL, HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	bare_fail(__LINE__, "still alive after a crash");
}
