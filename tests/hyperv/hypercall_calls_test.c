/* SPDX-License-Identifier: BSD-2-Clause */
/* What each hypercall does. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/hyperv/hypercall_bed.h"

/* ---- Messages and events --------------------------------------------------------------------- */

static struct {
	u32 connection_id, type, size;
	u8 payload[HV_MESSAGE_PAYLOAD_MAX];
	unsigned count;
	u16 status;
} got;

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	(void)ctx;
	got.connection_id = connection_id;
	got.type = type;
	got.size = size;
	got.count++;
	memcpy(got.payload, payload, size);
	return got.status;
}

static int setup(void **state)
{
	struct fake *f;

	memset(&got, 0, sizeof(got));
	bed_setup(state);
	f = *state;
	return ports_add_message(&f->hv, 5, receive, NULL);
}

static u64 post(struct fake *f, u32 connection_id, u32 type, u32 size)
{
	struct hv_post_message m = { .connection_id = connection_id,
				     .message_type = type,
				     .payload_size = size,
				     .payload = "payload" };

	return bed_call(f, HV_CALL_POST_MESSAGE, &m, sizeof(m));
}

static void a_post_reaches_its_port(void **state)
{
	struct fake *f = *state;

	assert_int_equal(post(f, 5, 1, 8), HV_STATUS_SUCCESS);
	assert_int_equal(got.connection_id, 5);
	assert_int_equal(got.type, 1);
	assert_int_equal(got.size, 8);
	assert_string_equal((char *)got.payload, "payload");
	assert_int_equal(post(f, 5, 1, HV_MESSAGE_PAYLOAD_MAX), HV_STATUS_SUCCESS);
	got.status = HV_STATUS_INSUFFICIENT_BUFFERS;
	assert_int_equal(post(f, 5, 1, 8), HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(got.count, 3);
}

static void a_bad_post_is_refused(void **state)
{
	struct fake *f = *state;

	assert_int_equal(post(f, 6, 1, 8), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(post(f, 5, 0, 8), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(f, 5, 0x80000001, 8), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(f, 5, 1, HV_MESSAGE_PAYLOAD_MAX + 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(bed_call_fast(f, HV_CALL_POST_MESSAGE, NULL, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(got.count, 0);
}

static void signals_fast_and_slow(void **state)
{
	struct hv_signal_event s = { .connection_id = 7 };
	struct fake *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n = 0;

	assert_int_equal(ports_bind_event(&f->hv, 7, fd), 0);
	assert_int_equal(bed_call_fast(f, HV_CALL_SIGNAL_EVENT, &s, 8), HV_STATUS_SUCCESS);
	assert_int_equal(bed_call(f, HV_CALL_SIGNAL_EVENT, &s, 8), HV_STATUS_SUCCESS);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 2);
	s.flag_number = 1;
	assert_int_equal(bed_call_fast(f, HV_CALL_SIGNAL_EVENT, &s, 8),
			 HV_STATUS_INVALID_PARAMETER);
	s = (struct hv_signal_event){ .connection_id = 8 };
	assert_int_equal(bed_call_fast(f, HV_CALL_SIGNAL_EVENT, &s, 8),
			 HV_STATUS_INVALID_CONNECTION_ID);
	s = (struct hv_signal_event){ .connection_id = 7, .reserved = 1 };
	assert_int_equal(bed_call_fast(f, HV_CALL_SIGNAL_EVENT, &s, 8),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	s = (struct hv_signal_event){ .connection_id = 7 | 1 << 24 };
	assert_int_equal(bed_call(f, HV_CALL_SIGNAL_EVENT, &s, 8),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_not_equal(eventfd_read(fd, &n), 0);
	ports_unbind_event(&f->hv, 7, fd);
	close(fd);
}

/* ---- Flushes and IPIs ------------------------------------------------------------------------ */

/* The VPs a call flushed, as a mask. */
static u32 flushed(struct fake *f)
{
	u32 mask = f->attended | (bed.writes ? 1 : 0);

	f->attended = 0;
	bed.writes = 0;
	for (unsigned i = 0; i < FAKE_VPS; i++)
		atomic_store(&f->hv.vp[i].tlb_flush, false);
	return mask;
}

static void flushes_reach_whom_they_name(void **state)
{
	struct hv_flush in = { .processor_mask = 2 };
	struct fake *f = *state;

	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 2);
	in.processor_mask = 1ull << 63 | 1;
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 1);
	in.flags = HV_FLUSH_ALL_PROCESSORS;
	assert_int_equal(bed_call_fast(f, HV_CALL_FLUSH_SPACE, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 3);
	in = (struct hv_flush){ 0 };
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 3);
}

static void extended_flushes_name_sets(void **state)
{
	struct {
		struct hv_flush_ex header;
		u64 bank, gva;
	} in = { .header.set = { HV_VP_SET_SPARSE_4K, 1 }, .bank = 2 };
	const u64 space = HV_CALL_FLUSH_SPACE_EX | BED_VAR(1);
	struct fake *f = *state;

	assert_int_equal(bed_call(f, space, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 2);
	assert_true(bed_call(f, HV_CALL_FLUSH_LIST_EX | BED_VAR(1) | BED_REPS(1, 0), &in,
			     sizeof(in)) == BED_RESULT(0, 1));
	assert_int_equal(flushed(f), 2);
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE_EX, &in, sizeof(in)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	in.header.set = (struct hv_vp_set){ HV_VP_SET_ALL, 0 };
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE_EX, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 3);
	in.header.set.format = 2;
	assert_true(bed_call(f, HV_CALL_FLUSH_LIST_EX | BED_REPS(1, 0), &in, sizeof(in)) ==
		    BED_RESULT(HV_STATUS_INVALID_PARAMETER, 0));
	/* An empty set is one, too: nobody's. */
	in.header.set = (struct hv_vp_set){ HV_VP_SET_SPARSE_4K, 0 };
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE_EX, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(flushed(f), 0);
}

static void ipis_reach_whom_they_name(void **state)
{
	struct hv_send_ipi in = { .vector = 0x41, .processor_mask = 1ull << 40 | 2 };
	struct hv_send_ipi_ex ex = { .vector = 0x42, .set.format = HV_VP_SET_ALL };
	struct fake *f = *state;

	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(bed_call_fast(f, HV_CALL_SEND_IPI, &in, sizeof(in)), HV_STATUS_SUCCESS);
	assert_int_equal(f->kvm[0].msis, 0);
	assert_int_equal(f->kvm[1].msis, 2);
	assert_int_equal(f->kvm[1].msi[0] & 0xff, 0x41);
	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI_EX, &ex, sizeof(ex)), HV_STATUS_SUCCESS);
	assert_int_equal(bed_call_fast(f, HV_CALL_SEND_IPI_EX, &ex, sizeof(ex)), HV_STATUS_SUCCESS);
	assert_int_equal(f->kvm[0].msis, 2);
	assert_int_equal(f->kvm[1].msis, 4);
	assert_int_equal(f->kvm[0].msi[1] & 0xff, 0x42);
}

static void bad_ipis_are_refused(void **state)
{
	struct hv_send_ipi in = { .vector = 0xf, .processor_mask = 3 };
	struct hv_send_ipi_ex ex = { .vector = 0x100, .set.format = HV_VP_SET_ALL };
	struct fake *f = *state;

	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI, &in, sizeof(in)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI_EX, &ex, sizeof(ex)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	in = (struct hv_send_ipi){ .vector = 0x41, .reserved = 1, .processor_mask = 3 };
	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI, &in, sizeof(in)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	ex = (struct hv_send_ipi_ex){ .vector = 0x41, .reserved = 1, .set.format = HV_VP_SET_ALL };
	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI_EX, &ex, sizeof(ex)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	ex = (struct hv_send_ipi_ex){ .vector = 0x41, .set.valid_banks = 1 };
	assert_int_equal(bed_call(f, HV_CALL_SEND_IPI_EX, &ex, sizeof(ex)),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(f->kvm[0].msis + f->kvm[1].msis, 0);
}

/* ---- VP registers ---------------------------------------------------------------------------- */

struct get {
	struct hv_vp_registers header;
	u32 name[4];
};

static struct hv_register_value output(struct fake *f, unsigned n)
{
	struct hv_register_value v;

	gmem_read(&f->mem, BED_OUTPUT + n * sizeof(v), &v, sizeof(v));
	return v;
}

static void registers_are_read_in_reps(void **state)
{
	struct get in = { .header = { HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF, 0, { 0 } },
			  .name = { HV_REGISTER_SVERSION, HV_REGISTER_GUEST_OS_ID, 0xdead,
				    HV_REGISTER_SVERSION } };
	struct fake *f = *state;

	f->hv.guest_os_id = 0x1234;
	memset(gmem_range(&f->mem, BED_OUTPUT, 64), 0xee, 64);
	assert_true(bed_call(f, HV_CALL_GET_VP_REGISTERS | BED_REPS(2, 0), &in, sizeof(in)) ==
		    BED_RESULT(0, 2));
	assert_int_equal(output(f, 0).low, HV_SYNIC_VERSION);
	assert_int_equal(output(f, 0).high, 0);
	assert_int_equal(output(f, 1).low, 0x1234);
	assert_true(output(f, 2).low == 0xeeeeeeeeeeeeeeee);
	/* Begun at the second: the first keeps its bytes. The third ends it. */
	memset(gmem_range(&f->mem, BED_OUTPUT, 64), 0xee, 64);
	assert_true(bed_call(f, HV_CALL_GET_VP_REGISTERS | BED_REPS(4, 1), &in, sizeof(in)) ==
		    BED_RESULT(HV_STATUS_INVALID_PARAMETER, 2));
	assert_true(output(f, 0).low == 0xeeeeeeeeeeeeeeee);
	assert_int_equal(output(f, 1).low, 0x1234);
	assert_true(output(f, 2).low == 0xeeeeeeeeeeeeeeee);
	/* Output needs memory. */
	assert_int_equal((u16)bed_call_fast(f, HV_CALL_GET_VP_REGISTERS | BED_REPS(1, 0), &in, 24),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* 257 values do not fit a page. */
	assert_int_equal(
		(u16)bed_call(f, HV_CALL_GET_VP_REGISTERS | BED_REPS(257, 0), &in, sizeof(in)),
		HV_STATUS_INVALID_ALIGNMENT);
}

static void registers_are_written_in_reps(void **state)
{
	struct {
		struct hv_vp_registers header;
		struct hv_register_assoc a[3];
	} in = { .header = { HV_PARTITION_ID_SELF, 0, HV_INPUT_VTL_USE, { 0 } },
		 .a = { { .name = HV_REGISTER_SINT0 + 1, .value.low = 0x31 },
			{ .name = HV_REGISTER_SINT0 + 2, .value.low = 0x32 },
			{ .name = HV_REGISTER_VP_INDEX, .value.low = 9 } } };
	const u64 call = HV_CALL_SET_VP_REGISTERS;
	struct fake *f = *state;
	struct synic_sint *sint = f->hv.vp[0].sint;

	assert_true(bed_call(f, call | BED_REPS(3, 1), &in, sizeof(in)) ==
		    BED_RESULT(HV_STATUS_INVALID_PARAMETER, 2));
	assert_int_equal(atomic_load(&sint[1].value), HV_SINT_MASKED);
	assert_int_equal(atomic_load(&sint[2].value), 0x32);
	in.a[1].value.low = 0x33;
	assert_true(bed_call_fast(f, call | BED_REPS(2, 0), &in, 80) == BED_RESULT(0, 2));
	assert_int_equal(atomic_load(&sint[1].value), 0x31);
	assert_int_equal(atomic_load(&sint[2].value), 0x33);
}

static u16 get_of(struct fake *f, struct hv_vp_registers header)
{
	struct get in = { .header = header, .name = { HV_REGISTER_SVERSION } };

	return (u16)bed_call(f, HV_CALL_GET_VP_REGISTERS | BED_REPS(1, 0), &in, sizeof(in));
}

static void registers_are_the_callers_own(void **state)
{
	const u64 self = HV_PARTITION_ID_SELF;
	struct fake *f = *state;

	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 0, 0, { 0 } }),
			 HV_STATUS_SUCCESS);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 1, 0, { 0 } }),
			 HV_STATUS_INVALID_VP_STATE);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 2, 0, { 0 } }),
			 HV_STATUS_INVALID_VP_INDEX);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ 1, 0, 0, { 0 } }),
			 HV_STATUS_INVALID_PARTITION_ID);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 0, HV_INPUT_VTL_USE, { 0 } }),
			 HV_STATUS_SUCCESS);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 0, 0x11, { 0 } }),
			 HV_STATUS_ACCESS_DENIED);
	assert_int_equal(get_of(f, (struct hv_vp_registers){ self, 0, 0, { 0, 0, 1 } }),
			 HV_STATUS_INVALID_PARAMETER);
}

/* ---- Virtual PCI, extended calls ------------------------------------------------------------- */

static struct hyperv_retarget retargeted;

static u16 retarget(void *ctx, const struct hyperv_retarget *r)
{
	++*(unsigned *)ctx;
	retargeted = *r;
	return r->device_id == 77 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_DEVICE_ID;
}

struct retarget_input {
	struct hv_retarget_device_interrupt header;
	u64 variable[2];
};

static u64 call_retarget(struct fake *f, const struct retarget_input *in, unsigned var)
{
	return bed_call(f, HV_CALL_RETARGET_DEVICE_INTERRUPT | BED_VAR(var), in, sizeof(*in));
}

static const struct retarget_input good = { .header = { .partition_id = HV_PARTITION_ID_SELF,
							.device_id = 77,
							.source = HV_INTERRUPT_SOURCE_MSI,
							.msi_address = 0xfee00000,
							.msi_data = 5,
							.vector = 0x51,
							.mask_or_format = 2 } };

static void a_retarget_reaches_who_serves_it(void **state)
{
	struct retarget_input in = good;
	struct fake *f = *state;
	unsigned count = 0;

	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_DEVICE_ID);
	hyperv_on_retarget(&f->hv, retarget, &count);
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_SUCCESS);
	assert_int_equal(retargeted.msi_address, 0xfee00000);
	assert_int_equal(retargeted.msi_data, 5);
	assert_int_equal(retargeted.vector, 0x51);
	assert_false(retargeted.multicast);
	assert_int_equal(retargeted.targets.bank[0], 2);
	in.header.target_flags = HV_TARGET_VP_SET | HV_TARGET_MULTICAST;
	in.header.mask_or_format = HV_VP_SET_SPARSE_4K;
	in.variable[0] = 1;
	in.variable[1] = 3;
	assert_int_equal(call_retarget(f, &in, 2), HV_STATUS_SUCCESS);
	assert_true(retargeted.multicast);
	assert_int_equal(retargeted.targets.bank[0], 3);
	in.header.device_id = 78;
	assert_int_equal(call_retarget(f, &in, 2), HV_STATUS_INVALID_DEVICE_ID);
	assert_int_equal(count, 3);
}

static void a_bad_retarget_is_refused(void **state)
{
	struct retarget_input in = good;
	struct fake *f = *state;
	unsigned count = 0;

	hyperv_on_retarget(&f->hv, retarget, &count);
	assert_int_equal(call_retarget(f, &in, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	in.header.target_flags = HV_TARGET_VP_SET;
	in.header.mask_or_format = HV_VP_SET_SPARSE_4K;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
	in.variable[0] = 1;
	assert_int_equal(call_retarget(f, &in, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	in = good;
	in.header.partition_id = 1;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_PARTITION_ID);
	in = good;
	in.header.source = 2;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_PARAMETER);
	in = good;
	in.header.vector = 0x151;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_PARAMETER);
	in.header.vector = 8;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_PARAMETER);
	in = good;
	in.header.target_flags = 8;
	assert_int_equal(call_retarget(f, &in, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(count, 0);
}

static void there_are_no_extended_calls(void **state)
{
	struct fake *f = *state;

	memset(gmem_range(&f->mem, BED_OUTPUT, 16), 0xee, 16);
	assert_int_equal(bed_call(f, HV_CALL_EXT_QUERY_CAPABILITIES, NULL, 0), HV_STATUS_SUCCESS);
	assert_int_equal(output(f, 0).low, 0);
	assert_true(output(f, 0).high == 0xeeeeeeeeeeeeeeee);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_post_reaches_its_port),
		TEST(a_bad_post_is_refused),
		TEST(signals_fast_and_slow),
		TEST(flushes_reach_whom_they_name),
		TEST(extended_flushes_name_sets),
		TEST(ipis_reach_whom_they_name),
		TEST(bad_ipis_are_refused),
		TEST(registers_are_read_in_reps),
		TEST(registers_are_written_in_reps),
		TEST(registers_are_the_callers_own),
		TEST(a_retarget_reaches_who_serves_it),
		TEST(a_bad_retarget_is_refused),
		TEST(there_are_no_extended_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
