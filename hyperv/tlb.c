/* SPDX-License-Identifier: BSD-2-Clause */
#include "hyperv/internal.h"

void tlb_flush(struct hyperv_vp *caller, const struct vp_set *set)
{
	(void)caller, (void)set;
}

void tlb_flush_own(struct hyperv_vp *vp)
{
	(void)vp;
}
