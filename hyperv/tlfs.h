/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guest and hypervisor agree on, as laid down in Microsoft's Hypervisor Top Level Functional
 * Specification (TLFS, v6.0b; "TLFS: name" below is the section). Only what candela serves, or
 * knowingly does not, is here. Self-contained: candela and bare-metal guests both include it.
 */
#ifndef HYPERV_TLFS_H
#define HYPERV_TLFS_H

#include <stddef.h>
#include <stdint.h>

#define HV_PAGE_SIZE 4096u

/* ---- CPUID. TLFS: Feature and Interface Discovery ------------------------------------------- */

#define HV_CPUID_VENDOR 0x40000000u /* EAX: last leaf; EBX, ECX, EDX: "Microsoft Hv" */
#define HV_CPUID_INTERFACE 0x40000001u /* EAX: "Hv#1" */
#define HV_CPUID_VERSION 0x40000002u
#define HV_CPUID_FEATURES 0x40000003u
#define HV_CPUID_HINTS 0x40000004u
#define HV_CPUID_LIMITS 0x40000005u
#define HV_CPUID_HARDWARE 0x40000006u
#define HV_CPUID_NESTED 0x4000000au
#define HV_CPUID_LAST HV_CPUID_NESTED
/* The virtualization stack's own leaves, there with synthetic debugging only. */
#define HV_CPUID_STACK_VENDOR 0x40000080u
#define HV_CPUID_STACK_INTERFACE 0x40000081u
#define HV_CPUID_STACK_PROPERTIES 0x40000082u

#define HV_VENDOR "Microsoft Hv"
#define HV_INTERFACE 0x31237648u /* "Hv#1" */
#define HV_STACK_INTERFACE 0x31235356u /* "VS#1" */
#define HV_STACK_DEBUG_DEVICE (1u << 1) /* HV_CPUID_STACK_PROPERTIES EAX */

/* HV_CPUID_FEATURES EAX and EBX: the partition's privilege mask (HV_PARTITION_PRIVILEGE_MASK). */
#define HV_ACCESS_VP_RUNTIME (1u << 0)
#define HV_ACCESS_TIME_REF_COUNT (1u << 1)
#define HV_ACCESS_SYNIC (1u << 2)
#define HV_ACCESS_STIMERS (1u << 3)
#define HV_ACCESS_APIC_MSRS (1u << 4)
#define HV_ACCESS_HYPERCALL_MSRS (1u << 5)
#define HV_ACCESS_VP_INDEX (1u << 6)
#define HV_ACCESS_RESET (1u << 7)
#define HV_ACCESS_REFERENCE_TSC (1u << 9)
#define HV_ACCESS_GUEST_IDLE (1u << 10)
#define HV_ACCESS_FREQUENCIES (1u << 11)
#define HV_ACCESS_DEBUG_MSRS (1u << 12)
#define HV_ACCESS_REENLIGHTENMENT (1u << 13)
#define HV_ACCESS_TSC_INVARIANT (1u << 15)
#define HV_POST_MESSAGES (1u << 4) /* EBX */
#define HV_SIGNAL_EVENTS (1u << 5) /* EBX */
#define HV_ACCESS_VP_REGISTERS (1u << 17) /* EBX */
#define HV_EXTENDED_HYPERCALLS (1u << 20) /* EBX */

/* HV_CPUID_FEATURES EDX. */
#define HV_FEATURE_DEBUGGING (1u << 1)
#define HV_FEATURE_XMM_INPUT (1u << 4)
#define HV_FEATURE_GUEST_IDLE (1u << 5)
#define HV_FEATURE_FREQUENCY_MSRS (1u << 8)
#define HV_FEATURE_CRASH_MSRS (1u << 10)
#define HV_FEATURE_DEBUG_MSRS (1u << 11)
#define HV_FEATURE_EXTENDED_GVA_RANGES (1u << 14)
#define HV_FEATURE_DIRECT_STIMERS (1u << 19)

/* HV_CPUID_HINTS EAX. EBX: spin-lock retries before HvCallNotifyLongSpinWait. */
#define HV_HINT_REMOTE_TLB_FLUSH (1u << 2)
#define HV_HINT_APIC_MSRS (1u << 3)
#define HV_HINT_RELAXED_TIMING (1u << 5)
#define HV_HINT_NO_AUTO_EOI (1u << 9)
#define HV_HINT_CLUSTER_IPI (1u << 10)
#define HV_HINT_EX_PROCESSOR_MASKS (1u << 11)
#define HV_HINT_ENLIGHTENED_VMCS (1u << 14)
#define HV_HINT_NO_CORE_SHARING (1u << 18)
#define HV_SPIN_RETRIES 0xfffu
#define HV_SPIN_NEVER_NOTIFY 0xffffffffu
/* HV_CPUID_HINTS ECX 6:0: bits of a physical address. */

/* HV_CPUID_NESTED EAX. 15:0 is the range of enlightened VMCS versions. */
#define HV_NESTED_VMCS_VERSIONS 0xffffu
#define HV_NESTED_DIRECT_FLUSH (1u << 17)
#define HV_NESTED_MSR_BITMAP (1u << 19)

/* ---- Synthetic MSRs. TLFS: appendix "Hypervisor Synthetic MSRs" ------------------------------- */

#define HV_MSR_FIRST 0x40000000u
#define HV_MSR_COUNT 0x200u

#define HV_MSR_GUEST_OS_ID 0x40000000u
#define HV_MSR_HYPERCALL 0x40000001u
#define HV_MSR_VP_INDEX 0x40000002u
#define HV_MSR_RESET 0x40000003u
#define HV_MSR_VP_RUNTIME 0x40000010u
#define HV_MSR_TIME_REF_COUNT 0x40000020u
#define HV_MSR_REFERENCE_TSC 0x40000021u
#define HV_MSR_TSC_FREQUENCY 0x40000022u
#define HV_MSR_APIC_FREQUENCY 0x40000023u
#define HV_MSR_EOI 0x40000070u
#define HV_MSR_ICR 0x40000071u
#define HV_MSR_TPR 0x40000072u
#define HV_MSR_VP_ASSIST_PAGE 0x40000073u
#define HV_MSR_SCONTROL 0x40000080u
#define HV_MSR_SVERSION 0x40000081u
#define HV_MSR_SIEFP 0x40000082u
#define HV_MSR_SIMP 0x40000083u
#define HV_MSR_EOM 0x40000084u
#define HV_MSR_SINT0 0x40000090u
#define HV_MSR_SINT15 0x4000009fu
#define HV_MSR_STIMER0_CONFIG 0x400000b0u
#define HV_MSR_STIMER3_COUNT 0x400000b7u
#define HV_MSR_SYNDBG_CONTROL 0x400000f1u
#define HV_MSR_SYNDBG_STATUS 0x400000f2u
#define HV_MSR_SYNDBG_SEND_BUFFER 0x400000f3u
#define HV_MSR_SYNDBG_RECV_BUFFER 0x400000f4u
#define HV_MSR_SYNDBG_PENDING_BUFFER 0x400000f5u
#define HV_MSR_SYNDBG_OPTIONS 0x400000ffu
#define HV_MSR_GUEST_IDLE 0x400000f0u
#define HV_MSR_CRASH_P0 0x40000100u
#define HV_MSR_CRASH_P4 0x40000104u
#define HV_MSR_CRASH_CTL 0x40000105u
#define HV_MSR_TSC_INVARIANT_CONTROL 0x40000118u

/* HYPERCALL, REFERENCE_TSC, VP_ASSIST_PAGE, SIEFP, SIMP: bit 0 enables, 63:12 is the page. */
#define HV_MSR_PAGE_ENABLE 0x1ull
#define HV_MSR_PAGE_GPA 0xfffffffffffff000ull
#define HV_HYPERCALL_LOCKED 0x2ull
#define HV_RESET_NOW 0x1ull

#define HV_SCONTROL_ENABLE 0x1ull
#define HV_SYNIC_VERSION 1u
#define HV_SINT_VECTOR 0xffull
#define HV_SINT_MASKED (1ull << 16)
#define HV_SINT_AUTO_EOI (1ull << 17)
#define HV_SINT_VECTOR_MIN 16u /* below are the processor's exceptions */

/* CRASH_CTL. TLFS: Guest Crash Enlightenment. P3 and P4 are address and length of the message. */
#define HV_CRASH_NOTIFY (1ull << 63)
#define HV_CRASH_NOTIFY_MSG (1ull << 62)
#define HV_CRASH_PARAMS 5u

/* ---- Hypercalls. TLFS: Hypercall Interface ---------------------------------------------------- */

#define HV_CALL_NOTIFY_LONG_SPIN_WAIT 0x0008u
#define HV_CALL_POST_MESSAGE 0x005cu
#define HV_CALL_SIGNAL_EVENT 0x005du

/* The hypercall input value: 15:0 call code, 16 fast, 26:17 variable header size, ... */
#define HV_CONTROL_CODE 0xffffull
#define HV_CONTROL_FAST (1ull << 16)
#define HV_CONTROL_VARHEAD (0x3ffull << 17)
#define HV_CONTROL_REP_COUNT (0xfffull << 32)
#define HV_CONTROL_REP_START (0xfffull << 48)
/* 30:27, 47:44 and 63:60 must be zero; 31 (nested) is for nested hypervisors, which we hide. */
#define HV_CONTROL_RESERVED 0xf000f000f8000000ull

#define HV_STATUS_SUCCESS 0x0000u
#define HV_STATUS_INVALID_HYPERCALL_CODE 0x0002u
#define HV_STATUS_INVALID_HYPERCALL_INPUT 0x0003u
#define HV_STATUS_INVALID_ALIGNMENT 0x0004u
#define HV_STATUS_INVALID_PARAMETER 0x0005u
#define HV_STATUS_INVALID_CONNECTION_ID 0x0012u
#define HV_STATUS_INSUFFICIENT_BUFFERS 0x0013u

#define HV_CONNECTION_ID_MASK 0xffffffu /* 24 bits; the rest must be zero */
#define HV_MESSAGE_PAYLOAD_MAX 240u

/* TLFS: HvCallPostMessage. */
struct hv_post_message {
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t message_type; /* bit 31 is the hypervisor's own */
	uint32_t payload_size;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
_Static_assert(sizeof(struct hv_post_message) == 256, "HvCallPostMessage input");
_Static_assert(offsetof(struct hv_post_message, payload) == 16, "HvCallPostMessage input");

/* TLFS: HvCallSignalEvent. The same eight bytes are RDX in the fast form. */
struct hv_signal_event {
	uint32_t connection_id;
	uint16_t flag_number;
	uint16_t reserved;
};
_Static_assert(sizeof(struct hv_signal_event) == 8, "HvCallSignalEvent input");

#define HV_MESSAGE_TYPE_HYPERVISOR 0x80000000u

/* ---- SynIC pages. TLFS: Virtual Interrupt Control, Inter-Partition Communication -------------- */

#define HV_SINTS 16u
#define HV_STIMERS 4u
#define HV_EVENT_FLAGS 2048u

#define HV_MESSAGE_NONE 0u
#define HV_MESSAGE_PENDING 0x1u

/* TLFS: HV_MESSAGE. */
struct hv_message {
	uint32_t type;
	uint8_t payload_size;
	uint8_t flags;
	uint16_t reserved;
	uint64_t sender; /* the port's id, or the partition's */
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
_Static_assert(sizeof(struct hv_message) == 256, "HV_MESSAGE");
_Static_assert(offsetof(struct hv_message, flags) == 5, "HV_MESSAGE");
_Static_assert(offsetof(struct hv_message, sender) == 8, "HV_MESSAGE");

/* TLFS: SIM page, one slot a SINT. */
struct hv_message_page {
	struct hv_message slot[HV_SINTS];
};
_Static_assert(sizeof(struct hv_message_page) == HV_PAGE_SIZE, "SIM page");

/* TLFS: SIEF page, HV_EVENT_FLAGS bits a SINT. */
struct hv_event_page {
	uint32_t flags[HV_SINTS][HV_EVENT_FLAGS / 32];
};
_Static_assert(sizeof(struct hv_event_page) == HV_PAGE_SIZE, "SIEF page");

/* ---- Time. TLFS: Timers ---------------------------------------------------------------------- */

#define HV_TIME_HZ 10000000u /* reference time is counted in 100 ns */

/* TLFS: HV_REFERENCE_TSC_PAGE. time = (tsc * scale >> 64) + offset, unless sequence is 0. */
struct hv_reference_tsc {
	uint32_t sequence;
	uint32_t reserved;
	uint64_t scale;
	int64_t offset;
};
_Static_assert(sizeof(struct hv_reference_tsc) == 24, "HV_REFERENCE_TSC_PAGE");

#endif
