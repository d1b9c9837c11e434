/* SPDX-License-Identifier: BSD-2-Clause */
/* Who may not make hypercalls (TLFS: "Hypercall Interface"): CPL 3 gets #UD. */
#include "tests/bare/bare.h"

static void check_user(void)
{
	static const uint64_t controls[] = {
		HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST,
		HV_CALL_POST_MESSAGE,
		HV_CALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST,
		0x7777,
	};

	bare_map(0, bare_hypercall_page, BARE_PAGE_USER);
	for (unsigned i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
		CHECK_EQUAL(bare_user_call((uint64_t)bare_window(0), controls[i],
					   BARE_CONNECTION_DOORBELL),
			    BARE_UD);
	CHECK_EQUAL(bare_signal(BARE_CONNECTION_NONE, 0), HV_STATUS_INVALID_CONNECTION_ID);
}

int main(void);
int main(void)
{
	bare_init();
	bare_hyperv_init();
	check_user();
	bare_pass();
}
