/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define INPUT 0x1000

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
	fake_setup(state);
	f = *state;
	assert_int_equal(ports_add_message(&f->hv, 5, receive, NULL), 0);
	return 0;
}

static u64 call(struct fake *f, u64 control, u64 input)
{
	return hypercall_run(&f->hv.vp[0], control, input, 0);
}

static u64 post(struct fake *f, u64 gpa, u32 connection_id, u32 type, u32 size)
{
	struct hv_post_message m = { .connection_id = connection_id,
				     .message_type = type,
				     .payload_size = size,
				     .payload = "payload" };

	gmem_write(&f->mem, gpa, &m, sizeof(m));
	return call(f, HV_CALL_POST_MESSAGE, gpa);
}

static void post_reaches_its_port(void **state)
{
	struct fake *f = *state;

	assert_int_equal(post(f, INPUT, 5, 1, 8), HV_STATUS_SUCCESS);
	assert_int_equal(got.connection_id, 5);
	assert_int_equal(got.type, 1);
	assert_int_equal(got.size, 8);
	assert_string_equal((char *)got.payload, "payload");
	assert_int_equal(post(f, INPUT, 5, 1, HV_MESSAGE_PAYLOAD_MAX), HV_STATUS_SUCCESS);
	/* The last bytes of a page and of RAM will do. */
	assert_int_equal(post(f, FAKE_RAM - 256, 5, 1, 0), HV_STATUS_SUCCESS);
	got.status = HV_STATUS_INSUFFICIENT_BUFFERS;
	assert_int_equal(post(f, INPUT, 5, 1, 8), HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(got.count, 4);
}

static void post_refuses_bad_input(void **state)
{
	struct fake *f = *state;

	assert_int_equal(post(f, INPUT, 6, 1, 8), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(post(f, INPUT, 5, 0, 8), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(f, INPUT, 5, 0x80000001, 8), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(f, INPUT, 5, 1, HV_MESSAGE_PAYLOAD_MAX + 1),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(f, INPUT + 4, 5, 1, 8), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(post(f, INPUT + 0xf08, 5, 1, 8), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(call(f, HV_CALL_POST_MESSAGE, FAKE_RAM), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(call(f, HV_CALL_POST_MESSAGE, ~7ull), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(call(f, HV_CALL_POST_MESSAGE, ~0xfffull), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(call(f, HV_CALL_POST_MESSAGE | HV_CONTROL_FAST, INPUT),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(got.count, 0);
}

static void control_is_decoded(void **state)
{
	struct fake *f = *state;

	assert_int_equal(call(f, 0x1234, INPUT), HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(call(f, 0, INPUT), HV_STATUS_INVALID_HYPERCALL_CODE);
	for (unsigned bit = 17; bit < 64; bit++)
		assert_int_equal(call(f, HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST | 1ull << bit, 7),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(call(f, HV_CALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 1),
			 HV_STATUS_SUCCESS);
}

static void signal_fast_and_slow(void **state)
{
	const u64 fast = HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST;
	struct hv_signal_event s = { .connection_id = 7 };
	struct fake *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n = 0;

	assert_int_equal(ports_bind_event(&f->hv, 7, fd), 0);
	assert_int_equal(call(f, fast, 7), HV_STATUS_SUCCESS);
	gmem_write(&f->mem, INPUT, &s, sizeof(s));
	assert_int_equal(call(f, HV_CALL_SIGNAL_EVENT, INPUT), HV_STATUS_SUCCESS);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(call(f, fast, 8), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(call(f, fast, 7 | 1ull << 32), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(call(f, fast, 7 | 1ull << 48), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(call(f, fast, 7 | 1ull << 24), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(call(f, HV_CALL_SIGNAL_EVENT, INPUT + 1), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_not_equal(eventfd_read(fd, &n), 0);
	ports_unbind_event(&f->hv, 7, fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(post_reaches_its_port, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(post_refuses_bad_input, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(control_is_decoded, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(signal_fast_and_slow, setup, fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
