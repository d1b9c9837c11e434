/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface as the layers above see it: choosing the back end, wiring the VM's hooks to the
 * shared core, and what `candela doctor` wants to know.
 */
#include "hyperv/cpuid.h"
#include "hyperv/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* The SINT every guest uses for the VMBus; others get their interrupt when they are first used. */
#define SINT_VMBUS 2

/* As firmware sets it for nested virtualization on Intel (SDM vol. 3, "Enabling VMX Operation"). */
#define MSR_IA32_FEATURE_CONTROL 0x3a
#define FEATURE_CONTROL_LOCKED 0x1
#define FEATURE_CONTROL_VMX 0x4

/* ---- What the host has ----------------------------------------------------------------------- */

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

/* ---- What a guest is offered ----------------------------------------------------------------- */

/* Reads what the processor and its KVM have into *host. 0 or -errno. */
static int look_at_processor(struct feature_host *host, int kvm_fd, bool *vmx)
{
	struct cpuid *t = malloc(sizeof(*t));
	int err = t ? cpuid_supported(kvm_fd, t) : -ENOMEM;

	if (!err) {
		*vmx = cpuid_has_vmx(t);
		host->nested = *vmx || cpuid_has_svm(t);
		host->invariant_tsc = cpuid_has_invariant_tsc(t);
	}
	free(t);
	return err;
}

unsigned hyperv_features(int kvm_fd, struct hyperv_feature *row, unsigned max)
{
	struct feature_host kernel = { .backend = HYPERV_AUTO }, user;
	bool vmx;

	if (look_at_processor(&kernel, kvm_fd, &vmx))
		return 0;
	user = kernel;
	if (!need_missing(kvm_fd, HYPERV_KERNEL) && !cpuid_read_limit(kvm_fd, &kernel.limit))
		kernel.backend = HYPERV_KERNEL;
	if (!need_missing(kvm_fd, HYPERV_USER))
		user.backend = HYPERV_USER;
	return features_describe(&kernel, &user, row, max);
}

/* Settles hv->offered. 0, -EINVAL for what the user must mend, or another -errno. */
static int settle_features(struct hyperv *hv, char *error, size_t size)
{
	struct feature_host host = { .backend = hv->backend->id, .limit = hv->limit };
	int err = look_at_processor(&host, hv->vm->kvm_fd, &hv->vmx);

	if (err) {
		snprintf(error, size, "KVM does not tell what it supports: %s", strerror(-err));
		return err == -EINVAL ? -EIO : err;
	}
	if (hv->config.nested && !host.nested) {
		snprintf(error, size,
			 "--nested: this host's KVM shows a guest neither VMX nor SVM; load "
			 "kvm_intel or kvm_amd with nested=1, or leave the option out");
		return -EINVAL;
	}
	host.nested = hv->config.nested;
	return features_offer(&hv->offered, &host, &hv->config.switches, error, size);
}

/* ---- The VM's hooks -------------------------------------------------------------------------- */

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

/* ---- Life ------------------------------------------------------------------------------------ */

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

/* KVM's own -EINVAL is the host's failure, not the user's. */
static int init_backend(struct hyperv *hv, char *error, size_t size)
{
	char why[128] = "";
	int err = hv->backend->init(hv, why, sizeof(why));

	if (err)
		snprintf(error, size, "cannot set up the %s Hyper-V back end: %s",
			 hv->backend->name, why);
	return err == -EINVAL ? -EIO : err;
}

int hyperv_init(struct hyperv **result, struct vm *vm, const struct hyperv_config *config,
		char *error, size_t error_size)
{
	const struct hyperv_backend *backend =
		backend_choose(vm->kvm_fd, config->choice, error, error_size);
	struct hyperv *hv;
	int err;

	*result = NULL;
	if (!backend)
		return -ENOTSUP;
	hv = calloc(1, sizeof(*hv));
	err = hv ? hyperv_setup(hv, &vm->mem, backend, vm->cpu_count) : -ENOMEM;
	if (err) {
		snprintf(error, error_size, "out of memory");
		hyperv_fini(hv);
		return err;
	}
	hv->vm = vm;
	hv->config = *config;
	err = init_backend(hv, error, error_size) ?: settle_features(hv, error, error_size);
	if (err) {
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

const char *hyperv_vmbus_lacks(const struct hyperv *hv)
{
	return features_vmbus_lacks(&hv->offered);
}

int hyperv_cpuid(struct hyperv *hv, struct cpuid *t)
{
	if (features_hide_invariant_tsc(&hv->config.switches))
		cpuid_hide_invariant_tsc(t);
	return cpuid_add_leaves(t, &hv->offered, LAYOUT_CPUS_MAX);
}

static int init_nested(const struct hyperv *hv, struct vcpu *vcpu)
{
	u16 version;
	int err = 0;

	if (hv->vmx)
		err = vcpu_set_msr(vcpu, MSR_IA32_FEATURE_CONTROL,
				   FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX);
	if (!err && hv->offered.hints & HV_HINT_ENLIGHTENED_VMCS)
		err = kvm_enable_cap(vcpu->fd, KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
				     (u64)(uintptr_t)&version);
	return err;
}

int hyperv_vp_init(struct hyperv *hv, struct vcpu *vcpu)
{
	struct hyperv_vp *vp = &hv->vp[vcpu->index];
	int err;

	vp->vcpu = vcpu;
	err = hv->backend->vp_init(vp);
	if (!err && hv->config.nested)
		err = init_nested(hv, vcpu);
	return err ? err : synic_prepare_sint(vp, SINT_VMBUS);
}

const struct hyperv_crash *hyperv_crash_report(const struct hyperv *hv)
{
	return &hv->crash;
}
