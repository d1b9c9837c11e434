/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's thread and those who want something of it, with a KVM that does nothing but wait in the
 * guest until it is made to leave.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/patience.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define VPS 2
#define ROUNDS 2000u

static struct bed {
	struct vm vm;
	struct vcpu vcpu[VPS];
	_Atomic unsigned in_guest[VPS]; /* entries into the guest that have not ended */
	_Atomic unsigned entries[VPS], attentions[VPS], rounds[VPS];
	_Atomic bool done[VPS];
	_Atomic unsigned ended;
	bool mutual; /* each VP's hook wants the other one */
	_Atomic u64 rip; /* of every VP, which run; 0: KVM does not tell */
	_Atomic int aside; /* what vcpu_run_aside() returned; 1: it did not yet */
} bed;

/* ---- In place of vmm/kvm.c and vmm/vm.c ------------------------------------------------------ */

static struct vcpu *vcpu_of(int fd)
{
	for (unsigned i = 0; i < VPS; i++)
		if (bed.vcpu[i].fd == fd)
			return &bed.vcpu[i];
	return NULL;
}

/* Short stays, so that a kick meets every moment between two of them. */
int kvm_run(int fd)
{
	struct vcpu *v = vcpu_of(fd);
	const struct timespec stay = { .tv_nsec = 20000 };
	bool leave = false;

	atomic_fetch_add(&bed.entries[v->index], 1);
	atomic_fetch_add(&bed.in_guest[v->index], 1);
	while (!leave) {
		leave = *(volatile __u8 *)&v->run->immediate_exit;
		if (!leave)
			nanosleep(&stay, NULL);
	}
	atomic_fetch_sub(&bed.in_guest[v->index], 1);
	return -EINTR;
}

int kvm_create_vcpu(int vm_fd, u32 id)
{
	int fd = memfd_create("vcpu", MFD_CLOEXEC);

	(void)vm_fd, (void)id;
	assert_int_equal(ftruncate(fd, sysconf(_SC_PAGESIZE)), 0);
	return fd;
}

int kvm_set_cpuid2(int fd, const struct kvm_cpuid2 *c)
{
	(void)fd, (void)c;
	return 0;
}

int kvm_get_msrs(int fd, struct kvm_msrs *m)
{
	(void)fd, (void)m;
	return 0;
}

int kvm_set_msrs(int fd, const struct kvm_msrs *m)
{
	(void)fd, (void)m;
	return 0;
}

int kvm_get_regs(int fd, struct kvm_regs *r)
{
	(void)fd;
	r->rip = atomic_load(&bed.rip);
	return r->rip ? 0 : -EIO;
}

int kvm_get_sregs(int fd, struct kvm_sregs *s)
{
	(void)fd, (void)s;
	return -EIO;
}

int kvm_get_lapic(int fd, struct kvm_lapic_state *l)
{
	(void)fd, (void)l;
	return -EIO;
}

int kvm_get_mp_state(int fd, struct kvm_mp_state *s)
{
	(void)fd;
	s->mp_state = KVM_MP_STATE_RUNNABLE;
	return atomic_load(&bed.rip) ? 0 : -EIO;
}

void vm_report_end(struct vm *vm, enum vm_end why, u64 value)
{
	(void)why, (void)value;
	atomic_store(&vm->ended, true);
	atomic_fetch_add(&bed.ended, 1);
}

/* ---- The hook -------------------------------------------------------------------------------- */

/* Wants the other VP, sees that it is not in the guest, and wants itself for the next round. */
static void want_the_other(struct vcpu *me)
{
	struct vcpu *other = &bed.vcpu[1 - me->index];

	if (atomic_load(&bed.rounds[me->index]) == ROUNDS) {
		atomic_store(&bed.done[me->index], true);
		return;
	}
	atomic_fetch_add(&bed.rounds[me->index], 1);
	vcpu_attend(other);
	vcpu_drain(other);
	vcpu_attend(me);
}

static void attention(void *ctx, struct vcpu *vcpu)
{
	(void)ctx;
	atomic_fetch_add(&bed.attentions[vcpu->index], 1);
	if (bed.mutual)
		want_the_other(vcpu);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void wait_until(_Atomic unsigned *value, unsigned at_least)
{
	while (atomic_load(value) < at_least)
		usleep(100);
}

static int setup(void **state)
{
	static const struct kvm_cpuid2 none;

	(void)state;
	memset(&bed, 0, sizeof(bed));
	bed.vm.run_size = (size_t)sysconf(_SC_PAGESIZE);
	bed.vm.hooks.attention = attention;
	for (u32 i = 0; i < VPS; i++)
		assert_int_equal(vcpu_init(&bed.vcpu[i], &bed.vm, i, &none), 0);
	return 0;
}

static void start(void)
{
	for (unsigned i = 0; i < VPS; i++)
		assert_int_equal(vcpu_start(&bed.vcpu[i]), 0);
	for (unsigned i = 0; i < VPS; i++)
		wait_until(&bed.entries[i], 1);
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VPS; i++)
		vcpu_stop(&bed.vcpu[i]);
	for (unsigned i = 0; i < VPS; i++)
		vcpu_fini(&bed.vcpu[i]);
	assert_int_equal(atomic_load(&bed.ended), 0);
	return 0;
}

static void attention_comes_before_the_guest_goes_on(void **state)
{
	(void)state;
	start();
	for (unsigned i = 1; i <= ROUNDS; i++) {
		unsigned entries = atomic_load(&bed.entries[0]);

		vcpu_attend(&bed.vcpu[0]);
		vcpu_drain(&bed.vcpu[0]);
		/* Outside, or in again after its hook. */
		if (atomic_load(&bed.in_guest[0]) && atomic_load(&bed.entries[0]) == entries)
			fail_msg("round %u: still in the guest", i);
		wait_until(&bed.attentions[0], i);
	}
	assert_int_equal(atomic_load(&bed.attentions[1]), 0);
}

static void two_vcpus_may_want_each_other(void **state)
{
	(void)state;
	bed.mutual = true;
	start();
	vcpu_attend(&bed.vcpu[0]);
	vcpu_attend(&bed.vcpu[1]);
	for (unsigned i = 0; i < VPS; i++)
		while (!atomic_load(&bed.done[i]))
			usleep(1000);
}

static void a_wish_before_the_start_is_kept(void **state)
{
	(void)state;
	vcpu_attend(&bed.vcpu[0]);
	vcpu_drain(&bed.vcpu[0]);
	start();
	assert_int_equal(atomic_load(&bed.attentions[0]), 1);
}

/* VP 0 arms itself from its hook: an alarm is the thread's own. */
static u64 arm_at;

static void arm(void *ctx, struct vcpu *vcpu)
{
	(void)ctx;
	if (vcpu->index == 0 && atomic_fetch_add(&bed.attentions[0], 1) == 0)
		vcpu_set_alarm(vcpu, arm_at);
}

static void an_alarm_goes_off_once(void **state)
{
	(void)state;
	bed.vm.hooks.attention = arm;
	start();
	arm_at = vcpu_clock() + 5000000;
	vcpu_attend(&bed.vcpu[0]);
	wait_until(&bed.attentions[0], 2);
	assert_true(vcpu_clock() >= arm_at);
	usleep(20000);
	assert_int_equal(atomic_load(&bed.attentions[0]), 2);
}

static void an_alarm_in_the_past_goes_off_at_once(void **state)
{
	(void)state;
	bed.vm.hooks.attention = arm;
	start();
	arm_at = 1;
	vcpu_attend(&bed.vcpu[0]);
	wait_until(&bed.attentions[0], 2);
}

/* VP 0 goes aside once, with a wish that came just before; what it finds there never ends. */
static void go_aside(void *ctx, struct vcpu *vcpu)
{
	(void)ctx;
	if (vcpu->index || atomic_fetch_add(&bed.attentions[0], 1))
		return;
	vcpu_attend(vcpu);
	atomic_store(&bed.aside, vcpu_run_aside(vcpu, 0xe8));
}

static void start_aside(void)
{
	unsigned entries;

	bed.vm.hooks.attention = go_aside;
	atomic_store(&bed.aside, 1);
	atomic_store(&bed.rip, LAYOUT_ASIDE + 2);
	start();
	entries = atomic_load(&bed.entries[0]);
	vcpu_attend(&bed.vcpu[0]);
	wait_until(&bed.entries[0], entries + 1);
}

static void a_wish_before_a_detour_makes_nobody_wait(void **state)
{
	(void)state;
	alarm(PATIENCE_S);
	start_aside();
	vcpu_drain(&bed.vcpu[0]);
	assert_int_equal(atomic_load(&bed.aside), 1);
	vcpu_stop(&bed.vcpu[0]);
	assert_int_equal(atomic_load(&bed.aside), -EINTR);
	alarm(0);
}

static void a_detour_that_leads_elsewhere_ends(void **state)
{
	(void)state;
	alarm(PATIENCE_S);
	start_aside();
	atomic_store(&bed.rip, 0xfff0);
	vcpu_attend(&bed.vcpu[0]);
	wait_until(&bed.attentions[0], 2); /* for what was wanted meanwhile */
	assert_int_equal(atomic_load(&bed.aside), -ECANCELED);
	alarm(0);
}

static int count_start(void *ctx, struct vcpu *vcpu)
{
	(void)ctx;
	atomic_fetch_add(&bed.rounds[vcpu->index], 1);
	return 0;
}

/* Whoever waits for all threads to get ready shall not wait for ever. */
static void a_thread_that_cannot_be_set_up_starts_all_the_same(void **state)
{
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &old), 0);
	none = (struct rlimit){ .rlim_max = old.rlim_max };
	bed.vm.hooks.thread_start = count_start;
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	assert_int_equal(vcpu_start(&bed.vcpu[0]), 0);
	vcpu_stop(&bed.vcpu[0]);
	assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &old), 0);
	if (!atomic_exchange(&bed.ended, 0))
		skip(); /* this host makes a timer without room for its signal */
	assert_int_equal(atomic_load(&bed.rounds[0]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attention_comes_before_the_guest_goes_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(two_vcpus_may_want_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wish_before_the_start_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(an_alarm_goes_off_once, setup, teardown),
		cmocka_unit_test_setup_teardown(an_alarm_in_the_past_goes_off_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_wish_before_a_detour_makes_nobody_wait, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_detour_that_leads_elsewhere_ends, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_thread_that_cannot_be_set_up_starts_all_the_same,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
