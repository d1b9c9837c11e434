/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface as the layers above see it: choosing the back end, wiring the VM's hooks to the
 * shared core, and what `candela doctor` wants to know.
 */
#include "hyperv/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* The SINT every guest uses for the VMBus; others get their interrupt when they are first used. */
#define SINT_VMBUS 2

/* CPUID 0x80000007 EDX. */
#define INVARIANT_TSC (1u << 8)

/* ---- What the host has ------------------------------------------------------------------------- */

static const struct {
	long cap;
	const char *name, *what;
	bool for_kernel, for_user;
} needs[] = {
	{ KVM_CAP_SYS_HYPERV_CPUID, "KVM_CAP_SYS_HYPERV_CPUID", "what KVM's Hyper-V can do", true,
	  false },
	{ KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2", "interrupt controller in the kernel",
	  true, false },
	{ KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD", "doorbells in the kernel", true,
	  false },
	{ KVM_CAP_HYPERV_ENFORCE_CPUID, "KVM_CAP_HYPERV_ENFORCE_CPUID",
	  "faults for what is not offered", false, false },
	{ KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR", "MSRs served by candela", true,
	  true },
	{ KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER", "which MSRs", true, true },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "interrupts by eventfd", true, true },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", "their vectors", true, true },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "doorbells by port write", false, true },
	{ KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ", "the reference TSC page", false, true },
};

unsigned hyperv_needs(int kvm_fd, struct hyperv_need *row, unsigned max)
{
	unsigned count = (unsigned)MIN(ARRAY_SIZE(needs), max);

	for (unsigned i = 0; i < count; i++)
		row[i] = (struct hyperv_need){ .name = needs[i].name,
					       .what = needs[i].what,
					       .present = kvm_check_extension(kvm_fd,
									      needs[i].cap) > 0,
					       .for_kernel = needs[i].for_kernel,
					       .for_user = needs[i].for_user };
	return count;
}

/* The first thing `choice` needs and the host lacks, or NULL. */
static const char *need_missing(int kvm_fd, enum hyperv_choice choice)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		bool needed = choice == HYPERV_KERNEL ? needs[i].for_kernel : needs[i].for_user;

		if (needed && kvm_check_extension(kvm_fd, needs[i].cap) <= 0)
			return needs[i].name;
	}
	return NULL;
}

enum hyperv_choice hyperv_best(int kvm_fd)
{
	if (!need_missing(kvm_fd, HYPERV_KERNEL))
		return HYPERV_KERNEL;
	return need_missing(kvm_fd, HYPERV_USER) ? HYPERV_AUTO : HYPERV_USER;
}

/* ---- The VM's hooks ---------------------------------------------------------------------------- */

static bool hook_rdmsr(void *ctx, struct vcpu *vcpu, u32 msr, u64 *value)
{
	struct hyperv *hv = ctx;

	return msr_read(&hv->vp[vcpu->index], msr, value);
}

static bool hook_wrmsr(void *ctx, struct vcpu *vcpu, u32 msr, u64 value)
{
	struct hyperv *hv = ctx;

	return msr_write(&hv->vp[vcpu->index], msr, value);
}

static void hook_hyperv(void *ctx, struct vcpu *vcpu, struct kvm_hyperv_exit *exit)
{
	struct hyperv *hv = ctx;

	if (hv->backend->hyperv_exit)
		hv->backend->hyperv_exit(&hv->vp[vcpu->index], exit);
}

static bool hook_out32(void *ctx, struct vcpu *vcpu, u16 port, u32 value)
{
	struct hyperv *hv = ctx;

	return hv->backend->out32 && hv->backend->out32(&hv->vp[vcpu->index], port, value);
}

static void hook_attention(void *ctx, struct vcpu *vcpu)
{
	struct hyperv *hv = ctx;

	if (hv->backend->attention)
		hv->backend->attention(&hv->vp[vcpu->index]);
}

static void hooks_install(struct hyperv *hv)
{
	struct vm_hooks *h = &hv->vm->hooks;

	h->hyperv_ctx = hv;
	h->rdmsr = hook_rdmsr;
	h->wrmsr = hook_wrmsr;
	h->hyperv = hook_hyperv;
	h->out32 = hook_out32;
	h->attention = hook_attention;
}

/* ---- Life ---------------------------------------------------------------------------------------- */

/* The back end for choice, or NULL with a sentence for the user. */
static const struct hyperv_backend *backend_choose(int kvm_fd, enum hyperv_choice choice,
						   char *error, size_t size)
{
	enum hyperv_choice best = choice == HYPERV_AUTO ? hyperv_best(kvm_fd) : choice;
	const char *missing = need_missing(kvm_fd, best == HYPERV_AUTO ? HYPERV_USER : best);

	if (!missing)
		return best == HYPERV_KERNEL ? &backend_kernel : &backend_user;
	if (choice == HYPERV_KERNEL)
		snprintf(error, size,
			 "--hyperv kernel: this host's KVM lacks %s; leave the option out or take "
			 "--hyperv user",
			 missing);
	else
		snprintf(error, size,
			 "%sthis host's KVM lacks %s, which Linux has since 5.10; a newer kernel "
			 "is the way out",
			 choice == HYPERV_USER ? "--hyperv user: " : "", missing);
	return NULL;
}

int hyperv_init(struct hyperv **result, struct vm *vm, const struct hyperv_config *config,
		char *error, size_t error_size)
{
	const struct hyperv_backend *backend =
		backend_choose(vm->kvm_fd, config->choice, error, error_size);
	char why[128] = "out of memory";
	struct hyperv *hv;
	int err;

	*result = NULL;
	if (!backend)
		return -ENOTSUP;
	hv = calloc(1, sizeof(*hv));
	err = hv ? hyperv_setup(hv, &vm->mem, backend, vm->cpu_count) : -ENOMEM;
	if (!err) {
		hv->vm = vm;
		hv->config = *config;
		err = backend->init(hv, why, sizeof(why));
	}
	if (err) {
		snprintf(error, error_size, "cannot set up the %s Hyper-V back end: %s",
			 backend->name, why);
		hyperv_fini(hv);
		return err;
	}
	hooks_install(hv);
	*result = hv;
	return 0;
}

void hyperv_fini(struct hyperv *hv)
{
	if (!hv)
		return;
	hyperv_teardown(hv);
	free(hv);
}

const char *hyperv_backend_name(const struct hyperv *hv)
{
	return hv->backend->name;
}

int hyperv_cpuid(struct hyperv *hv, struct cpuid *t)
{
	const struct kvm_cpuid_entry2 *power = cpuid_find(t, 0x80000007, 0);

	hv->offered =
		cpuid_policy(hv->backend->id, &hv->limit, power && power->edx & INVARIANT_TSC);
	return cpuid_add_leaves(t, &hv->offered, LAYOUT_CPUS_MAX);
}

int hyperv_vp_init(struct hyperv *hv, struct vcpu *vcpu)
{
	struct hyperv_vp *vp = &hv->vp[vcpu->index];
	int err;

	vp->vcpu = vcpu;
	err = hv->backend->vp_init(vp);
	return err ? err : synic_prepare_sint(vp, SINT_VMBUS);
}

const struct hyperv_crash *hyperv_crash_report(const struct hyperv *hv)
{
	return &hv->crash;
}
