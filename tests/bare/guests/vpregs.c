/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HvCallGetVpRegisters and HvCallSetVpRegisters: a rep call with output, with a start index, and
 * broken off in the middle; registers against their MSRs and CPUID leaves; whose they are.
 */
#include "tests/bare/bare.h"

#define VPS 2
#define REPS(n) ((uint64_t)(n) << HV_CONTROL_REP_COUNT_SHIFT)
#define START(n) ((uint64_t)(n) << HV_CONTROL_REP_START_SHIFT)
#define DONE(n) ((uint64_t)(n) << HV_RESULT_REPS_SHIFT)
#define UNTOUCHED 0xabababababababab

static struct {
	struct hv_vp_registers head;
	uint32_t name[8];
} get[VPS] __attribute__((aligned(64)));
static struct {
	struct hv_vp_registers head;
	struct hv_register_assoc assoc[2];
} set __attribute__((aligned(128)));
static struct hv_register_value value[VPS][8] __attribute__((aligned(128)));

static const struct hv_vp_registers self = { .partition_id = HV_PARTITION_ID_SELF,
					     .vp_index = HV_VP_INDEX_SELF };

static uint64_t get_call(uint64_t control)
{
	unsigned vp = bare_vp_index();

	for (unsigned i = 0; i < 8; i++)
		value[vp][i] = (struct hv_register_value){ UNTOUCHED, UNTOUCHED };
	return bare_hypercall(HV_CALL_GET_VP_REGISTERS | control, (uint64_t)&get[vp],
			      (uint64_t)value[vp]);
}

static struct hv_register_value read_register(uint32_t name)
{
	unsigned vp = bare_vp_index();

	get[vp].head = self;
	get[vp].name[0] = name;
	CHECK_EQUAL(get_call(REPS(1)), DONE(1));
	return value[vp][0];
}

static uint64_t set_call(uint32_t name, uint64_t low)
{
	set.head = self;
	set.assoc[0] = (struct hv_register_assoc){ .name = name, .value = { low, 0 } };
	return bare_hypercall(HV_CALL_SET_VP_REGISTERS | REPS(1), (uint64_t)&set, 0);
}

static void check_leaves(void)
{
	static const uint32_t pairs[][2] = {
		{ HV_REGISTER_VERSION, HV_CPUID_VERSION },
		{ HV_REGISTER_PRIVILEGES, HV_CPUID_FEATURES },
		{ HV_REGISTER_FEATURES, HV_CPUID_HINTS },
		{ HV_REGISTER_LIMITS, HV_CPUID_LIMITS },
		{ HV_REGISTER_HARDWARE, HV_CPUID_HARDWARE },
	};

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct cpuid_regs c = bare_cpuid(pairs[i][1]);
		struct hv_register_value v = read_register(pairs[i][0]);

		CHECK_EQUAL(v.low, (uint64_t)c.ebx << 32 | c.eax);
		CHECK_EQUAL(v.high, (uint64_t)c.edx << 32 | c.ecx);
	}
}

static void check_own(uint64_t vp)
{
	uint64_t before = bare_time(), rip;

	CHECK_EQUAL(read_register(HV_REGISTER_VP_INDEX).low, vp);
	CHECK_EQUAL(read_register(HV_REGISTER_GUEST_OS_ID).low, BARE_OS_ID);
	CHECK_EQUAL(read_register(HV_REGISTER_HYPERCALL).low, bare_rdmsr(HV_MSR_HYPERCALL));
	CHECK_EQUAL(read_register(HV_REGISTER_SVERSION).low, HV_SYNIC_VERSION);
	CHECK_EQUAL(read_register(HV_REGISTER_SINT0 + 9).low, HV_SINT_MASKED);
	CHECK(read_register(HV_REGISTER_TIME_REF_COUNT).low >= before);
	CHECK(read_register(HV_REGISTER_TIME_REF_COUNT).low <= bare_time());
	rip = read_register(HV_REGISTER_RIP).low;
	CHECK(rip >= (uint64_t)bare_hypercall_page &&
	      rip < (uint64_t)bare_hypercall_page + HV_PAGE_SIZE);
}

static void check_set(void)
{
	CHECK_EQUAL(set_call(HV_REGISTER_SINT0 + 9, 0x77), DONE(1));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SINT0 + 9), 0x77);
	CHECK_EQUAL(read_register(HV_REGISTER_SINT0 + 9).low, 0x77);
	CHECK_EQUAL(read_register(HV_REGISTER_SINT0 + 8).low, HV_SINT_MASKED);
	CHECK_EQUAL(set_call(HV_REGISTER_SINT0 + 9, 3), HV_STATUS_INVALID_PARAMETER);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SINT0 + 9), 0x77);
	CHECK_EQUAL(set_call(HV_REGISTER_SINT0 + 9, HV_SINT_MASKED), DONE(1));
	CHECK_EQUAL(set_call(HV_REGISTER_CRASH_P0 + 1, 0x1234), DONE(1));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_CRASH_P0 + 1), 0x1234);
	CHECK_EQUAL(set_call(HV_REGISTER_VP_INDEX, 1), HV_STATUS_INVALID_PARAMETER);
	CHECK_EQUAL(set_call(HV_REGISTER_TIME_REF_COUNT, 1), HV_STATUS_INVALID_PARAMETER);
	CHECK_EQUAL(set_call(HV_REGISTER_RIP, 1), HV_STATUS_INVALID_PARAMETER);
	CHECK_EQUAL(set_call(0x12345678, 1), HV_STATUS_INVALID_PARAMETER);
}

/* From a later start, the elements before it are left alone and count as done. */
static void check_reps(void)
{
	get[0].head = self;
	for (unsigned i = 0; i < 5; i++)
		get[0].name[i] = HV_REGISTER_GUEST_OS_ID;
	CHECK_EQUAL(get_call(REPS(5)), DONE(5));
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQUAL(value[0][i].low, i < 5 ? BARE_OS_ID : UNTOUCHED);
	CHECK_EQUAL(get_call(REPS(5) | START(2)), DONE(5));
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQUAL(value[0][i].low, i >= 2 && i < 5 ? BARE_OS_ID : UNTOUCHED);
	get[0].name[3] = 0x12345678;
	CHECK_EQUAL(get_call(REPS(5)), DONE(3) | HV_STATUS_INVALID_PARAMETER);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQUAL(value[0][i].low, i < 3 ? BARE_OS_ID : UNTOUCHED);
}

static void check_whose(void)
{
	get[0].name[0] = HV_REGISTER_VP_INDEX;
	get[0].head = self;
	get[0].head.vp_index = 0;
	CHECK_EQUAL(get_call(REPS(1)), DONE(1));
	get[0].head.vp_index = 1;
	CHECK_EQUAL(get_call(REPS(1)), HV_STATUS_INVALID_VP_STATE);
	get[0].head.vp_index = VPS;
	CHECK_EQUAL(get_call(REPS(1)), HV_STATUS_INVALID_VP_INDEX);
	get[0].head = self;
	get[0].head.partition_id = 1;
	CHECK_EQUAL(get_call(REPS(1)), HV_STATUS_INVALID_PARTITION_ID);
	get[0].head = self;
	get[0].head.target_vtl = HV_INPUT_VTL_USE | 1;
	CHECK_EQUAL(get_call(REPS(1)), HV_STATUS_ACCESS_DENIED);
	get[0].head.target_vtl = HV_INPUT_VTL_USE;
	CHECK_EQUAL(get_call(REPS(1)), DONE(1));
}

/* Its output would have to be in registers, which is not offered. */
static void check_fast(void)
{
	const uint64_t input[14] = { HV_PARTITION_ID_SELF, 0, HV_REGISTER_GUEST_OS_ID };

	CHECK_EQUAL(bare_hypercall_xmm(HV_CALL_GET_VP_REGISTERS | HV_CONTROL_FAST | REPS(1), input),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(VPS);
	check_leaves();
	check_own(0);
	bare_call_on(1, check_own, 1);
	check_set();
	check_reps();
	check_whose();
	check_fast();
	bare_pass();
}
