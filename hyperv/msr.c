/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each synthetic MSR means (TLFS: appendix "Hypervisor Synthetic MSRs"), one row each. The
 * user back end sends all of them here, the kernel back end those that a guest sets up rarely, or
 * that must be ours; KVM keeps the rest. An MSR without a row, without its privilege, or without
 * that direction raises #GP.
 */
#include "hyperv/apic.h"
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

#include <time.h>

/* KVM's local APIC timer counts nanoseconds before its divider. */
#define APIC_HZ 1000000000ull

#define TSC_INVARIANT_VISIBLE 0x1ull

static bool read_partition(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct hyperv *hv = vp->hv;

	pthread_mutex_lock(&hv->lock);
	switch (msr) {
	case HV_MSR_GUEST_OS_ID:
		*value = hv->guest_os_id;
		break;
	case HV_MSR_HYPERCALL:
		*value = hv->hypercall;
		break;
	case HV_MSR_REFERENCE_TSC:
		*value = hv->reference_tsc;
		break;
	default:
		*value = hv->tsc_invariant;
		break;
	}
	pthread_mutex_unlock(&hv->lock);
	return true;
}

/* Without an OS id there are no hypercalls: clearing it takes the page away, locked or not. */
static bool write_guest_os_id(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	hv->guest_os_id = value;
	if (!value) {
		hv->hypercall &= ~HV_MSR_PAGE_ENABLE;
		overlay_remove(&hv->hypercall_overlay);
	}
	pthread_mutex_unlock(&hv->lock);
	return true;
}

/* Under hv->lock. */
static bool set_hypercall(struct hyperv *hv, u64 value)
{
	u8 *page;

	if (hv->hypercall & HV_HYPERCALL_LOCKED)
		return false;
	/* TLFS: the enable bit stays clear until the guest has given its OS id. */
	if (!hv->guest_os_id)
		value &= ~HV_MSR_PAGE_ENABLE;
	if (value & HV_MSR_PAGE_ENABLE) {
		page = overlay_place(&hv->hypercall_overlay, hv->mem, value & HV_MSR_PAGE_GPA);
		if (!page)
			return false;
		hv->backend->fill_hypercall_page(page);
	} else {
		overlay_remove(&hv->hypercall_overlay);
	}
	hv->hypercall = value;
	return true;
}

static bool write_hypercall(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;
	bool ok;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	ok = set_hypercall(hv, value);
	pthread_mutex_unlock(&hv->lock);
	return ok;
}

static bool read_vp_index(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)msr;
	*value = vp->index;
	return true;
}

static bool read_zero(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)vp, (void)msr;
	*value = 0;
	return true;
}

static bool write_reset(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr;
	if (value & HV_RESET_NOW)
		vm_report_end(vp->hv->vm, VM_END_REBOOT, 0);
	return true;
}

/* The time this VP's thread has run, which is the caller. */
static bool read_vp_runtime(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct timespec t;

	(void)vp, (void)msr;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	*value = ((u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec) / 100;
	return true;
}

static bool read_time_ref_count(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)msr;
	*value = time_now(vp);
	return true;
}

/* Under hv->lock. */
static bool set_reference_tsc(struct hyperv *hv, u64 value)
{
	if (value & HV_MSR_PAGE_ENABLE) {
		void *page = overlay_place(&hv->tsc_overlay, hv->mem, value & HV_MSR_PAGE_GPA);

		if (!page)
			return false;
		if (hv->time.tsc_khz) /* else KVM keeps time, and fills it */
			time_fill_page(&hv->time, page);
	} else {
		overlay_remove(&hv->tsc_overlay);
	}
	hv->reference_tsc = value;
	return true;
}

static bool write_reference_tsc(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;
	bool ok;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	ok = set_reference_tsc(hv, value);
	pthread_mutex_unlock(&hv->lock);
	return ok;
}

static bool read_frequency(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	*value = msr == HV_MSR_TSC_FREQUENCY ? (u64)vp->hv->time.tsc_khz * 1000 : APIC_HZ;
	return true;
}

static bool read_vp_assist_page(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)msr;
	*value = vp->vp_assist;
	return true;
}

/* Its first word is zero and stays so: no EOI is ever left out for it, which TLFS allows. */
static bool write_vp_assist_page(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr;
	if (!(value & HV_MSR_PAGE_ENABLE))
		overlay_remove(&vp->assist_overlay);
	else if (!overlay_place(&vp->assist_overlay, vp->hv->mem, value & HV_MSR_PAGE_GPA))
		return false;
	vp->vp_assist = value;
	return true;
}

static bool read_synic(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	switch (msr) {
	case HV_MSR_SCONTROL:
		*value = vp->scontrol;
		return true;
	case HV_MSR_SVERSION:
		*value = HV_SYNIC_VERSION;
		return true;
	case HV_MSR_SIEFP:
		*value = vp->siefp;
		return true;
	default:
		*value = vp->simp;
		return true;
	}
}

static bool write_scontrol(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr;
	return synic_set_pages(vp, value, vp->simp, vp->siefp);
}

static bool write_siefp(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr;
	return synic_set_pages(vp, vp->scontrol, vp->simp, value);
}

static bool write_simp(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr;
	return synic_set_pages(vp, vp->scontrol, value, vp->siefp);
}

static bool write_eom(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)msr, (void)value;
	synic_end_of_message(vp);
	return true;
}

static bool read_sint(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	*value = atomic_load(&vp->sint[msr - HV_MSR_SINT0].value);
	return true;
}

static bool write_sint(struct hyperv_vp *vp, u32 msr, u64 value)
{
	return synic_write_sint(vp, msr - HV_MSR_SINT0, value);
}

static bool read_guest_idle(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)msr;
	apic_idle(vp);
	*value = 0;
	return true;
}

static bool read_reenlightenment(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct hyperv *hv = vp->hv;

	pthread_mutex_lock(&hv->lock);
	*value = msr == HV_MSR_REENLIGHTENMENT_CONTROL ? hv->reenlightenment : hv->tsc_emulation;
	pthread_mutex_unlock(&hv->lock);
	return true;
}

/* The guest asks to be told when its TSC changes, and to have it emulated then; it never does. */
static bool write_reenlightenment(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;

	pthread_mutex_lock(&hv->lock);
	*(msr == HV_MSR_REENLIGHTENMENT_CONTROL ? &hv->reenlightenment : &hv->tsc_emulation) =
		value;
	pthread_mutex_unlock(&hv->lock);
	return true;
}

/* Nothing is emulated, so there is nothing to end. */
static bool write_tsc_emulation_status(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)vp, (void)msr;
	return !value;
}

static bool read_crash(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	return crash_read(vp->hv, msr, value);
}

static bool write_crash(struct hyperv_vp *vp, u32 msr, u64 value)
{
	return crash_write(vp, msr, value);
}

/* The guest may make its invariant TSC visible once; we show it from the start. */
static bool write_tsc_invariant(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;
	bool ok;

	(void)msr;
	pthread_mutex_lock(&hv->lock);
	ok = !(value & ~TSC_INVARIANT_VISIBLE) && value >= hv->tsc_invariant;
	if (ok)
		hv->tsc_invariant = value;
	pthread_mutex_unlock(&hv->lock);
	return ok;
}

static const struct msr_row {
	u32 first, last;
	u32 privilege; /* HV_ACCESS_*, 0: none */
	u32 feature; /* HV_FEATURE_*, 0: none */
	bool (*read)(struct hyperv_vp *vp, u32 msr, u64 *value);
	bool (*write)(struct hyperv_vp *vp, u32 msr, u64 value);
} rows[] = {
	{ HV_MSR_GUEST_OS_ID, HV_MSR_GUEST_OS_ID, HV_ACCESS_HYPERCALL_MSRS, 0, read_partition,
	  write_guest_os_id },
	{ HV_MSR_HYPERCALL, HV_MSR_HYPERCALL, HV_ACCESS_HYPERCALL_MSRS, 0, read_partition,
	  write_hypercall },
	{ HV_MSR_VP_INDEX, HV_MSR_VP_INDEX, HV_ACCESS_VP_INDEX, 0, read_vp_index, NULL },
	{ HV_MSR_RESET, HV_MSR_RESET, HV_ACCESS_RESET, 0, read_zero, write_reset },
	{ HV_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME, HV_ACCESS_VP_RUNTIME, 0, read_vp_runtime, NULL },
	{ HV_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT, HV_ACCESS_TIME_REF_COUNT, 0,
	  read_time_ref_count, NULL },
	{ HV_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC, HV_ACCESS_REFERENCE_TSC, 0, read_partition,
	  write_reference_tsc },
	{ HV_MSR_TSC_FREQUENCY, HV_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCIES, 0, read_frequency,
	  NULL },
	{ HV_MSR_EOI, HV_MSR_TPR, HV_ACCESS_APIC_MSRS, 0, apic_read, apic_write },
	/* Linux writes it whatever its privileges are. */
	{ HV_MSR_VP_ASSIST_PAGE, HV_MSR_VP_ASSIST_PAGE, 0, 0, read_vp_assist_page,
	  write_vp_assist_page },
	{ HV_MSR_SCONTROL, HV_MSR_SCONTROL, HV_ACCESS_SYNIC, 0, read_synic, write_scontrol },
	{ HV_MSR_SVERSION, HV_MSR_SVERSION, HV_ACCESS_SYNIC, 0, read_synic, NULL },
	{ HV_MSR_SIEFP, HV_MSR_SIEFP, HV_ACCESS_SYNIC, 0, read_synic, write_siefp },
	{ HV_MSR_SIMP, HV_MSR_SIMP, HV_ACCESS_SYNIC, 0, read_synic, write_simp },
	{ HV_MSR_EOM, HV_MSR_EOM, HV_ACCESS_SYNIC, 0, read_zero, write_eom },
	{ HV_MSR_SINT0, HV_MSR_SINT15, HV_ACCESS_SYNIC, 0, read_sint, write_sint },
	{ HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, HV_ACCESS_STIMERS, 0, stimer_read,
	  stimer_write },
	{ HV_MSR_GUEST_IDLE, HV_MSR_GUEST_IDLE, 0, HV_FEATURE_GUEST_IDLE, read_guest_idle, NULL },
	{ HV_MSR_REENLIGHTENMENT_CONTROL, HV_MSR_TSC_EMULATION_CONTROL, HV_ACCESS_REENLIGHTENMENT,
	  0, read_reenlightenment, write_reenlightenment },
	{ HV_MSR_TSC_EMULATION_STATUS, HV_MSR_TSC_EMULATION_STATUS, HV_ACCESS_REENLIGHTENMENT, 0,
	  read_zero, write_tsc_emulation_status },
	{ HV_MSR_SYNDBG_CONTROL, HV_MSR_SYNDBG_PENDING_BUFFER, 0, HV_FEATURE_DEBUG_MSRS,
	  syndbg_read, syndbg_write },
	{ HV_MSR_SYNDBG_OPTIONS, HV_MSR_SYNDBG_OPTIONS, 0, HV_FEATURE_DEBUG_MSRS, syndbg_read,
	  syndbg_write },
	{ HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL, 0, HV_FEATURE_CRASH_MSRS, read_crash, write_crash },
	{ HV_MSR_TSC_INVARIANT_CONTROL, HV_MSR_TSC_INVARIANT_CONTROL, HV_ACCESS_TSC_INVARIANT, 0,
	  read_partition, write_tsc_invariant },
};

static const struct msr_row *row_find(const struct hyperv *hv, u32 msr)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct msr_row *r = &rows[i];

		if (msr < r->first || msr > r->last)
			continue;
		if ((r->privilege & ~hv->offered.privileges) ||
		    (r->feature & ~hv->offered.features))
			return NULL;
		return r;
	}
	return NULL;
}

bool msr_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	const struct msr_row *r = row_find(vp->hv, msr);
	bool ok = r && r->read && r->read(vp, msr, value);

	if (!ok)
		log_guest(&vp->hv->bad_msr, "VP %u: read of MSR 0x%x refused", vp->index, msr);
	return ok;
}

bool msr_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	const struct msr_row *r = row_find(vp->hv, msr);
	bool ok = r && r->write && r->write(vp, msr, value);

	if (ok && vp->hv->backend->pass_on)
		vp->hv->backend->pass_on(vp, msr, value);
	if (!ok)
		log_guest(&vp->hv->bad_msr, "VP %u: write of 0x%llx to MSR 0x%x refused", vp->index,
			  (unsigned long long)value, msr);
	return ok;
}
