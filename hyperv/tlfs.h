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
#define HV_STACK_VENDOR "Microsoft VS"
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

/* ---- Synthetic MSRs. TLFS: appendix "Hypervisor Synthetic MSRs" ------------------------------ */

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
#define HV_MSR_STIMER0_COUNT 0x400000b1u
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
#define HV_MSR_REENLIGHTENMENT_CONTROL 0x40000106u
#define HV_MSR_TSC_EMULATION_CONTROL 0x40000107u
#define HV_MSR_TSC_EMULATION_STATUS 0x40000108u
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
#define HV_SINT_POLLING (1ull << 18) /* messages, but no interrupt */
#define HV_SINT_VECTOR_MIN 16u /* below are the processor's exceptions */

/*
 * STIMERn_CONFIG; bits 15:13 and 63:20 must be zero. TLFS: Timers, "Synthetic Timer Configuration".
 */
#define HV_STIMER_ENABLE (1ull << 0)
#define HV_STIMER_PERIODIC (1ull << 1)
#define HV_STIMER_LAZY (1ull << 2)
#define HV_STIMER_AUTO_ENABLE (1ull << 3)
#define HV_STIMER_VECTOR_SHIFT 4 /* 8 bits, of direct mode */
#define HV_STIMER_DIRECT (1ull << 12)
#define HV_STIMER_SINT_SHIFT 16 /* 4 bits */
#define HV_STIMER_RESERVED 0xfffffffffff0e000ull

/* CRASH_CTL. TLFS: Guest Crash Enlightenment. P3 and P4 are address and length of the message. */
#define HV_CRASH_NOTIFY (1ull << 63)
#define HV_CRASH_NOTIFY_MSG (1ull << 62)
#define HV_CRASH_PARAMS 5u

/* ---- Hypercalls. TLFS: Hypercall Interface --------------------------------------------------- */

#define HV_CALL_FLUSH_SPACE 0x0002u /* HvCallFlushVirtualAddressSpace */
#define HV_CALL_FLUSH_LIST 0x0003u /* HvCallFlushVirtualAddressList */
#define HV_CALL_NOTIFY_LONG_SPIN_WAIT 0x0008u
#define HV_CALL_SEND_IPI 0x000bu /* HvCallSendSyntheticClusterIpi */
#define HV_CALL_FLUSH_SPACE_EX 0x0013u
#define HV_CALL_FLUSH_LIST_EX 0x0014u
#define HV_CALL_SEND_IPI_EX 0x0015u
#define HV_CALL_GET_VP_REGISTERS 0x0050u
#define HV_CALL_SET_VP_REGISTERS 0x0051u
#define HV_CALL_POST_MESSAGE 0x005cu
#define HV_CALL_SIGNAL_EVENT 0x005du
#define HV_CALL_RETARGET_DEVICE_INTERRUPT 0x007eu
#define HV_CALL_EXT_QUERY_CAPABILITIES 0x8001u

/* The hypercall input value: 15:0 call code, 16 fast, 26:17 variable header size, ... */
#define HV_CONTROL_CODE 0xffffull
#define HV_CONTROL_FAST (1ull << 16)
#define HV_CONTROL_VARHEAD (0x3ffull << 17) /* in 8 bytes */
#define HV_CONTROL_VARHEAD_SHIFT 17
#define HV_CONTROL_REP_COUNT (0xfffull << 32)
#define HV_CONTROL_REP_COUNT_SHIFT 32
#define HV_CONTROL_REP_START (0xfffull << 48)
#define HV_CONTROL_REP_START_SHIFT 48
/* 30:27, 47:44 and 63:60 must be zero; 31 (nested) is for nested hypervisors, which we hide. */
#define HV_CONTROL_RESERVED 0xf000f000f8000000ull

/* The hypercall result value: 15:0 status, 43:32 reps completed. */
#define HV_RESULT_REPS_SHIFT 32

/* Fast input: two general registers, then XMM0 to XMM5. */
#define HV_FAST_REGISTERS_SIZE 16u
#define HV_FAST_XMM_SIZE 96u

#define HV_STATUS_SUCCESS 0x0000u
#define HV_STATUS_INVALID_HYPERCALL_CODE 0x0002u
#define HV_STATUS_INVALID_HYPERCALL_INPUT 0x0003u
#define HV_STATUS_INVALID_ALIGNMENT 0x0004u
#define HV_STATUS_INVALID_PARAMETER 0x0005u
#define HV_STATUS_ACCESS_DENIED 0x0006u
#define HV_STATUS_INVALID_PARTITION_ID 0x000du
#define HV_STATUS_INVALID_VP_INDEX 0x000eu
#define HV_STATUS_INVALID_CONNECTION_ID 0x0012u
#define HV_STATUS_INSUFFICIENT_BUFFERS 0x0013u
#define HV_STATUS_INVALID_VP_STATE 0x0015u
#define HV_STATUS_INVALID_DEVICE_ID 0x0057u

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

#define HV_PARTITION_ID_SELF 0xffffffffffffffffull
#define HV_VP_INDEX_SELF 0xfffffffeu

/*
 * TLFS: HV_VP_SET. The banks, 64 VPs each, follow as variable header, one per bit of valid_banks.
 */
#define HV_VP_SET_SPARSE_4K 0u
#define HV_VP_SET_ALL 1u
struct hv_vp_set {
	uint64_t format;
	uint64_t valid_banks;
};
_Static_assert(sizeof(struct hv_vp_set) == 16, "HV_VP_SET");

/* TLFS: HvCallFlushVirtualAddressSpace and -List; a list's elements are 8 bytes each. */
#define HV_FLUSH_ALL_PROCESSORS 0x1ull
struct hv_flush {
	uint64_t address_space; /* CR3 */
	uint64_t flags;
	uint64_t processor_mask;
};
_Static_assert(sizeof(struct hv_flush) == 24, "HvCallFlushVirtualAddressSpace input");

/* TLFS: HvCallFlushVirtualAddressSpaceEx and -ListEx. */
struct hv_flush_ex {
	uint64_t address_space;
	uint64_t flags;
	struct hv_vp_set set;
};
_Static_assert(sizeof(struct hv_flush_ex) == 32, "HvCallFlushVirtualAddressSpaceEx input");

/* TLFS: HvCallSendSyntheticClusterIpi, HvCallSendSyntheticClusterIpiEx. */
#define HV_IPI_VECTOR_MIN 0x10u
#define HV_IPI_VECTOR_MAX 0xffu
struct hv_send_ipi {
	uint32_t vector;
	uint32_t reserved; /* 7:0 the target VTL */
	uint64_t processor_mask;
};
_Static_assert(sizeof(struct hv_send_ipi) == 16, "HvCallSendSyntheticClusterIpi input");

struct hv_send_ipi_ex {
	uint32_t vector;
	uint32_t reserved;
	struct hv_vp_set set;
};
_Static_assert(sizeof(struct hv_send_ipi_ex) == 24, "HvCallSendSyntheticClusterIpiEx input");

/* TLFS: HvCallGetVpRegisters, HvCallSetVpRegisters. Get's elements are names, 4 bytes each. */
#define HV_INPUT_VTL_USE 0x10u /* 3:0 are the VTL */
struct hv_vp_registers {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t target_vtl;
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_vp_registers) == 16, "HvCallGetVpRegisters input");

struct hv_register_value {
	uint64_t low, high;
};

struct hv_register_assoc {
	uint32_t name;
	uint32_t reserved[3];
	struct hv_register_value value;
};
_Static_assert(sizeof(struct hv_register_assoc) == 32, "HV_REGISTER_ASSOC");

/* TLFS: HV_REGISTER_NAME. */
#define HV_REGISTER_VERSION 0x00000100u
#define HV_REGISTER_PRIVILEGES 0x00000200u
#define HV_REGISTER_FEATURES 0x00000201u
#define HV_REGISTER_LIMITS 0x00000202u
#define HV_REGISTER_HARDWARE 0x00000203u
#define HV_REGISTER_CRASH_P0 0x00000210u
#define HV_REGISTER_CRASH_CTL 0x00000215u
#define HV_REGISTER_RAX 0x00020000u
#define HV_REGISTER_R15 0x0002000fu
#define HV_REGISTER_RIP 0x00020010u
#define HV_REGISTER_RFLAGS 0x00020011u
#define HV_REGISTER_VP_RUNTIME 0x00090000u
#define HV_REGISTER_HYPERCALL 0x00090001u
#define HV_REGISTER_GUEST_OS_ID 0x00090002u
#define HV_REGISTER_VP_INDEX 0x00090003u
#define HV_REGISTER_TIME_REF_COUNT 0x00090004u
#define HV_REGISTER_VP_ASSIST_PAGE 0x00090013u
#define HV_REGISTER_REFERENCE_TSC 0x00090017u
#define HV_REGISTER_SINT0 0x000a0000u
#define HV_REGISTER_SINT15 0x000a000fu
#define HV_REGISTER_SCONTROL 0x000a0010u
#define HV_REGISTER_SVERSION 0x000a0011u
#define HV_REGISTER_SIEFP 0x000a0012u
#define HV_REGISTER_SIMP 0x000a0013u
#define HV_REGISTER_EOM 0x000a0014u
#define HV_REGISTER_STIMER0_CONFIG 0x000b0000u
#define HV_REGISTER_STIMER3_COUNT 0x000b0007u

/*
 * TLFS: HvCallRetargetDeviceInterrupt. With HV_TARGET_VP_SET the mask is a VP set's format, and its
 * valid banks and banks follow as variable header.
 */
#define HV_INTERRUPT_SOURCE_MSI 1u
#define HV_TARGET_MULTICAST 0x1u
#define HV_TARGET_VP_SET 0x2u
struct hv_retarget_device_interrupt {
	uint64_t partition_id;
	uint64_t device_id;
	uint32_t source;
	uint32_t source_reserved;
	uint32_t msi_address;
	uint32_t msi_data;
	uint64_t reserved;
	uint32_t vector;
	uint32_t target_flags;
	uint64_t mask_or_format;
};
_Static_assert(sizeof(struct hv_retarget_device_interrupt) == 56,
	       "HvCallRetargetDeviceInterrupt input");

#define HV_MESSAGE_TYPE_HYPERVISOR 0x80000000u

#define HV_MESSAGE_TIMER_EXPIRED 0x80000010u

/* TLFS: HV_TIMER_MESSAGE_PAYLOAD. Times are reference time. */
struct hv_timer_message {
	uint32_t timer_index;
	uint32_t reserved;
	uint64_t expiration_time; /* when it was due */
	uint64_t delivery_time;
};
_Static_assert(sizeof(struct hv_timer_message) == 24, "HV_TIMER_MESSAGE_PAYLOAD");

/* ---- SynIC pages. TLFS: Virtual Interrupt Control, Inter-Partition Communication ------------- */

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
