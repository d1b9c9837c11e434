/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the state out and putting it back. What KVM keeps on the kernel back end is asked for, or
 * handed over, by the back end; the rest is ours on both.
 */
#include "hyperv/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hyperv/hypercall.h"
#include "hyperv/internal.h"
#include "vmm/vcpu.h"

/* ---- Pages ----------------------------------------------------------------------------------- */

/* How many overlays were placed before o. */
static u32 page_order(const struct overlay *o)
{
	u32 order = 0;

	for (const struct overlay *p = o->before; p; p = p->before)
		order++;
	return order;
}

static void page_read(const struct overlay *o, struct hyperv_page_state *s)
{
	s->placed = o->host != NULL;
	if (!s->placed)
		return;
	s->order = page_order(o);
	s->gpa = o->gpa;
	memcpy(s->under, o->under, sizeof(s->under));
}

/* One page to put back: an overlay and its state. */
struct page {
	struct overlay *overlay;
	const struct hyperv_page_state *state;
};

#define PAGES_OF_PARTITION 2
#define PAGES_OF_VP 3
#define PAGES_MAX (PAGES_OF_PARTITION + PAGES_OF_VP * LAYOUT_CPUS_MAX)

static unsigned pages_list(struct hyperv *hv, const struct hyperv_state *s, struct page *page)
{
	unsigned n = 0;

	page[n++] = (struct page){ &hv->hypercall_overlay, &s->hypercall_page };
	page[n++] = (struct page){ &hv->tsc_overlay, &s->tsc_page };
	for (unsigned i = 0; i < s->vp_count; i++) {
		struct hyperv_vp *vp = &hv->vp[i];

		page[n++] = (struct page){ &vp->message_overlay, &s->vp[i].message_page };
		page[n++] = (struct page){ &vp->event_overlay, &s->vp[i].event_page };
		page[n++] = (struct page){ &vp->assist_overlay, &s->vp[i].assist_page };
	}
	return n;
}

static int page_compare(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return (x->state->order > y->state->order) - (x->state->order < y->state->order);
}

/* In the order they were placed; their bytes are in RAM already. */
static int pages_write(struct hyperv *hv, const struct hyperv_state *s)
{
	struct page page[PAGES_MAX];
	unsigned n = pages_list(hv, s, page);

	qsort(page, n, sizeof(page[0]), page_compare);
	for (unsigned i = 0; i < n; i++) {
		const struct hyperv_page_state *p = page[i].state;

		if (p->placed && !overlay_adopt(page[i].overlay, hv->mem, p->gpa, p->under))
			return -EINVAL;
	}
	return 0;
}

/* Whether the MSR that places a page and the page itself say the same. */
static bool page_agrees(const struct hyperv_page_state *p, u64 msr)
{
	if (!(msr & HV_MSR_PAGE_ENABLE))
		return !p->placed;
	return !p->placed || p->gpa == (msr & HV_MSR_PAGE_GPA);
}

static bool pages_agree(const struct hyperv_state *s)
{
	bool ok = page_agrees(&s->hypercall_page, s->hypercall) &&
		  page_agrees(&s->tsc_page, s->reference_tsc);

	for (unsigned i = 0; i < s->vp_count; i++) {
		const struct hyperv_vp_state *v = &s->vp[i];

		ok = ok && page_agrees(&v->message_page, v->simp) &&
		     page_agrees(&v->event_page, v->siefp) &&
		     page_agrees(&v->assist_page, v->vp_assist);
	}
	return ok;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void vp_read(const struct hyperv_vp *vp, struct hyperv_vp_state *s)
{
	s->scontrol = vp->scontrol;
	s->simp = vp->simp;
	s->siefp = vp->siefp;
	s->vp_assist = vp->vp_assist;
	s->auto_eoi = atomic_load(&vp->auto_eoi);
	for (unsigned i = 0; i < HV_SINTS; i++) {
		s->sint[i] = atomic_load(&vp->sint[i].value);
		s->slots_awaited |= (u32)atomic_load(&vp->sint[i].waiting) << i;
	}
	for (unsigned i = 0; i < HV_STIMERS; i++) {
		const struct stimer *t = &vp->stimer[i];

		s->stimer[i] =
			(struct hyperv_stimer_state){ t->config, t->count, t->due, t->waiting };
	}
	page_read(&vp->message_overlay, &s->message_page);
	page_read(&vp->event_overlay, &s->event_page);
	page_read(&vp->assist_overlay, &s->assist_page);
}

static void partition_read(struct hyperv *hv, struct hyperv_state *s)
{
	pthread_mutex_lock(&hv->lock);
	s->guest_os_id = hv->guest_os_id;
	s->hypercall = hv->hypercall;
	s->reference_tsc = hv->reference_tsc;
	s->tsc_invariant = hv->tsc_invariant;
	s->reenlightenment = hv->reenlightenment;
	s->tsc_emulation = hv->tsc_emulation;
	s->syndbg = hv->syndbg;
	memcpy(s->crash_param, hv->crash_param, sizeof(s->crash_param));
	page_read(&hv->hypercall_overlay, &s->hypercall_page);
	page_read(&hv->tsc_overlay, &s->tsc_page);
	pthread_mutex_unlock(&hv->lock);
	s->reference_time = time_now(&hv->vp[0]);
}

int hyperv_state_read(struct hyperv *hv, struct hyperv_state **state)
{
	struct hyperv_state *s = calloc(1, sizeof(*s) + hv->vp_count * sizeof(s->vp[0]));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->vp_count = hv->vp_count;
	partition_read(hv, s);
	for (unsigned i = 0; i < hv->vp_count; i++)
		vp_read(&hv->vp[i], &s->vp[i]);
	if (hv->backend->read_state)
		err = hv->backend->read_state(hv, s);
	if (err)
		free(s);
	else
		*state = s;
	return err;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Time goes on from where it was; a guest that reads the page meanwhile sees that it changed. */
static int time_write(struct hyperv *hv, const struct hyperv_state *s)
{
	struct hv_reference_tsc *page = (void *)hv->tsc_overlay.host;
	int err = time_resume(&hv->vp[0], s->reference_time);

	if (!err && page)
		time_fill_page(&hv->time, page);
	return err;
}

static int partition_write(struct hyperv *hv, const struct hyperv_state *s)
{
	u8 *page = hv->hypercall_overlay.host;

	pthread_mutex_lock(&hv->lock);
	hv->guest_os_id = s->guest_os_id;
	hv->hypercall = s->hypercall;
	hv->reference_tsc = s->reference_tsc;
	hv->tsc_invariant = s->tsc_invariant;
	hv->reenlightenment = s->reenlightenment;
	hv->tsc_emulation = s->tsc_emulation;
	hv->syndbg = s->syndbg;
	memcpy(hv->crash_param, s->crash_param, sizeof(hv->crash_param));
	/* Another back end, or another maker's processor, has another page. */
	if (page)
		hv->backend->fill_hypercall_page(page);
	pthread_mutex_unlock(&hv->lock);
	return hv->backend->write_state ? 0 : time_write(hv, s);
}

static bool stimer_valid(const struct hyperv_stimer_state *t)
{
	bool runs = t->config & HV_STIMER_ENABLE && t->count;

	return !(t->config & HV_STIMER_RESERVED) && (runs || !t->due) && (t->due || !t->waiting);
}

static int vp_write(struct hyperv_vp *vp, const struct hyperv_vp_state *s)
{
	if (s->auto_eoi >> HV_SINTS || s->slots_awaited >> HV_SINTS ||
	    !synic_set_pages(vp, s->scontrol, s->simp, s->siefp))
		return -EINVAL;
	vp->vp_assist = s->vp_assist;
	for (u32 i = 0; i < HV_SINTS; i++) {
		if (!synic_write_sint(vp, i, s->sint[i]))
			return -EINVAL;
		atomic_store(&vp->sint[i].waiting, s->slots_awaited >> i & 1);
	}
	for (unsigned i = 0; i < HV_STIMERS; i++) {
		const struct hyperv_stimer_state *t = &s->stimer[i];

		if (!stimer_valid(t))
			return -EINVAL;
		vp->stimer[i] = (struct stimer){ t->config, t->count, t->due, t->waiting };
	}
	atomic_store(&vp->auto_eoi, s->auto_eoi);
	vcpu_attend(vp->vcpu);
	return 0;
}

int hyperv_state_write(struct hyperv *hv, const struct hyperv_state *s)
{
	int err;

	if (s->vp_count != hv->vp_count || !pages_agree(s))
		return -EINVAL;
	err = pages_write(hv, s);
	if (!err)
		err = partition_write(hv, s);
	for (unsigned i = 0; !err && i < s->vp_count; i++)
		err = vp_write(&hv->vp[i], &s->vp[i]);
	if (!err && hv->backend->write_state)
		err = hv->backend->write_state(hv, s);
	return err;
}
