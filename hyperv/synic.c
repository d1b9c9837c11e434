/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The synthetic interrupt controller (TLFS: Virtual Interrupt Control): message slots, event flags
 * and the irqfd behind each SINT. The pages are the guest's RAM and are written directly; an
 * interrupt is an eventfd write, so that I/O threads need no other system call.
 *
 * A SINT gets its irqfd when it is first used (SINT 2, the VMBus's, with the VP): a GSI for every
 * SINT of 64 VPs would be a route table of 1024. A SINT with AutoEOI is not raised by it on the
 * user back end, but by the VP's own thread (auto_eoi.c). On the kernel back end SINTs are KVM's
 * and stay at their first value here.
 *
 * How a message meets a full slot without being forgotten:
 *
 *	1. the host reads `type`; not NONE: the slot is full
 *	2. the host notes that it waits, then sets PENDING in `flags` (a full barrier)
 *	3. the host reads `type` again: NONE now means the guest was faster, back to delivery
 *	4. the guest, done with a message, writes NONE to `type`, then (a barrier between) reads
 *	   `flags`; PENDING: it writes EOM
 *	5. EOM asks whether somebody noted that he waits, and tells him to try again
 *
 * Either 3 sees the guest's NONE or 4 sees the host's PENDING: both orders cannot fail at once. A
 * message that comes while another one waits is PENDING from the start.
 * A slot has one writer at a time (the VP's lock). A hostile guest only loses its own messages.
 */
#include "hyperv/apic.h"
#include "hyperv/internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/vcpu.h"

void synic_vp_init(struct hyperv_vp *vp)
{
	pthread_mutex_init(&vp->lock, NULL);
	for (unsigned i = 0; i < HV_SINTS; i++) {
		atomic_init(&vp->sint[i].value, HV_SINT_MASKED);
		atomic_init(&vp->sint[i].irq_fd, -1);
	}
}

void synic_vp_fini(struct hyperv_vp *vp)
{
	for (unsigned i = 0; i < HV_SINTS; i++) {
		int fd = atomic_exchange(&vp->sint[i].irq_fd, -1);

		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_destroy(&vp->lock);
}

/* ---- What the guest sets up ------------------------------------------------------------------ */

/* Puts o where a SIMP or SIEFP value, which is valid, asks for it. */
static void page_place(struct overlay *o, const struct gmem *mem, u64 value)
{
	if (value & HV_MSR_PAGE_ENABLE)
		overlay_place(o, mem, value & HV_MSR_PAGE_GPA);
	else
		overlay_remove(o);
}

/* That page, NULL: off. */
static void *page_of(const struct gmem *mem, u64 value)
{
	return value & HV_MSR_PAGE_ENABLE ? gmem_range(mem, value & HV_MSR_PAGE_GPA, HV_PAGE_SIZE)
					  : NULL;
}

static bool page_valid(const struct gmem *mem, u64 value)
{
	return !(value & HV_MSR_PAGE_ENABLE) || page_of(mem, value);
}

/*
 * Nobody shall write to a page that is the guest's own again: messages come under the lock, and
 * whoever sets a flag from here on does not find the page.
 */
bool synic_set_pages(struct hyperv_vp *vp, u64 scontrol, u64 simp, u64 siefp)
{
	const struct gmem *mem = vp->hv->mem;
	bool on = scontrol & HV_SCONTROL_ENABLE;
	struct hv_message_page *messages = on ? page_of(mem, simp) : NULL;
	struct hv_event_page *events = on ? page_of(mem, siefp) : NULL;
	bool moved = atomic_load(&vp->messages) != messages;

	if (!page_valid(mem, simp) || !page_valid(mem, siefp))
		return false;
	pthread_mutex_lock(&vp->lock);
	if (atomic_load(&vp->events) != events)
		atomic_store(&vp->events, NULL);
	page_place(&vp->message_overlay, mem, simp);
	page_place(&vp->event_overlay, mem, siefp);
	atomic_store_explicit(&vp->messages, messages, memory_order_release);
	atomic_store_explicit(&vp->events, events, memory_order_release);
	vp->scontrol = scontrol;
	vp->simp = simp;
	vp->siefp = siefp;
	pthread_mutex_unlock(&vp->lock);
	vcpu_attend(vp->vcpu); /* a timer's message may wait for this */
	if (moved) /* nobody will write EOM for what lay in the old slots */
		synic_end_of_message(vp);
	return true;
}

bool synic_sint_valid(u64 value)
{
	return value & HV_SINT_MASKED || (value & HV_SINT_VECTOR) >= HV_SINT_VECTOR_MIN;
}

/* Whether KVM looks after AutoEOI and the rest of what a SINT says. */
static bool sint_is_kvms(const struct hyperv_vp *vp)
{
	return vp->hv->backend->id == HYPERV_KERNEL;
}

/*
 * Whether a message or event flag waits for the guest, whose interrupt may have gone astray between
 * two ways to raise it: the poster saw the SINT before it changed, the irqfd after.
 */
static bool sint_has_work(const struct hyperv_vp *vp, u32 sint)
{
	const struct hv_message_page *messages = atomic_load(&vp->messages);
	const struct hv_event_page *events = atomic_load(&vp->events);
	bool work = messages && __atomic_load_n(&messages->slot[sint].type, __ATOMIC_RELAXED);

	for (u32 i = 0; events && !work && i < HV_EVENT_FLAGS / 32; i++)
		work = __atomic_load_n(&events->flags[sint][i], __ATOMIC_RELAXED);
	return !sint_is_kvms(vp) && work;
}

bool synic_write_sint(struct hyperv_vp *vp, u32 sint, u64 value)
{
	struct synic_sint *s = &vp->sint[sint];
	int err = 0;
	u64 old;

	if (!synic_sint_valid(value))
		return false;
	pthread_mutex_lock(&vp->lock);
	old = atomic_exchange(&s->value, value);
	if (atomic_load(&s->irq_fd) >= 0)
		err = vp->hv->backend->change_sint(vp, sint);
	pthread_mutex_unlock(&vp->lock);
	if (err)
		log_guest(&vp->hv->no_route, "VP %u: SINT %u gets no interrupt route: %s",
			  vp->index, sint, strerror(-err));
	if (value & ~old & HV_SINT_AUTO_EOI && !(value & HV_SINT_MASKED) && sint_has_work(vp, sint))
		atomic_fetch_or(&vp->auto_eoi, 1u << sint);
	vcpu_attend(vp->vcpu); /* a timer's message or an interrupt may wait for this */
	return true;
}

void synic_end_of_message(struct hyperv_vp *vp)
{
	const struct hyperv *hv = vp->hv;

	for (u32 i = 0; i < HV_SINTS; i++) {
		if (!atomic_exchange(&vp->sint[i].waiting, false))
			continue;
		stimer_end_of_message(vp, i);
		for (unsigned n = 0; n < hv->slot_free_count; n++)
			hv->slot_free[n].call(hv->slot_free[n].ctx, vp->index, i);
	}
}

/* ---- What the host delivers ------------------------------------------------------------------ */

/* Under vp->lock. */
static int prepare(struct hyperv_vp *vp, u32 sint)
{
	struct synic_sint *s = &vp->sint[sint];
	int fd, err;

	if (atomic_load(&s->irq_fd) >= 0)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = vp->hv->backend->bind_sint(vp, sint, fd);
	if (err)
		close(fd);
	else
		atomic_store(&s->irq_fd, fd);
	return err;
}

int synic_prepare_sint(struct hyperv_vp *vp, u32 sint)
{
	int err;

	pthread_mutex_lock(&vp->lock);
	err = prepare(vp, sint);
	pthread_mutex_unlock(&vp->lock);
	return err;
}

static int sint_fd(const struct hyperv_vp *vp, u32 sint)
{
	return atomic_load_explicit(&vp->sint[sint].irq_fd, memory_order_acquire);
}

/* Raises sint, by its irqfd where it has one. */
static void sint_raise(struct hyperv_vp *vp, u32 sint, int fd)
{
	u64 value = atomic_load(&vp->sint[sint].value);

	if (fd >= 0 && (sint_is_kvms(vp) || !(value & HV_SINT_AUTO_EOI))) {
		eventfd_write(fd, 1);
	} else if (value & (HV_SINT_MASKED | HV_SINT_POLLING)) {
		return;
	} else if (value & HV_SINT_AUTO_EOI) {
		atomic_fetch_or(&vp->auto_eoi, 1u << sint);
		vcpu_attend(vp->vcpu);
	} else {
		apic_raise(vp, (u8)(value & HV_SINT_VECTOR));
	}
}

/* Steps 1 to 3 above. */
static bool slot_full(struct synic_sint *s, struct hv_message *slot)
{
	if (__atomic_load_n(&slot->type, __ATOMIC_ACQUIRE) == HV_MESSAGE_NONE)
		return false;
	atomic_store(&s->waiting, true);
	__atomic_fetch_or(&slot->flags, HV_MESSAGE_PENDING, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&slot->type, __ATOMIC_SEQ_CST) != HV_MESSAGE_NONE;
}

/*
 * Step 2's PENDING is carried over: between the guest's NONE and its look at the flags another
 * message may have come first, and the one that waits would be forgotten.
 */
static void slot_fill(const struct synic_sint *s, struct hv_message *slot, u32 type,
		      const void *payload, u32 len)
{
	slot->payload_size = (u8)len;
	__atomic_store_n(&slot->flags, atomic_load(&s->waiting) ? HV_MESSAGE_PENDING : 0,
			 __ATOMIC_RELAXED);
	slot->reserved = 0;
	slot->sender = 0;
	if (len)
		memcpy(slot->payload, payload, len);
	__atomic_store_n(&slot->type, type, __ATOMIC_RELEASE);
}

/* Under vp->lock. */
static int post(struct hyperv_vp *vp, u32 sint, u32 type, const void *payload, u32 len)
{
	struct hv_message_page *page = atomic_load_explicit(&vp->messages, memory_order_acquire);

	if (!page)
		return -ENODEV;
	if (slot_full(&vp->sint[sint], &page->slot[sint]))
		return -EAGAIN;
	slot_fill(&vp->sint[sint], &page->slot[sint], type, payload, len);
	return 0;
}

/*
 * KVM's timers fill slots too, while the VP is in KVM_RUN. Under vp->lock, which the VP takes when
 * it is asked for (synic_let_post()): it stays outside until the message is in its slot.
 */
static void keep_kvm_out(struct hyperv_vp *vp)
{
	if (sint_is_kvms(vp)) {
		vcpu_attend(vp->vcpu);
		vcpu_drain(vp->vcpu);
	}
}

void synic_let_post(struct hyperv_vp *vp)
{
	pthread_mutex_lock(&vp->lock);
	pthread_mutex_unlock(&vp->lock);
}

int synic_post_message(struct hyperv *hv, u32 vp_index, u32 sint, u32 type, const void *payload,
		       u32 len)
{
	struct hyperv_vp *vp;
	int err;

	if (vp_index >= hv->vp_count || sint >= HV_SINTS || len > HV_MESSAGE_PAYLOAD_MAX ||
	    type == HV_MESSAGE_NONE)
		return -EINVAL;
	vp = &hv->vp[vp_index];
	pthread_mutex_lock(&vp->lock);
	err = atomic_load(&vp->messages) ? prepare(vp, sint) : -ENODEV;
	if (!err) {
		keep_kvm_out(vp);
		err = post(vp, sint, type, payload, len);
	}
	pthread_mutex_unlock(&vp->lock);
	if (!err)
		sint_raise(vp, sint, sint_fd(vp, sint));
	return err;
}

int synic_post_own(struct hyperv_vp *vp, u32 sint, u32 type, const void *payload, u32 len)
{
	int err = -ENODEV;

	pthread_mutex_lock(&vp->lock);
	if (!(atomic_load(&vp->sint[sint].value) & HV_SINT_MASKED))
		err = post(vp, sint, type, payload, len);
	pthread_mutex_unlock(&vp->lock);
	if (!err)
		sint_raise(vp, sint, -1);
	return err;
}

int synic_set_event(struct hyperv *hv, u32 vp_index, u32 sint, u32 flag)
{
	struct hv_event_page *page;
	struct hyperv_vp *vp;
	u32 bit = 1u << flag % 32;
	int fd;

	if (vp_index >= hv->vp_count || sint >= HV_SINTS || flag >= HV_EVENT_FLAGS)
		return -EINVAL;
	vp = &hv->vp[vp_index];
	page = atomic_load_explicit(&vp->events, memory_order_acquire);
	fd = sint_fd(vp, sint);
	if (!page || fd < 0)
		return -ENODEV;
	/* A flag already set has had its interrupt, which the guest has not looked after yet. */
	if (!(__atomic_fetch_or(&page->flags[sint][flag / 32], bit, __ATOMIC_SEQ_CST) & bit))
		sint_raise(vp, sint, fd);
	return 0;
}

int synic_raise(struct hyperv *hv, u32 vp_index, u32 sint)
{
	int fd;

	if (vp_index >= hv->vp_count || sint >= HV_SINTS)
		return -EINVAL;
	fd = sint_fd(&hv->vp[vp_index], sint);
	if (fd < 0)
		return -ENODEV;
	sint_raise(&hv->vp[vp_index], sint, fd);
	return 0;
}

int synic_prepare(struct hyperv *hv, u32 vp_index, u32 sint)
{
	if (vp_index >= hv->vp_count || sint >= HV_SINTS)
		return -EINVAL;
	return synic_prepare_sint(&hv->vp[vp_index], sint);
}

void synic_on_slot_free(struct hyperv *hv, void (*slot_free)(void *ctx, u32 vp_index, u32 sint),
			void *ctx)
{
	assert(hv->slot_free_count < SYNIC_SLOT_FREE_MAX);
	hv->slot_free[hv->slot_free_count].call = slot_free;
	hv->slot_free[hv->slot_free_count++].ctx = ctx;
}
