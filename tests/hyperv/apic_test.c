/* SPDX-License-Identifier: BSD-2-Clause */
/* The APIC's MSRs, AutoEOI interrupts and idling, on an APIC the test holds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define SINT 5
#define VECTOR 0x51
#define AUTO_EOI (VECTOR | HV_SINT_AUTO_EOI)
#define SIMP 0x2000
#define SIEFP 0x3000

#define TPR 0x80
#define SPURIOUS 0xf0
#define ISR(vector) (0x100u + (vector) / 32 * 0x10)
#define IRR(vector) (0x200u + (vector) / 32 * 0x10)
#define BIT(vector) (1u << (vector) % 32)

void tlb_flush_own(struct hyperv_vp *vp)
{
	(void)vp;
}

static struct hyperv_vp *vp;
static struct fake_kvm *kvm;

/* A VP that takes any interrupt. */
static int setup(void **state)
{
	struct fake *f;

	fake_setup(state);
	f = *state;
	vp = &f->hv.vp[0];
	kvm = &f->kvm[0];
	kvm->regs.rflags = 0x202;
	fake_apic_set(f, 0, SPURIOUS, 0x1ff);
	assert_true(synic_set_pages(vp, HV_SCONTROL_ENABLE, SIMP | HV_MSR_PAGE_ENABLE,
				    SIEFP | HV_MSR_PAGE_ENABLE));
	assert_true(synic_write_sint(vp, SINT, AUTO_EOI));
	return 0;
}

static void request(unsigned sint)
{
	atomic_fetch_or(&vp->auto_eoi, 1u << sint);
}

/* Requests the SINT and has the VP look: whether it took it. */
static bool taken(void)
{
	request(SINT);
	if (auto_eoi_run(vp)) {
		assert_false(kvm->events.interrupt.injected && kvm->events.interrupt.nr == VECTOR);
		assert_int_equal(atomic_load(&vp->auto_eoi), 1u << SINT);
		return false;
	}
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
	assert_true(kvm->events.interrupt.injected);
	assert_int_equal(kvm->events.interrupt.nr, VECTOR);
	assert_int_equal(kvm->events.interrupt.soft, 0);
	assert_int_equal(kvm->events.flags, 0);
	kvm->events.interrupt.injected = 0;
	return true;
}

static void messages_and_events_request_it(void **state)
{
	struct fake *f = *state;

	f->attended = 0;
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, "x", 1), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 0);
	assert_int_equal(atomic_load(&vp->auto_eoi), 1u << SINT);
	assert_int_equal(f->attended, 1);
	atomic_store(&vp->auto_eoi, 0);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 7), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 0);
	assert_int_equal(atomic_load(&vp->auto_eoi), 1u << SINT);
}

static void it_is_injected_as_if_served(void **state)
{
	struct fake *f = *state;

	assert_false(auto_eoi_run(vp));
	assert_false(kvm->events.interrupt.injected);
	kvm->events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	assert_true(taken());
	assert_int_equal(fake_apic_get(f, 0, ISR(VECTOR)), 0);
	assert_int_equal(fake_apic_get(f, 0, IRR(VECTOR)), 0);
	assert_int_equal(kvm->msis, 0);
}

static void it_waits_for_the_processor(void **state)
{
	(void)state;
	kvm->regs.rflags = 2;
	assert_false(taken());
	kvm->regs.rflags = 0x202;
	kvm->incomplete = true;
	assert_false(taken());
	kvm->incomplete = false;
	kvm->events.interrupt.shadow = 1;
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .exception.pending = 1 };
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .exception.injected = 1 };
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .nmi.pending = 1 };
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .nmi.injected = 1 };
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .interrupt = { .injected = 1, .nr = 0x99 } };
	assert_false(taken());
	kvm->events = (struct kvm_vcpu_events){ .nmi.masked = 1 };
	assert_true(taken());
	assert_int_equal(kvm->events.nmi.masked, 1);
}

/* Every look at a guest that does nothing but refused MSR accesses finds one of these. */
static void it_comes_before_an_access_that_faults(void **state)
{
	const struct kvm_vcpu_events gp = {
		.exception = { .injected = 1, .nr = 13, .has_error_code = 1 }
	};

	(void)state;
	kvm->events = gp;
	kvm->events.exception.error_code = 0x18; /* a selector's: it may have begun */
	assert_false(taken());
	kvm->events = gp;
	assert_true(taken());
	assert_false(kvm->events.exception.injected);
	kvm->events = gp;
	kvm->events.exception.nr = 14; /* its address in CR2 is not to be lost */
	assert_false(taken());
}

static void it_waits_for_its_priority(void **state)
{
	struct fake *f = *state;

	fake_apic_set(f, 0, TPR, 0x50);
	assert_false(taken());
	fake_apic_set(f, 0, TPR, 0x4f);
	assert_true(taken());
	fake_apic_set(f, 0, ISR(0x5f), BIT(0x5f));
	assert_false(taken());
	fake_apic_set(f, 0, ISR(0x5f), 0);
	fake_apic_set(f, 0, ISR(0xe0), BIT(0xe0));
	assert_false(taken());
	fake_apic_set(f, 0, ISR(0xe0), 0);
	fake_apic_set(f, 0, ISR(0x31), BIT(0x31));
	fake_apic_set(f, 0, IRR(0xe0), BIT(0xe0));
	assert_true(taken());
}

static void it_ends_a_halt(void **state)
{
	(void)state;
	kvm->mp.mp_state = KVM_MP_STATE_HALTED;
	kvm->regs.rflags = 2;
	assert_false(taken());
	assert_int_equal(kvm->mp.mp_state, KVM_MP_STATE_HALTED);
	kvm->regs.rflags = 0x202;
	assert_true(taken());
	assert_int_equal(kvm->mp.mp_state, KVM_MP_STATE_RUNNABLE);
	kvm->mp.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	assert_false(taken());
}

static void where_no_apic_listens_it_is_lost(void **state)
{
	struct fake *f = *state;

	request(SINT);
	kvm->mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	assert_false(auto_eoi_run(vp));
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
	kvm->mp.mp_state = KVM_MP_STATE_RUNNABLE;
	fake_apic_set(f, 0, SPURIOUS, 0xff);
	request(SINT);
	assert_false(auto_eoi_run(vp));
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
	assert_false(kvm->events.interrupt.injected);
}

static void the_guest_may_change_its_mind(void **state)
{
	struct fake *f = *state;

	/* Masked with one waiting: it waits on, and costs nothing. */
	request(SINT);
	assert_true(synic_write_sint(vp, SINT, AUTO_EOI | HV_SINT_MASKED));
	assert_false(auto_eoi_run(vp));
	assert_false(kvm->events.interrupt.injected);
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, "x", 1), 0);
	f->attended = 0;
	assert_true(synic_write_sint(vp, SINT, AUTO_EOI));
	assert_int_equal(f->attended, 1);
	assert_true(taken());
	/* Raised while masked: never. */
	assert_true(synic_write_sint(vp, SINT, AUTO_EOI | HV_SINT_MASKED));
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 9), 0);
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
	/* AutoEOI no more, and another vector. */
	request(SINT);
	assert_true(synic_write_sint(vp, SINT, VECTOR + 1));
	assert_false(auto_eoi_run(vp));
	assert_false(kvm->events.interrupt.injected);
	assert_int_equal(kvm->msis, 1);
	assert_int_equal(kvm->msi[0], VECTOR + 1);
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
}

/* Who posts may have seen the SINT before it changed, and its irqfd after: nothing was raised. */
static void work_that_was_there_is_seen(void **state)
{
	struct fake *f = *state;

	assert_true(synic_write_sint(vp, SINT, VECTOR));
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, "x", 1), 0);
	assert_int_equal(atomic_load(&vp->auto_eoi), 0);
	assert_true(synic_write_sint(vp, SINT, AUTO_EOI));
	assert_int_equal(atomic_load(&vp->auto_eoi), 1u << SINT);
}

static void several_sints(void **state)
{
	(void)state;
	assert_true(synic_write_sint(vp, 1, AUTO_EOI));
	assert_true(synic_write_sint(vp, 2, (VECTOR + 1) | HV_SINT_AUTO_EOI));
	request(1);
	request(2);
	request(SINT);
	/* The highest first; the others after the guest has run. */
	assert_true(auto_eoi_run(vp));
	assert_int_equal(kvm->events.interrupt.nr, VECTOR + 1);
	assert_true(auto_eoi_run(vp));
	assert_int_equal(kvm->events.interrupt.nr, VECTOR + 1);
	kvm->events.interrupt.injected = 0;
	assert_false(auto_eoi_run(vp)); /* two of one vector are one */
	assert_int_equal(kvm->events.interrupt.nr, VECTOR);
}

static void waiting_is_polled_the_later_the_longer(void **state)
{
	struct fake *f = *state;

	kvm->regs.rflags = 2;
	request(SINT);
	attention_run(vp);
	assert_int_equal(f->alarm[0], FAKE_CLOCK + 200000);
	vp->auto_eoi_since = FAKE_CLOCK - 6000000;
	attention_run(vp);
	assert_int_equal(f->alarm[0], FAKE_CLOCK + 1500000);
	vp->auto_eoi_since = 1;
	attention_run(vp);
	assert_int_equal(f->alarm[0], FAKE_CLOCK + 2000000);
	kvm->regs.rflags = 0x202;
	attention_run(vp);
	assert_int_equal(f->alarm[0], 0);
	assert_int_equal(vp->auto_eoi_since, 0);
}

static void the_nearest_timer_sets_the_alarm(void **state)
{
	struct fake *f = *state;

	fake_time(f, 1000);
	assert_true(stimer_write(vp, HV_MSR_STIMER0_CONFIG,
				 HV_STIMER_ENABLE | HV_STIMER_DIRECT | VECTOR << 4));
	assert_true(stimer_write(vp, HV_MSR_STIMER0_CONFIG + 1, 2000));
	attention_run(vp);
	assert_in_range(f->alarm[0], FAKE_CLOCK + 100000, FAKE_CLOCK + 100200);
	kvm->regs.rflags = 2;
	request(SINT);
	attention_run(vp);
	assert_in_range(f->alarm[0], FAKE_CLOCK + 100000, FAKE_CLOCK + 100200);
}

/* ---- Registers ------------------------------------------------------------------------------- */

static u64 get(u32 msr)
{
	u64 value = 0;

	assert_true(apic_read(vp, msr, &value));
	return value;
}

static void registers_are_read_from_the_apic(void **state)
{
	struct fake *f = *state;
	u64 value;

	fake_apic_set(f, 0, TPR, 0x35);
	fake_apic_set(f, 0, 0x300, 0x4062);
	fake_apic_set(f, 0, 0x310, 0x01000000);
	assert_int_equal(get(HV_MSR_TPR), 0x35);
	assert_int_equal(get(HV_MSR_ICR), 0x0100000000004062);
	assert_false(apic_read(vp, HV_MSR_EOI, &value));
}

static void reserved_bits_fault(void **state)
{
	struct fake *f = *state;

	f->hv.kvm_apic_msrs = true;
	assert_false(apic_write(vp, HV_MSR_EOI, 1ull << 32));
	assert_false(apic_write(vp, HV_MSR_TPR, 1ull << 32));
	for (unsigned bit = 0; bit < 32; bit++) {
		bool reserved = bit == 13 || bit == 16 || bit == 17 || bit >= 20;

		assert_int_equal(apic_write(vp, HV_MSR_ICR, 1ull << bit), !reserved);
	}
}

static void kvm_writes_what_it_can(void **state)
{
	struct fake *f = *state;

	f->hv.kvm_apic_msrs = true;
	assert_true(apic_write(vp, HV_MSR_ICR, 0x0100000000004062));
	assert_int_equal(kvm->msr, HV_MSR_ICR);
	assert_int_equal(kvm->msr_value, 0x0100000000004062);
	f->hv.kvm_apic_msrs = false;
	kvm->sregs.apic_base = 0xfee00c00; /* x2APIC mode */
	assert_true(apic_write(vp, HV_MSR_EOI, 7));
	assert_int_equal(kvm->msr, 0x80b);
	assert_int_equal(kvm->msr_value, 0);
	assert_true(apic_write(vp, HV_MSR_TPR, 0x35));
	assert_int_equal(kvm->msr, 0x808);
	assert_int_equal(kvm->msr_value, 0x35);
	assert_true(apic_write(vp, HV_MSR_ICR, 0x0100000000004062));
	assert_int_equal(kvm->msr, 0x830);
}

/* A 64-bit guest in the middle of something, in xAPIC mode. */
static void xapic_guest(void)
{
	kvm->regs = (struct kvm_regs){ .rip = 0xffffffff81000000, .rax = 1, .rflags = 0x246 };
	kvm->sregs = (struct kvm_sregs){ .apic_base = 0xfee00900,
					 .cr0 = 0x80050033,
					 .cr4 = 0x3720f0,
					 .efer = 0xd01,
					 .cs = { .l = 1, .selector = 0x10 } };
}

static void a_vp_writes_its_own_xapic(void **state)
{
	struct fake *f = *state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	xapic_guest();
	regs = kvm->regs;
	sregs = kvm->sregs;
	kvm->events.nmi.pending = 1;
	f->attended = 0;
	assert_true(apic_write(vp, HV_MSR_EOI, 0));
	assert_int_equal(f->attended, 1);
	assert_int_equal(kvm->aside_regs.rip, 0); /* not within the WRMSR */
	attention_run(vp);
	assert_int_equal(kvm->aside_regs.rdx, 0xfee000b0);
	assert_int_equal(kvm->aside_regs.rflags, 2);
	assert_int_equal(kvm->aside_sregs.cr0 & 0x80000001, 1);
	assert_int_equal(kvm->aside_sregs.cr4, 0x2000 & sregs.cr4);
	assert_int_equal(kvm->aside_sregs.efer & 0x400, 0);
	assert_int_equal(kvm->aside_sregs.cs.l, 0);
	assert_int_equal(kvm->aside_events.nmi.masked, 1);
	assert_false(kvm->aside_events.flags & KVM_VCPUEVENT_VALID_NMI_PENDING);
	assert_memory_equal(&kvm->regs, &regs, sizeof(regs));
	assert_memory_equal(&kvm->sregs, &sregs, sizeof(sregs));
	assert_false(kvm->events.flags & KVM_VCPUEVENT_VALID_NMI_PENDING);
	kvm->aside_regs.rip = 0;
	attention_run(vp); /* once */
	assert_int_equal(kvm->aside_regs.rip, 0);
	assert_true(apic_write(vp, HV_MSR_ICR, 0x0100000000004062));
	attention_run(vp);
	assert_int_equal(kvm->aside_regs.rcx, 0xfee00310);
	assert_int_equal(kvm->aside_regs.rbx, 0x01000000);
	assert_int_equal(kvm->aside_regs.rdx, 0xfee00300);
	assert_int_equal(kvm->aside_regs.rax, 0x4062);
}

static void an_init_meanwhile_wins(void **state)
{
	struct fake *f = *state;

	xapic_guest();
	kvm->aside_result = -ECANCELED;
	assert_true(apic_write(vp, HV_MSR_EOI, 0));
	attention_run(vp);
	assert_int_equal(kvm->regs.rip, 0); /* INIT's */
	assert_int_equal(f->ended, -1);
	kvm->aside_result = -EFAULT;
	assert_true(apic_write(vp, HV_MSR_EOI, 0));
	attention_run(vp);
	assert_int_equal(f->ended, VM_END_INTERNAL);
}

static void an_unfinished_wrmsr_cannot_be_left(void **state)
{
	struct fake *f = *state;

	xapic_guest();
	kvm->incomplete = true;
	assert_true(apic_write(vp, HV_MSR_EOI, 0));
	attention_run(vp);
	assert_int_equal(kvm->aside_regs.rdx, 0);
	assert_int_equal(f->ended, VM_END_INTERNAL);
}

static void an_apic_out_of_place_faults(void **state)
{
	const u64 bases[] = { 0xfee00100, 0x100000900, 0x5900 };

	(void)state;
	xapic_guest();
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		kvm->sregs.apic_base = bases[i];
		assert_false(apic_write(vp, HV_MSR_EOI, 0));
	}
	attention_run(vp);
	assert_int_equal(kvm->aside_regs.rdx, 0);
}

static void xapic_tpr_is_cr8(void **state)
{
	(void)state;
	xapic_guest();
	assert_true(apic_write(vp, HV_MSR_TPR, 0x75));
	assert_int_equal(kvm->sregs.cr8, 7);
}

/* It looks at the APIC before each step. */
static void idling_ends_with_a_request(void **state)
{
	struct fake *f = *state;

	kvm->apic_reads = 0;
	apic_idle(vp);
	assert_true(kvm->apic_reads > 1);
	kvm->regs.rflags = 2;
	fake_apic_set(f, 0, IRR(0x31), BIT(0x31));
	kvm->apic_reads = 0;
	apic_idle(vp);
	assert_int_equal(kvm->apic_reads, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_and_events_request_it),
		TEST(it_is_injected_as_if_served),
		TEST(it_waits_for_the_processor),
		TEST(it_comes_before_an_access_that_faults),
		TEST(it_waits_for_its_priority),
		TEST(it_ends_a_halt),
		TEST(where_no_apic_listens_it_is_lost),
		TEST(the_guest_may_change_its_mind),
		TEST(work_that_was_there_is_seen),
		TEST(several_sints),
		TEST(waiting_is_polled_the_later_the_longer),
		TEST(the_nearest_timer_sets_the_alarm),
		TEST(registers_are_read_from_the_apic),
		TEST(reserved_bits_fault),
		TEST(kvm_writes_what_it_can),
		TEST(a_vp_writes_its_own_xapic),
		TEST(an_init_meanwhile_wins),
		TEST(an_unfinished_wrmsr_cannot_be_left),
		TEST(an_apic_out_of_place_faults),
		TEST(xapic_tpr_is_cr8),
		TEST(idling_ends_with_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
