/* SPDX-License-Identifier: BSD-2-Clause */
#include "hyperv/internal.h"

u16 vp_register_get(struct hyperv_vp *vp, u32 name, u64 value[static 2])
{
	(void)vp, (void)name, (void)value;
	return HV_STATUS_INVALID_PARAMETER;
}

u16 vp_register_set(struct hyperv_vp *vp, u32 name, const u64 value[static 2])
{
	(void)vp, (void)name, (void)value;
	return HV_STATUS_INVALID_PARAMETER;
}
