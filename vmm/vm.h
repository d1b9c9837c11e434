/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine without Hyper-V: one KVM VM, its RAM, its vCPU threads, its interrupt and I/O
 * tables. This is the folder's book; the parts have headers of their own (memory.h, io.h, irq.h,
 * cpuid.h, kvm.h, vcpu.h, boot.h, acpi.h).
 *
 * Life of a VM, all on the main thread: vm_init, then wiring (io_add, irq_*, vm->hooks, cpuid),
 * boot, vcpu_init for each VP in order, vm_start, ... vm_stop, vm_fini.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdatomic.h>

#include "base/types.h"
#include "vmm/io.h"
#include "vmm/irq.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

struct vcpu;
struct kvm_hyperv_exit;

/* Why the guest ended. */
enum vm_end {
	VM_END_POWEROFF,
	VM_END_REBOOT,
	VM_END_TRIPLE_FAULT,
	VM_END_PANIC, /* through the crash MSRs */
	VM_END_DEBUG_EXIT, /* value: what was written */
	VM_END_INTERNAL, /* KVM gave up; value: the KVM exit reason or errno */
};

/*
 * What the layers above take over from the VM. Set before vm_start(), all called on vCPU threads
 * unless said otherwise.
 */
struct vm_hooks {
	/* hyperv/'s, with hyperv_ctx as the first argument. */
	void *hyperv_ctx;
	/*
	 * An MSR the filter sends to user space. True: done (for reads *value is set); false: #GP.
	 */
	bool (*rdmsr)(void *ctx, struct vcpu *vcpu, u32 msr, u64 *value);
	bool (*wrmsr)(void *ctx, struct vcpu *vcpu, u32 msr, u64 value);
	/* KVM_EXIT_HYPERV; results are written into *exit. */
	void (*hyperv)(void *ctx, struct vcpu *vcpu, struct kvm_hyperv_exit *exit);
	/*
	 * A single 4-byte OUT, before the I/O table is asked. It may change the vCPU's general
	 * registers but RIP. True: it is done.
	 */
	bool (*out32)(void *ctx, struct vcpu *vcpu, u16 port, u32 value);
	/* Somebody asked for this vCPU (vcpu_attend()), or its alarm went off. */
	void (*attention)(void *ctx, struct vcpu *vcpu);

	/* The program's, with ctx as the first argument. */
	void *ctx;
	/* Once on each vCPU thread before its first KVM_RUN: arms the sandbox. 0 or -errno. */
	int (*thread_start)(void *ctx, struct vcpu *vcpu);
	/* The guest ended. Called once, for the first reason only, on whichever thread found it. */
	void (*end)(void *ctx, enum vm_end why, u64 value);
};

struct vm {
	int kvm_fd;
	int fd;
	size_t run_size; /* of a vCPU's shared kvm_run */
	struct gmem mem;
	struct irq_table irq;
	struct io_table io;
	struct vm_hooks hooks;
	struct vcpu *vcpu; /* cpu_count of them, index = VP index = APIC id */
	unsigned cpu_count;
	_Atomic bool ended;
};

/*
 * Opens /dev/kvm, creates the VM with its irqchip and RAM. cpus 1 to LAYOUT_CPUS_MAX, ram a page
 * multiple from LAYOUT_RAM_MIN to LAYOUT_RAM_MAX. 0, or -errno with a sentence for the user in
 * error (what failed, what to do).
 */
int vm_init(struct vm *vm, unsigned cpus, u64 ram_bytes, char *error, size_t error_size);

/* After vm_stop(), or without vm_start(). A zeroed VM is fine. */
void vm_fini(struct vm *vm);

/* Starts every vCPU thread; all but VP 0 wait for INIT/SIPI in the kernel. 0 or -errno. */
int vm_start(struct vm *vm);

/* Stops and joins every vCPU thread; none runs guest code when it returns. Main thread. */
void vm_stop(struct vm *vm);

/* Reports the guest's end through hooks.end, once; later calls do nothing. Any thread. */
void vm_report_end(struct vm *vm, enum vm_end why, u64 value);

#endif
