/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest asks its host for (bare_proto.h). On the asking VP's thread unless said otherwise.
 */
#include "tests/bare/host.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define MSR_IA32_TSC 0x10
#define DAY_SECONDS 86400ull
#define MILLISECOND 10000u /* in 100 ns */

static u64 page_time(const struct hv_reference_tsc *page, u64 tsc)
{
	return (u64)((unsigned __int128)tsc * page->scale >> 64) + (u64)page->offset;
}

static u32 differs(u64 a, u64 b)
{
	u64 by = a > b ? a - b : b - a;

	return by > MILLISECOND;
}

/*
 * A day without waiting for it: the page is a straight line over the TSC, so what the guest will
 * compute a day from now is what the page gives for the TSC of VP 0 now plus 86,400 s of ticks at
 * the frequency KVM runs that TSC at (KVM_GET_TSC_KHZ). The host expects a day of reference time
 * more than now, within 1 ms; where now is, the guest has compared with the counter MSR already.
 */
static u32 judge_tsc_page(struct host *h)
{
	int khz = kvm_get_tsc_khz(h->vm.vcpu[0].fd);
	struct hv_reference_tsc page;
	u64 tsc;

	if (khz <= 0 || vcpu_get_msr(&h->vm.vcpu[0], MSR_IA32_TSC, &tsc) ||
	    gmem_read(&h->vm.mem, h->argument, &page, sizeof(page)) || !page.sequence)
		return EINVAL;
	return differs(page_time(&page, tsc + DAY_SECONDS * 1000 * (u64)khz),
		       page_time(&page, tsc) + DAY_SECONDS * HV_TIME_HZ)
		       ? ERANGE
		       : 0;
}

static u32 answer(struct host *h, u32 what, u32 vp, u32 sint)
{
	switch (what) {
	case BARE_ASK_FLAG:
		return (u32)-synic_set_event(h->hv, vp, sint, h->argument);
	case BARE_ASK_MESSAGE:
		return (u32)-synic_post_message(h->hv, vp, sint, 1, &h->argument,
						sizeof(h->argument));
	case BARE_ASK_SLOT_FREES:
		return atomic_load(&h->slot_frees[vp % LAYOUT_CPUS_MAX][sint % HV_SINTS]);
	case BARE_ASK_STORM:
		atomic_store(&h->storm, (u64)h->argument << 32 | vp << 8 | sint);
		eventfd_write(h->fd[FD_STORM], 1);
		return 0;
	case BARE_ASK_TSC_PAGE:
		return judge_tsc_page(h);
	case BARE_ASK_BLOCK:
		atomic_store(&h->blocked, h->argument);
		return 0;
	case BARE_ASK_CALM:
		return atomic_load(&h->storm) ? EBUSY : 0;
	default:
		return EINVAL;
	}
}

void ask_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;
	u32 value = 0;

	memcpy(&value, data, MIN(len, sizeof(value)));
	if (!offset)
		h->argument = value;
	else
		h->result = answer(h, value >> 16, value >> 8 & 0xff, value & 0xff);
}

void ask_read(void *ctx, u64 offset, void *data, unsigned len)
{
	const struct host *h = ctx;

	(void)offset;
	memcpy(data, &h->result, MIN(len, sizeof(h->result)));
}

/* Main thread. */
void ask_storm(struct host *h)
{
	u64 storm = atomic_load(&h->storm);

	for (u32 flag = 0; flag < storm >> 32; flag++)
		synic_set_event(h->hv, storm >> 8 & 0xff, storm & 0xff, flag);
	atomic_store(&h->storm, 0);
}
