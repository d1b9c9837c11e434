/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Hyper-V interface of one machine, as the Top Level Functional Specification (TLFS) lays it
 * down: CPUID leaves, synthetic MSRs, hypercalls, the SynIC, ports and time. This is the folder's
 * book for the layers above; the parts have headers of their own.
 *
 * What an MSR means, what a hypercall returns and what CPUID says is shared code. Who executes it
 * is the back end's affair (backend.h): `kernel` leaves it to KVM's own Hyper-V emulation, `user`
 * does all of it here, on any KVM. Guests cannot tell them apart but by speed.
 *
 * Life, all on the main thread: hyperv_init (after vm_init, before any vcpu_init: it installs
 * vm->hooks and io ranges), hyperv_cpuid for each VP's table, vcpu_init, hyperv_vp_init in VP
 * order, ports_* wiring, vm_start ... vm_stop, hyperv_fini.
 */
#ifndef HYPERV_HYPERV_H
#define HYPERV_HYPERV_H

#include "base/types.h"
#include "vmm/cpuid.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

enum hyperv_choice { HYPERV_AUTO, HYPERV_KERNEL, HYPERV_USER };

/* What a guest wrote to the crash MSRs before it gave up (TLFS: Guest Crash Enlightenment). */
#define HYPERV_CRASH_MESSAGE_MAX 4096
struct hyperv_crash {
	bool valid;
	u32 vp_index; /* who reported: it stands where it did */
	u64 param[5];
	char message[HYPERV_CRASH_MESSAGE_MAX]; /* printable text, "" without one */
};

struct hyperv;

/* VPs by index. */
struct vp_set {
	u64 bank[(LAYOUT_CPUS_MAX + 63) / 64];
};

/*
 * Features by name that are not to be as the policy has them: a bit a name. What one switched on
 * needs is switched on with it; what needs one switched off is not offered. Zeroed: none.
 */
struct hyperv_switches {
	u64 on, off;
};

/*
 * Adds a comma-separated list of feature names to s: NAME or NAME=on switches it on, NAME=off off;
 * a leading "hv-" is allowed. 0, or -EINVAL with one line that names what is wrong, and all names
 * there are, in error.
 */
int hyperv_switches_parse(struct hyperv_switches *s, const char *list, char *error,
			  size_t error_size);

struct hyperv_config {
	enum hyperv_choice choice;
	struct hyperv_switches switches;
	bool nested; /* VMX or SVM are the guest's */
};

/*
 * Creates the interface on vm with the back end chosen (HYPERV_AUTO: kernel where it is complete,
 * else user). 0 and *hv, or -errno with a sentence for the user in error: -EINVAL for what the user
 * must mend, such as a feature switched on that the back end cannot give.
 */
int hyperv_init(struct hyperv **hv, struct vm *vm, const struct hyperv_config *config, char *error,
		size_t error_size);
void hyperv_fini(struct hyperv *hv);

/* "kernel" or "user". */
const char *hyperv_backend_name(const struct hyperv *hv);

/*
 * The name of a feature that the VMBus needs and this guest is not offered, since the user switched
 * it off; NULL: it has all.
 */
const char *hyperv_vmbus_lacks(const struct hyperv *hv);

/*
 * Adds the Hyper-V leaves to a VP's table (after cpuid_for_vp()), and takes the invariant TSC out
 * of it where it was switched off. 0 or -ENOSPC.
 */
int hyperv_cpuid(struct hyperv *hv, struct cpuid *t);

/* Prepares one VP after its vcpu_init(). 0 or -errno. */
int hyperv_vp_init(struct hyperv *hv, struct vcpu *vcpu);

/* HvCallRetargetDeviceInterrupt: where an MSI of a virtual PCI device is to go. */
struct hyperv_retarget {
	u64 device_id;
	u32 msi_address, msi_data; /* which of its interrupts, as the device was given it */
	u8 vector;
	bool multicast; /* to all of `targets`, not one of them */
	struct vp_set targets;
};

/*
 * Called on the vCPU thread with checked, private arguments. Must not block. Returns an HV_STATUS:
 * HV_STATUS_INVALID_DEVICE_ID where there is no such device.
 */
typedef u16 (*hyperv_retarget_fn)(void *ctx, const struct hyperv_retarget *r);

/* Who carries it out; before vm_start(). Without one there is no device to name. Main thread. */
void hyperv_on_retarget(struct hyperv *hv, hyperv_retarget_fn retarget, void *ctx);

/* The last crash report; of use after hooks.end with VM_END_PANIC and vm_stop(). */
const struct hyperv_crash *hyperv_crash_report(const struct hyperv *hv);

/*
 * What this host's KVM would give each back end, for `candela doctor`. Every row has a name,
 * whether the host has it, which back end needs it and whether that need is hard. Ends with a NULL
 * name.
 */
struct hyperv_need {
	const char *name; /* e.g. "KVM_CAP_HYPERV_SYNIC2" */
	const char *what; /* what it gives, a few words */
	bool present;
	bool for_kernel, for_user; /* required by that back end */
};

/* Fills row[0..max), returns how many; kvm_fd is an open /dev/kvm. */
unsigned hyperv_needs(int kvm_fd, struct hyperv_need *row, unsigned max);

/* The features that `--hyperv-features` knows, and what the back ends make of them on this host. */
enum hyperv_offer {
	HYPERV_NOT_GIVEN, /* the back end cannot */
	HYPERV_ON_REQUEST, /* off unless switched on */
	HYPERV_BY_DEFAULT, /* on unless switched off */
};

#define HYPERV_FEATURES_MAX 64

struct hyperv_feature {
	const char *name;
	const char *reason; /* of the defaults, or what it is, a few words */
	enum hyperv_offer kernel, user;
};

/*
 * Fills row[0..max), returns how many; kvm_fd is an open /dev/kvm. Nested virtualization's features
 * are told as with --nested.
 */
unsigned hyperv_features(int kvm_fd, struct hyperv_feature *row, unsigned max);

/*
 * The back end HYPERV_AUTO would take on this host, or HYPERV_AUTO itself where neither can work.
 */
enum hyperv_choice hyperv_best(int kvm_fd);

#endif
