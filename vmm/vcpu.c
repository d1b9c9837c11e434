/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kvm.h"
#include "vmm/lapic.h"
#include "vmm/vm.h"

/* Makes a vCPU leave the guest, or not enter it. */
#define KICK_SIGNAL SIGUSR1

#define STACK_BYTES (256u << 10)

#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE_WRITE_BACK 0x806

int vcpu_get_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry.index = msr };
	int err = kvm_get_msrs(vcpu->fd, &m.head);

	*value = m.entry.data;
	return err;
}

int vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1, .entry = { .index = msr, .data = value } };

	return kvm_set_msrs(vcpu->fd, &m.head);
}

int vcpu_init(struct vcpu *vcpu, struct vm *vm, u32 index, const struct kvm_cpuid2 *cpuid)
{
	int err;

	*vcpu = (struct vcpu){ .vm = vm, .index = index, .fd = -1 };
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->left, NULL);
	vcpu->fd = kvm_create_vcpu(vm->fd, index);
	if (vcpu->fd < 0)
		return vcpu->fd;
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	err = kvm_set_cpuid2(vcpu->fd, cpuid);
	/* All RAM is write-back, as firmware would have set it. A KVM without MTRRs needs none. */
	if (!err && vcpu_set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WRITE_BACK) == -EINVAL)
		err = -EINVAL;
	return err;
}

void vcpu_fini(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->vm->run_size);
	vcpu->run = NULL;
	if (vcpu->vm && vcpu->fd >= 0) {
		close(vcpu->fd);
		pthread_cond_destroy(&vcpu->left);
		pthread_mutex_destroy(&vcpu->lock);
	}
	vcpu->fd = -1;
}

/* ---- Where it stands --------------------------------------------------------------------- */

/* The vectors set in one of the APIC's 256-bit registers, as " 0x30 0x41". */
static size_t describe_vectors(const struct kvm_lapic_state *apic, unsigned reg, char *text,
			       size_t size)
{
	size_t used = 0;

	for (unsigned v = 0; v < 256 && used < size; v++)
		if (apic->regs[reg + v / 32 * 0x10 + v % 32 / 8] >> v % 8 & 1)
			used += (size_t)snprintf(text + used, size - used, " 0x%x", v);
	return MIN(used, size);
}

void vcpu_describe(struct vcpu *vcpu, char *text, size_t size)
{
	struct kvm_lapic_state apic;
	struct kvm_mp_state mp = { 0 };
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	size_t used;

	if (kvm_get_regs(vcpu->fd, &regs) || kvm_get_sregs(vcpu->fd, &sregs) ||
	    kvm_get_lapic(vcpu->fd, &apic) || kvm_get_mp_state(vcpu->fd, &mp)) {
		snprintf(text, size, "not known");
		return;
	}
	used = (size_t)snprintf(text, size, "RIP 0x%llx, CPL %u, interrupts %s%s, requested",
				(unsigned long long)regs.rip, sregs.cs.dpl,
				regs.rflags & 0x200 ? "on" : "off",
				mp.mp_state == KVM_MP_STATE_HALTED ? ", halted" : "");
	used = MIN(used, size);
	used += describe_vectors(&apic, APIC_IRR, text + used, size - used);
	used += (size_t)snprintf(text + used, size - used, ", in service");
	if (used < size)
		describe_vectors(&apic, APIC_ISR, text + used, size - used);
}

/* ---- Exits ---------------------------------------------------------------------------------- */

/* Whether the Hyper-V layer's hypercall page made this access, and it is answered. */
static bool exit_out32(struct vcpu *vcpu, const void *data)
{
	const struct vm_hooks *h = &vcpu->vm->hooks;
	const struct kvm_run *run = vcpu->run;
	u32 value;

	if (!h->out32 || run->io.direction != KVM_EXIT_IO_OUT || run->io.size != sizeof(value) ||
	    run->io.count != 1)
		return false;
	memcpy(&value, data, sizeof(value));
	return h->out32(h->hyperv_ctx, vcpu, run->io.port, value);
}

static void exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;

	if (exit_out32(vcpu, data))
		return;
	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			io_read(&vcpu->vm->io, IO_PORT, run->io.port, data, run->io.size);
		else
			io_write(&vcpu->vm->io, IO_PORT, run->io.port, data, run->io.size);
	}
}

static void exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		io_write(&vcpu->vm->io, IO_MMIO, run->mmio.phys_addr, run->mmio.data,
			 run->mmio.len);
	else
		io_read(&vcpu->vm->io, IO_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static void exit_rdmsr(struct vcpu *vcpu)
{
	const struct vm_hooks *h = &vcpu->vm->hooks;
	u64 value = 0;

	vcpu->run->msr.error =
		!(h->rdmsr && h->rdmsr(h->hyperv_ctx, vcpu, vcpu->run->msr.index, &value));
	vcpu->run->msr.data = value;
}

static void exit_wrmsr(struct vcpu *vcpu)
{
	const struct vm_hooks *h = &vcpu->vm->hooks;

	vcpu->run->msr.error = !(h->wrmsr && h->wrmsr(h->hyperv_ctx, vcpu, vcpu->run->msr.index,
						      vcpu->run->msr.data));
}

static void exit_hyperv(struct vcpu *vcpu)
{
	const struct vm_hooks *h = &vcpu->vm->hooks;

	if (h->hyperv)
		h->hyperv(h->hyperv_ctx, vcpu, &vcpu->run->hyperv);
}

static void exit_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_report_end(vcpu->vm, VM_END_POWEROFF, 0);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_report_end(vcpu->vm, VM_END_REBOOT, 0);
		break;
	default:
		vm_report_end(vcpu->vm, VM_END_PANIC, 0);
		break;
	}
}

/* The reason, and in the upper half what KVM says about it. */
static void exit_internal(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 detail = 0;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		detail = run->internal.suberror;
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		detail = run->fail_entry.hardware_entry_failure_reason & UINT32_MAX;
	vm_report_end(vcpu->vm, VM_END_INTERNAL, detail << 32 | run->exit_reason);
}

static void handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		exit_mmio(vcpu);
		break;
	case KVM_EXIT_X86_RDMSR:
		exit_rdmsr(vcpu);
		break;
	case KVM_EXIT_X86_WRMSR:
		exit_wrmsr(vcpu);
		break;
	case KVM_EXIT_HYPERV:
		exit_hyperv(vcpu);
		break;
	case KVM_EXIT_SHUTDOWN:
		vm_report_end(vcpu->vm, VM_END_TRIPLE_FAULT, 0);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit_system_event(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT: /* only where the irqchip is not the kernel's */
		break;
	default:
		exit_internal(vcpu);
		break;
	}
}

/* ---- Attention ------------------------------------------------------------------------------- */

/* The vCPU of this thread, for the signal handler. */
static _Thread_local struct vcpu *self;

/*
 * The kick may land anywhere between the test of `attention` and KVM_RUN: immediate_exit closes
 * that gap. An alarm has nobody to set `attention` for it.
 */
static void kicked(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	if (!self)
		return;
	if (info->si_value.sival_int == WAKE_ALARM)
		atomic_store(&self->attention, true);
	*(volatile __u8 *)&self->run->immediate_exit = 1;
}

/*
 * By a timer of the vCPU's that goes off at once: a sandbox that allowed signals would allow any.
 */
static void kick(struct vcpu *vcpu)
{
	const struct itimerspec now = { .it_value.tv_nsec = 1 };

	if (atomic_load(&vcpu->timers_made))
		timer_settime(vcpu->timer[WAKE_KICK], 0, &now, NULL);
}

static bool inside(u32 passages)
{
	return passages & 1;
}

void vcpu_attend(struct vcpu *vcpu)
{
	atomic_store(&vcpu->attention, true);
	if (inside(atomic_load(&vcpu->passages)))
		kick(vcpu);
}

void vcpu_drain(struct vcpu *vcpu)
{
	u32 seen = atomic_load(&vcpu->passages);

	if (!inside(seen))
		return;
	pthread_mutex_lock(&vcpu->lock);
	atomic_fetch_add(&vcpu->drainers, 1);
	/* A wish already taken was taken outside: it may be in again, and that is fine. */
	while (atomic_load(&vcpu->passages) == seen && atomic_load(&vcpu->attention))
		pthread_cond_wait(&vcpu->left, &vcpu->lock);
	atomic_fetch_sub(&vcpu->drainers, 1);
	pthread_mutex_unlock(&vcpu->lock);
}

u64 vcpu_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec;
}

void vcpu_set_alarm(struct vcpu *vcpu, u64 deadline)
{
	const struct itimerspec t = { .it_value = { .tv_sec = (time_t)(deadline / NSEC_PER_SEC),
						    .tv_nsec = (long)(deadline % NSEC_PER_SEC) } };

	if (atomic_load(&vcpu->timers_made))
		timer_settime(vcpu->timer[WAKE_ALARM], TIMER_ABSTIME, &t, NULL);
}

/* Into the guest and back, unless somebody wants this vCPU. 0, or -errno of KVM_RUN. */
static int enter(struct vcpu *vcpu)
{
	int err = -EINTR;

	/* Orders with vcpu_attend(): it sees us inside, or we see its wish. */
	atomic_fetch_add(&vcpu->passages, 1);
	if (!atomic_load(&vcpu->attention))
		err = kvm_run(vcpu->fd);
	atomic_fetch_add(&vcpu->passages, 1);
	if (atomic_load(&vcpu->drainers)) {
		pthread_mutex_lock(&vcpu->lock);
		pthread_cond_broadcast(&vcpu->left);
		pthread_mutex_unlock(&vcpu->lock);
	}
	*(volatile __u8 *)&vcpu->run->immediate_exit = 0;
	return err;
}

/* An instruction may take several exits, REP INS very many. */
#define COMPLETE_EXITS 8

bool vcpu_complete(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < COMPLETE_EXITS; i++) {
		int err;

		*(volatile __u8 *)&vcpu->run->immediate_exit = 1;
		err = kvm_run(vcpu->fd);
		/* A kick that meant more than this came with a wish, which enter() will see. */
		*(volatile __u8 *)&vcpu->run->immediate_exit = 0;
		if (err)
			return err == -EINTR;
		handle_exit(vcpu);
	}
	return false;
}

static void attention(struct vcpu *vcpu)
{
	const struct vm_hooks *h = &vcpu->vm->hooks;

	if (atomic_exchange(&vcpu->attention, false) && h->attention)
		h->attention(h->hyperv_ctx, vcpu);
}

/* ---- Thread --------------------------------------------------------------------------------- */

static bool should_run(const struct vcpu *vcpu)
{
	return !atomic_load_explicit(&vcpu->stop, memory_order_acquire) &&
	       !atomic_load_explicit(&vcpu->vm->ended, memory_order_relaxed);
}

/* Whether the vCPU is in the detour still, not where an INIT, an SMI or a fault led it. */
static bool is_aside(struct vcpu *vcpu)
{
	struct kvm_mp_state mp;
	struct kvm_regs r;

	return !kvm_get_mp_state(vcpu->fd, &mp) && mp.mp_state == KVM_MP_STATE_RUNNABLE &&
	       !kvm_get_regs(vcpu->fd, &r) && r.rip - LAYOUT_ASIDE < GUEST_PAGE_SIZE;
}

/* -EAGAIN: once more. */
static int step_aside(struct vcpu *vcpu, u16 port)
{
	const struct kvm_run *run = vcpu->run;
	int err = enter(vcpu);

	if (err == -EINTR || err == -EAGAIN)
		return is_aside(vcpu) ? -EAGAIN : -ECANCELED;
	if (err)
		return err;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == port)
		return vcpu_complete(vcpu) ? 0 : -ECANCELED;
	handle_exit(vcpu);
	return is_aside(vcpu) ? -EIO : -ECANCELED;
}

/* Wishes are put aside too, not overlooked: a new one has the vCPU leave as ever. */
int vcpu_run_aside(struct vcpu *vcpu, u16 port)
{
	bool wanted = false;
	int err = -EAGAIN;

	while (err == -EAGAIN && should_run(vcpu)) {
		wanted |= atomic_exchange(&vcpu->attention, false);
		err = step_aside(vcpu, port);
	}
	if (wanted)
		atomic_store(&vcpu->attention, true);
	return err == -EAGAIN ? -EINTR : err;
}

/* The mask is inherited, in the end from whoever started the program. */
static void kick_unblock(void)
{
	sigset_t kick_set;

	sigemptyset(&kick_set);
	sigaddset(&kick_set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick_set, NULL);
}

/* What only this thread can set up. 0 or -errno. */
static int thread_init(struct vcpu *vcpu)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };

	self = vcpu;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < WAKES; i++) {
		event.sigev_value.sival_int = i;
		if (timer_create(CLOCK_MONOTONIC, &event, &vcpu->timer[i]))
			return -errno;
	}
	kick_unblock();
	atomic_store(&vcpu->timers_made, true);
	return 0;
}

static void thread_fini(struct vcpu *vcpu)
{
	vcpu_set_alarm(vcpu, 0);
	self = NULL;
}

static void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	const struct vm_hooks *h = &vcpu->vm->hooks;
	int err = thread_init(vcpu);

	if (err)
		vm_report_end(vcpu->vm, VM_END_INTERNAL, (u64)-err << 32);
	/* It may be waited for there, whatever failed. */
	err = h->thread_start ? h->thread_start(h->ctx, vcpu) : 0;
	if (err)
		vm_report_end(vcpu->vm, VM_END_INTERNAL, (u64)-err << 32);
	while (should_run(vcpu)) {
		err = enter(vcpu);
		if (!err)
			handle_exit(vcpu);
		else if (err != -EINTR && err != -EAGAIN)
			vm_report_end(vcpu->vm, VM_END_INTERNAL, (u64)-err << 32);
		attention(vcpu);
	}
	thread_fini(vcpu);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	struct sigaction action = { .sa_sigaction = kicked, .sa_flags = SA_SIGINFO };
	pthread_attr_t attr;
	int err;

	sigaction(KICK_SIGNAL, &action, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&vcpu->thread, &attr, vcpu_main, vcpu);
	pthread_attr_destroy(&attr);
	vcpu->started = !err;
	return -err;
}

void vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	atomic_store_explicit(&vcpu->stop, true, memory_order_release);
	vcpu_attend(vcpu);
	pthread_join(vcpu->thread, NULL);
	for (int i = 0; atomic_load(&vcpu->timers_made) && i < WAKES; i++)
		timer_delete(vcpu->timer[i]);
	atomic_store(&vcpu->timers_made, false);
	vcpu->started = false;
}
