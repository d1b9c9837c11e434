/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reference time of the user back end, from the guest's TSC (TLFS: Timers, "Reference Counter" and
 * "Reference TSC").
 */
#ifndef HYPERV_TIME_H
#define HYPERV_TIME_H

#include "base/types.h"
#include "hyperv/tlfs.h"

struct hyperv_vp;

#define MSR_IA32_TSC 0x10

#define TIME_TSC_KHZ_MIN 10001u /* below it the scale does not fit 64 bits */

struct time_source {
	u32 tsc_khz;
	u64 scale;
	s64 offset; /* 100 ns */
};

/* Starts reference time at 0 when the guest's TSC is tsc_now. tsc_khz >= TIME_TSC_KHZ_MIN. */
void time_start(struct time_source *t, u32 tsc_khz, u64 tsc_now);

/* Has the partition's reference time be `reference` now, by vp's TSC. 0 or -errno. */
int time_resume(struct hyperv_vp *vp, u64 reference);

/* Reference time in 100 ns when the guest's TSC is tsc. */
u64 time_reference(const struct time_source *t, u64 tsc);

/* Reference time of the VP's partition now, by its TSC. Its thread; 0 where KVM cannot tell. */
u64 time_now(struct hyperv_vp *vp);
/* The CLOCK_MONOTONIC ns at which reference time will be `reference`; never 0. The VP's thread. */
u64 time_to_clock(struct hyperv_vp *vp, u64 reference);

/* Fills the reference TSC page with what makes the guest compute the same. */
void time_fill_page(const struct time_source *t, struct hv_reference_tsc *page);

#endif
