/* SPDX-License-Identifier: BSD-2-Clause */
/* Connection ids: message ports, event ports, and who is asked last. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	(void)connection_id, (void)type, (void)payload, (void)size;
	++*(unsigned *)ctx;
	return HV_STATUS_SUCCESS;
}

static void message_ports(void **state)
{
	struct fake *f = *state;
	unsigned first = 0, second = 0;

	assert_int_equal(ports_add_message(&f->hv, 1, receive, &first), 0);
	assert_int_equal(ports_add_message(&f->hv, 4, receive, &second), 0);
	assert_int_equal(ports_add_message(&f->hv, 4, receive, &first), -EEXIST);
	assert_int_equal(ports_post(&f->hv, 4, 1, "", 0), HV_STATUS_SUCCESS);
	assert_int_equal(ports_post(&f->hv, 2, 1, "", 0), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(first, 0);
	assert_int_equal(second, 1);
	for (u32 i = 2; i < PORTS_MESSAGE_MAX; i++)
		assert_int_equal(ports_add_message(&f->hv, 100 + i, receive, &first), 0);
	assert_int_equal(ports_add_message(&f->hv, 200, receive, &first), -ENOSPC);
}

static void event_ports(void **state)
{
	struct fake *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n;

	assert_int_equal(ports_bind_event(&f->hv, 0, fd), -EINVAL);
	assert_int_equal(ports_bind_event(&f->hv, 0x1000000, fd), -EINVAL);
	assert_int_equal(ports_bind_event(&f->hv, 9, fd), 0);
	assert_int_equal(ports_bind_event(&f->hv, 9, fd), -EEXIST);
	assert_int_equal(ports_signal(&f->hv, 9, 0), HV_STATUS_SUCCESS);
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(ports_unbind_event(&f->hv, 9, fd + 1), -ENOENT);
	assert_int_equal(ports_unbind_event(&f->hv, 8, fd), -ENOENT);
	assert_int_equal(ports_unbind_event(&f->hv, 9, fd), 0);
	assert_int_equal(ports_signal(&f->hv, 9, 0), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_not_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(f->events, 0);
	close(fd);
}

static void event_ports_have_a_bound(void **state)
{
	struct fake *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);

	for (u32 i = 1; i <= PORTS_EVENT_MAX; i++)
		assert_int_equal(ports_bind_event(&f->hv, i, fd), 0);
	assert_int_equal(ports_bind_event(&f->hv, PORTS_EVENT_MAX + 1, fd), -ENOSPC);
	/* One that is given up leaves room, and the others where they are. */
	assert_int_equal(ports_unbind_event(&f->hv, 1, fd), 0);
	assert_int_equal(ports_signal(&f->hv, PORTS_EVENT_MAX, 0), HV_STATUS_SUCCESS);
	assert_int_equal(ports_bind_event(&f->hv, 1, fd), 0);
	assert_int_equal(f->events, PORTS_EVENT_MAX);
	close(fd);
}

static void a_refused_event_port_leaves_no_trace(void **state)
{
	struct fake *f = *state;

	f->fail = -ENOSPC;
	assert_int_equal(ports_bind_event(&f->hv, 9, 1), -ENOSPC);
	assert_int_equal(ports_signal(&f->hv, 9, 0), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(ports_unbind_event(&f->hv, 9, 1), -ENOENT);
}

static void a_full_eventfd_is_a_signal_all_the_same(void **state)
{
	struct fake *f = *state;
	int fd = eventfd(0, EFD_NONBLOCK);

	eventfd_write(fd, UINT64_MAX - 1);
	assert_int_equal(ports_bind_event(&f->hv, 9, fd), 0);
	assert_int_equal(ports_signal(&f->hv, 9, 0), HV_STATUS_SUCCESS);
	close(fd);
}

static u16 other_signal(void *ctx, u32 connection_id, u16 flag)
{
	(void)ctx;
	return connection_id == 9 && flag == 3 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}

/* Asked for what no port has, and for nothing else. */
static void others_are_asked_last(void **state)
{
	struct fake *f = *state;
	unsigned own = 0, others = 0;
	int fd = eventfd(0, EFD_NONBLOCK);

	ports_set_others(&f->hv, &(struct ports_others){ receive, other_signal, &others });
	assert_int_equal(ports_add_message(&f->hv, 4, receive, &own), 0);
	assert_int_equal(ports_post(&f->hv, 4, 1, "", 0), HV_STATUS_SUCCESS);
	assert_int_equal(others, 0);
	assert_int_equal(ports_post(&f->hv, 5, 1, "", 0), HV_STATUS_SUCCESS);
	assert_int_equal(own, 1);
	assert_int_equal(others, 1);
	assert_int_equal(ports_signal(&f->hv, 9, 3), HV_STATUS_SUCCESS);
	assert_int_equal(ports_signal(&f->hv, 10, 3), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(ports_bind_event(&f->hv, 9, fd), 0);
	assert_int_equal(ports_signal(&f->hv, 9, 3), HV_STATUS_INVALID_PARAMETER);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(message_ports),
		TEST(event_ports),
		TEST(event_ports_have_a_bound),
		TEST(a_refused_event_port_leaves_no_trace),
		TEST(a_full_eventfd_is_a_signal_all_the_same),
		TEST(others_are_asked_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
