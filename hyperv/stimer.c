/* SPDX-License-Identifier: BSD-2-Clause */
#include "hyperv/internal.h"

bool stimer_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)vp, (void)msr, (void)value;
	return false;
}

bool stimer_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)vp, (void)msr, (void)value;
	return false;
}

u64 stimer_run(struct hyperv_vp *vp)
{
	(void)vp;
	return 0;
}

void stimer_end_of_message(struct hyperv_vp *vp, u32 sint)
{
	(void)vp, (void)sint;
}
