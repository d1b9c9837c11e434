/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hyperv/fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "vmm/kvm.h"

/* In place of vmm/vm.c and vmm/vcpu.c. */
void vm_report_end(struct vm *vm, enum vm_end why, u64 value)
{
	struct fake *f = container_of(vm, struct fake, vm);

	(void)value;
	f->ended = (int)why;
}

int vcpu_get_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	struct fake *f = container_of(vcpu->vm, struct fake, vm);

	(void)msr;
	*value = f->tsc;
	return 0;
}

void vcpu_attend(struct vcpu *vcpu)
{
	struct fake *f = container_of(vcpu->vm, struct fake, vm);

	f->attended |= 1u << vcpu->index;
}

void vcpu_drain(struct vcpu *vcpu)
{
	struct fake *f = container_of(vcpu->vm, struct fake, vm);

	f->drained |= 1u << vcpu->index;
}

void vcpu_set_alarm(struct vcpu *vcpu, u64 deadline)
{
	struct fake *f = container_of(vcpu->vm, struct fake, vm);

	f->alarm[vcpu->index] = deadline;
}

u64 vcpu_clock(void)
{
	return FAKE_CLOCK;
}

/* ---- In place of KVM. A test may have its own ------------------------------------------------ */

#define FAKE_CALL __attribute__((weak))

/* The one there is at a time: KVM's calls take a descriptor only. */
static struct fake *current;

FAKE_CALL int kvm_signal_msi(int vm_fd, const struct kvm_msi *msi)
{
	struct fake_kvm *k = &current->kvm[(msi->address_lo >> 12 & 0xff) % FAKE_VPS];

	(void)vm_fd;
	k->msi[k->msis++ % ARRAY_SIZE(k->msi)] = msi->data;
	return 1;
}

FAKE_CALL int kvm_get_regs(int vcpu_fd, struct kvm_regs *regs)
{
	*regs = current->kvm[vcpu_fd].regs;
	return 0;
}

FAKE_CALL int kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs)
{
	current->kvm[vcpu_fd].regs = *regs;
	return 0;
}

FAKE_CALL int kvm_get_sregs(int vcpu_fd, struct kvm_sregs *sregs)
{
	*sregs = current->kvm[vcpu_fd].sregs;
	return 0;
}

FAKE_CALL int kvm_set_sregs(int vcpu_fd, const struct kvm_sregs *sregs)
{
	current->kvm[vcpu_fd].sregs = *sregs;
	return 0;
}

FAKE_CALL int kvm_set_user_memory_region(int vm_fd,
					 const struct kvm_userspace_memory_region *region)
{
	(void)vm_fd, (void)region;
	return 0;
}

FAKE_CALL int vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct fake_kvm *k = &current->kvm[vcpu->fd];

	k->msr = msr;
	k->msr_value = value;
	return 0;
}

/* The guest's own state is changed by it, as by KVM. */
FAKE_CALL int vcpu_run_aside(struct vcpu *vcpu, u16 port)
{
	struct fake_kvm *k = &current->kvm[vcpu->fd];

	(void)port;
	k->aside_regs = k->regs;
	k->aside_sregs = k->sregs;
	k->aside_events = k->events;
	k->regs.rip = 0;
	return k->aside_result;
}

FAKE_CALL int kvm_get_mp_state(int vcpu_fd, struct kvm_mp_state *state)
{
	*state = current->kvm[vcpu_fd].mp;
	return 0;
}

FAKE_CALL int kvm_set_mp_state(int vcpu_fd, const struct kvm_mp_state *state)
{
	current->kvm[vcpu_fd].mp = *state;
	return 0;
}

FAKE_CALL int kvm_get_lapic(int vcpu_fd, struct kvm_lapic_state *lapic)
{
	*lapic = current->kvm[vcpu_fd].apic;
	current->kvm[vcpu_fd].apic_reads++;
	return 0;
}

FAKE_CALL int kvm_get_vcpu_events(int vcpu_fd, struct kvm_vcpu_events *events)
{
	*events = current->kvm[vcpu_fd].events;
	return 0;
}

FAKE_CALL int kvm_set_vcpu_events(int vcpu_fd, const struct kvm_vcpu_events *events)
{
	current->kvm[vcpu_fd].events = *events;
	return 0;
}

FAKE_CALL bool vcpu_complete(struct vcpu *vcpu)
{
	return !current->kvm[vcpu->fd].incomplete;
}

void fake_apic_set(struct fake *f, u32 vp, u32 reg, u32 value)
{
	memcpy(&f->kvm[vp].apic.regs[reg], &value, sizeof(value));
}

u32 fake_apic_get(struct fake *f, u32 vp, u32 reg)
{
	u32 value;

	memcpy(&value, &f->kvm[vp].apic.regs[reg], sizeof(value));
	return value;
}

void fake_time(struct fake *f, u64 ticks)
{
	/* The scale is rounded down: one tick of the TSC more is on the safe side. */
	f->tsc = ticks * (FAKE_TSC_KHZ / (HV_TIME_HZ / 1000)) + 1;
}

static struct fake *fake_of(struct hyperv *hv)
{
	return container_of(hv, struct fake, hv);
}

static int bind_sint(struct hyperv_vp *vp, u32 sint, int fd)
{
	(void)sint, (void)fd;
	return fake_of(vp->hv)->fail;
}

static int change_sint(struct hyperv_vp *vp, u32 sint)
{
	(void)sint;
	fake_of(vp->hv)->changes++;
	return 0;
}

static int bind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	(void)connection_id, (void)fd;
	fake_of(hv)->events += !fake_of(hv)->fail;
	return fake_of(hv)->fail;
}

static int unbind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	(void)connection_id, (void)fd;
	fake_of(hv)->events--;
	return 0;
}

static void fill_hypercall_page(u8 page[static HV_PAGE_SIZE])
{
	memset(page, 0xc3, HV_PAGE_SIZE);
}

static const struct hyperv_backend fake_backend = {
	.name = "fake",
	.id = HYPERV_USER,
	.bind_sint = bind_sint,
	.change_sint = change_sint,
	.bind_event = bind_event,
	.unbind_event = unbind_event,
	.fill_hypercall_page = fill_hypercall_page,
};

void fake_init(struct fake *f)
{
	*f = (struct fake){ .ended = -1 };
	current = f;
	assert_int_equal(gmem_init(&f->mem, FAKE_RAM), 0);
	assert_int_equal(hyperv_setup(&f->hv, &f->mem, &fake_backend, FAKE_VPS), 0);
	f->hv.vm = &f->vm;
	f->hv.offered = (struct cpuid_features){ .privileges = ~0u, .features = ~0u };
	time_start(&f->hv.time, FAKE_TSC_KHZ, 0);
	for (unsigned i = 0; i < FAKE_VPS; i++) {
		f->vcpu[i] = (struct vcpu){ .vm = &f->vm, .index = i, .fd = (int)i };
		f->hv.vp[i].vcpu = &f->vcpu[i];
	}
}

void fake_fini(struct fake *f)
{
	hyperv_teardown(&f->hv);
	gmem_fini(&f->mem);
}

int fake_setup(void **state)
{
	static struct fake f;

	fake_init(&f);
	*state = &f;
	return 0;
}

int fake_teardown(void **state)
{
	fake_fini(*state);
	return 0;
}

u64 fake_raised(struct fake *f, u32 vp, u32 sint)
{
	int fd = atomic_load(&f->hv.vp[vp].sint[sint].irq_fd);
	eventfd_t n = 0;

	if (fd >= 0 && eventfd_read(fd, &n))
		n = 0;
	return n;
}
