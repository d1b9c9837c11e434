/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel back end: KVM's own Hyper-V emulation (Documentation/virt/kvm/api.rst, arch/x86/kvm/
 * hyperv.c of Linux 6.1 and later). KVM executes the hot MSRs and hypercalls, timers, the TSC page
 * and SINT interrupts. To user space come:
 *
 *	HvCallSignalEvent    KVM_EXIT_HYPERV_HCALL, on a connection KVM has no eventfd for, or with
 *	                     a flag number; its eight bytes are then in params[0] in either form
 *	other hypercalls     from our page's port (hypercall_page.c), but those KVM serves
 *	MSRs set up rarely   by the MSR filter, so that both back ends mean the same by them: pages
 *	                     may not lie outside RAM, and the guest gets back what lay under them.
 *	                     What KVM acts on as well is then passed on to it
 *
 * The hypercall page is ours here as well: KVM's ignores the lock bit, and has KVM refuse what it
 * does not know. KVM is told the OS id, without which it takes VMCALL for a call of its own.
 *
 * EOM is passed on to KVM, whose message-mode timers wait for it too. A guest writes it only where
 * it found PENDING, so unlike a resample eventfd, which fires at every EOI of the vector, it costs
 * nothing per interrupt.
 */
#include "hyperv/cpuid.h"
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

#include <stdio.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

static const struct backend_msrs shared_msrs[] = {
	{ HV_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL - HV_MSR_GUEST_OS_ID + 1 },
	{ HV_MSR_RESET, 1 },
	{ HV_MSR_REFERENCE_TSC, 1 },
	{ HV_MSR_VP_ASSIST_PAGE, 1 },
	{ HV_MSR_SCONTROL, HV_MSR_EOM - HV_MSR_SCONTROL + 1 },
	{ HV_MSR_SINT0, HV_SINTS },
	{ HV_MSR_GUEST_IDLE, 1 },
	{ HV_MSR_SYNDBG_CONTROL, HV_MSR_SYNDBG_PENDING_BUFFER - HV_MSR_SYNDBG_CONTROL + 1 },
	{ HV_MSR_SYNDBG_OPTIONS, 1 },
	{ HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL - HV_MSR_CRASH_P0 + 1 },
};

static int kernel_init(struct hyperv *hv, char *error, size_t error_size)
{
	int err = cpuid_read_limit(hv->vm->kvm_fd, &hv->limit);

	if (err) {
		snprintf(error, error_size, "KVM_GET_SUPPORTED_HV_CPUID: %s", strerror(-err));
		return err;
	}
	err = backend_filter_msrs(hv, shared_msrs, ARRAY_SIZE(shared_msrs));
	if (err)
		snprintf(error, error_size, "KVM_X86_SET_MSR_FILTER: %s", strerror(-err));
	return err;
}

static int kernel_vp_init(struct hyperv_vp *vp)
{
	int err = kvm_enable_cap(vp->vcpu->fd, KVM_CAP_HYPERV_SYNIC2, 0);

	if (err)
		return err;
	/* What was not offered shall fault. Older kernels cannot, and then it works: no harm. */
	if (kvm_check_extension(vp->hv->vm->kvm_fd, KVM_CAP_HYPERV_ENFORCE_CPUID))
		kvm_enable_cap(vp->vcpu->fd, KVM_CAP_HYPERV_ENFORCE_CPUID, 1);
	/* TLFS: the SynIC starts disabled; KVM starts it enabled. */
	return vcpu_set_msr(vp->vcpu, HV_MSR_SCONTROL, 0);
}

/* Once is enough: KVM looks the vector up in the SINT at each interrupt. */
static int kernel_bind_sint(struct hyperv_vp *vp, u32 sint, int fd)
{
	int err = backend_bind_irqfd(vp, sint, fd);

	return err ? err : irq_route_hv_sint(&vp->hv->vm->irq, vp->sint[sint].gsi, vp->index, sint);
}

static int kernel_change_sint(struct hyperv_vp *vp, u32 sint)
{
	(void)vp, (void)sint;
	return 0;
}

static int kernel_bind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	const struct kvm_hyperv_eventfd e = { .conn_id = connection_id, .fd = fd };

	return kvm_hyperv_eventfd(hv->vm->fd, &e);
}

static int kernel_unbind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	const struct kvm_hyperv_eventfd e = { .conn_id = connection_id,
					      .fd = fd,
					      .flags = KVM_HYPERV_EVENTFD_DEASSIGN };

	return kvm_hyperv_eventfd(hv->vm->fd, &e);
}

static void kernel_fill_hypercall_page(u8 page[static HV_PAGE_SIZE])
{
	hypercall_page_fill_kernel(page, hypercall_page_host_has_vmmcall());
}

/*
 * What KVM acts on as well. As our writes, they are not checked again, clear no page and do not
 * exit.
 */
static const struct backend_msrs passed_on[] = {
	{ HV_MSR_GUEST_OS_ID, 1 },
	{ HV_MSR_REFERENCE_TSC, 1 },
	{ HV_MSR_VP_ASSIST_PAGE, 1 },
	{ HV_MSR_SCONTROL, 1 },
	{ HV_MSR_SIEFP, HV_MSR_EOM - HV_MSR_SIEFP + 1 },
	{ HV_MSR_SINT0, HV_SINTS },
};

static bool msr_among(const struct backend_msrs *rows, size_t count, u32 msr)
{
	for (size_t i = 0; i < count; i++) {
		if (msr - rows[i].first < rows[i].count)
			return true;
	}
	return false;
}

static bool kernel_keeps_msr(const struct hyperv *hv, u32 msr)
{
	(void)hv;
	return !msr_among(shared_msrs, ARRAY_SIZE(shared_msrs), msr);
}

static void kernel_pass_on(struct hyperv_vp *vp, u32 msr, u64 value)
{
	if (msr_among(passed_on, ARRAY_SIZE(passed_on), msr))
		vcpu_set_msr(vp->vcpu, msr, value);
}

static void kernel_hyperv_exit(struct hyperv_vp *vp, struct kvm_hyperv_exit *exit)
{
	u64 control;

	switch (exit->type) {
	case KVM_EXIT_HYPERV_HCALL:
		control = exit->u.hcall.input;
		if ((control & HV_CONTROL_CODE) == HV_CALL_SIGNAL_EVENT)
			control |= HV_CONTROL_FAST;
		exit->u.hcall.result = hypercall_run(vp, control, exit->u.hcall.params[0],
						     exit->u.hcall.params[1]);
		break;
	default:
		break;
	}
}

const struct hyperv_backend backend_kernel = {
	.name = "kernel",
	.id = HYPERV_KERNEL,
	.init = kernel_init,
	.vp_init = kernel_vp_init,
	.bind_sint = kernel_bind_sint,
	.change_sint = kernel_change_sint,
	.bind_event = kernel_bind_event,
	.unbind_event = kernel_unbind_event,
	.fill_hypercall_page = kernel_fill_hypercall_page,
	.keeps_msr = kernel_keeps_msr,
	.out32 = hypercall_page_out,
	.attention = synic_let_post,
	.pass_on = kernel_pass_on,
	.hyperv_exit = kernel_hyperv_exit,
	.read_state = state_kernel_read,
	.write_state = state_kernel_write,
};
