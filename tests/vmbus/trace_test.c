/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus's events, by the names in its log: the order in which a guest's life brings them, every
 * event at least once, and the arguments of some.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"
#include "vmbus/save.h"
#include "vmbus/trace.h"

static int log_fd;
static bool seen[VMBUS_EVENT_COUNT];

static void note(const char *event)
{
	for (int i = 0; i < VMBUS_EVENT_COUNT; i++)
		seen[i] |= !strcmp(event, vmbus_events[i].name);
}

/* The lines since the last call; the caller frees them. */
static char *new_lines(void)
{
	off_t size = lseek(log_fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	assert_non_null(text);
	assert_int_equal(pread(log_fd, text, (size_t)size, 0), size);
	assert_int_equal(ftruncate(log_fd, 0), 0);
	return text;
}

/* What happened since the last call is this: names without "vmbus_", with blanks between them. */
static void happened(const char *names)
{
	char *text = new_lines(), *rest = text, *line;
	char got[4096] = "", event[64];
	size_t used = 0;

	while ((line = strsep(&rest, "\n")) && *line) {
		assert_int_equal(sscanf(line, "%*u.%*u main %63s", event), 1);
		assert_memory_equal(event, "vmbus_", 6);
		note(event);
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%s", used ? " " : "",
					 event + 6);
	}
	free(text);
	assert_string_equal(got, names);
}

/* There is this event with these arguments among the lines since the last call. */
static void happened_so(const char *event)
{
	char *text = new_lines(), name[64];

	if (!strstr(text, event))
		fail_msg("no %s in:\n%s", event, text);
	assert_int_equal(sscanf(event, "%63s", name), 1);
	note(name);
	free(text);
}

#define RECV "recv_message process_incoming_message "
#define POST " post_msg msg_cb"
/* The pages of two rings are more than one message can list. */
#define GPADL RECV "gpadl_header " RECV "gpadl_body gpadl_created" POST
#define OPEN RECV "open_channel channel_state channel_state channel_open" POST

static void forget(void **state)
{
	(void)state;
	free(new_lines());
}

static void a_whole_life(void **state)
{
	struct channel_bed *f = *state;

	happened(RECV "initiate_contact version_response" POST " " RECV
		      "request_offers send_offer" POST " send_offer" POST " terminate_offers" POST);
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	happened(GPADL " " OPEN);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, false), 0);
	fg_pump(&f->g);
	happened("signal_event");
	f->p[0].to_send = 3;
	f->p[0].send_size = 8;
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	happened("signal_event channel_notify_guest");
	assert_int_equal(fg_modify(&f->ch, 2), 0);
	happened(RECV "modify_channel channel_modified" POST);
	assert_int_equal(fg_close(&f->ch), 0);
	happened(RECV "close_channel channel_state channel_state " RECV
		      "gpadl_teardown gpadl_torndown" POST);
	vmbus_rescind(&f->p[1].dev);
	happened("rescind_offer" POST);
	assert_int_equal(fg_release(&f->g, 2), 0);
	fg_pump(&f->g);
	happened(RECV "relid_released device_gone");
	assert_int_equal(fg_unload(&f->g), 0);
	happened(RECV "unload unload_response" POST);
	fg_fini(&f->g);
	happened("device_gone");
	assert_int_equal(fg_init(&f->g, NULL), 0);
}

static void a_reserved_channel(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_close_reserved close = {
		.header.msgtype = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
		.target_vp = 1,
		.target_sint = 4,
	};

	forget(state);
	assert_int_equal(fg_open_reserved(&f->g, &f->ch, bed_offer(f, 0), 2, 9), 0);
	happened(GPADL " " RECV
		       "open_reserved_channel channel_state channel_state channel_open" POST);
	close.child_relid = f->ch.relid;
	assert_int_equal(fg_post(&f->g, &close, sizeof(close)), 0);
	happened(RECV "close_reserved_channel channel_state channel_state" POST);
}

static void version_6(void **state)
{
	struct vmbus_msg_modify_connection modify = {
		.header.msgtype = VMBUS_MSG_MODIFY_CONNECTION,
	};
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_PAUSE };
	struct vmbus_msg_tl_connect_request connect = {
		.header.msgtype = VMBUS_MSG_TL_CONNECT_REQUEST,
		.host_service_id = { 0x34, 0x12 },
	};
	struct channel_bed *f = *state;

	f->g.features = VMBUS_FEATURE_PAUSE_RESUME | VMBUS_FEATURE_MODIFY_CONNECTION;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_V6_0), 0);
	happened_so("vmbus_initiate_contact version=6.0 vp=0 sint=2 features=0x");
	assert_int_equal(fg_post(&f->g, &modify, sizeof(modify)), 0);
	happened(RECV "modify_connection" POST);
	assert_int_equal(fg_post(&f->g, &connect, sizeof(connect)), 0);
	happened(RECV "tl_connect_request tl_connect_refused" POST);
	assert_int_equal(fg_post(&f->g, &connect, sizeof(connect)), 0);
	happened_so("vmbus_tl_connect_request service=0x1234\n");
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	happened(RECV "pause" POST);
	msg.msgtype = VMBUS_MSG_RESUME;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	happened(RECV "resume");
}

static void a_bad_guest(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_relid close = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL,
					 .child_relid = 77 };
	u8 long_message[241] = { 14 };

	forget(state);
	assert_int_equal(fg_post(&f->g, &close, sizeof(close)), 0);
	happened(RECV "close_channel out_of_place");
	assert_int_equal(fg_post(&f->g, &close, 3), 0);
	happened(RECV "message_refused");
	assert_int_equal(fg_post(&f->g, &close, sizeof(close.header)), 0);
	happened_so("vmbus_message_refused message=\"close_channel\" size=8 why=\"too short\"\n");
	assert_int_equal(fg_post_raw(&f->g, 1, long_message, sizeof(long_message)), 0);
	happened_so("vmbus_recv_message connection=1 type=14 size=241\n");
	assert_int_equal(bed_open_status(f, f->ch.relid, 55, 1, 0), VMBUS_STATUS_UNSUCCESSFUL);
	happened(RECV "open_channel out_of_place channel_open" POST);
	/* A slot that is busy: tried again. */
	f->g.refuse_posts = 1;
	assert_int_equal(fg_unload(&f->g), 0);
	happened(RECV "unload channel_state channel_state unload_response post_msg msg_cb msg_cb");
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void saved_and_restored(void **state)
{
	struct channel_bed *f = *state;
	struct stream_out out = { 0 };

	forget(state);
	vmbus_freeze(f->g.bus, nothing, NULL);
	fg_pump(&f->g);
	assert_int_equal(vmbus_save(f->g.bus, &out, NULL), 0);
	vmbus_thaw(f->g.bus);
	happened("frozen save thaw");
	fg_fini(&f->g);
	assert_int_equal(fg_init(&f->g, NULL), 0);
	happened("device_gone device_gone");
	/* The devices are not there. */
	assert_int_equal(vmbus_restore(f->g.bus, out.bytes, out.len), -ENODEV);
	happened("restore");
	stream_free(&out);
}

static void what_chaos_does(void **state)
{
	struct channel_bed *f = *state;
	struct chaos chaos = { .rate = CHAOS_RATE_MAX, .delay_max_us = CHAOS_DELAY_MIN_US };
	const struct fg_config config = { .chaos = &chaos };

	fg_fini(&f->g);
	assert_int_equal(fg_init(&f->g, &config), 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	happened_so("vmbus_chaos relid=0 point=message-in n=0 us=10\n");
	fg_fini(&f->g);
	assert_int_equal(fg_init(&f->g, NULL), 0);
}

/* Of what stands above; runs last. */
static void every_event_happened(void **state)
{
	(void)state;
	for (int i = 0; i < VMBUS_EVENT_COUNT; i++)
		if (!seen[i])
			fail_msg("%s never happened", vmbus_events[i].name);
}

/* Another log's events: nothing of them is in it, and the bus asks nobody. */
static void unwatched(void **state)
{
	struct channel_bed *f = *state;

	forget(state);
	for (int i = 0; i < VMBUS_EVENT_COUNT; i++)
		vmbus_events[i].logged = !strcmp(vmbus_events[i].name, "vmbus_unload");
	assert_int_equal(fg_unload(&f->g), 0);
	happened("unload");
	for (int i = 0; i < VMBUS_EVENT_COUNT; i++)
		vmbus_events[i].logged = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bed_setup_closed, a_whole_life),
		TEST(bed_setup_closed, a_reserved_channel),
		TEST(bed_setup_closed, version_6),
		TEST(bed_setup, a_bad_guest),
		TEST(bed_setup_closed, saved_and_restored),
		TEST(bed_setup_closed, what_chaos_does),
		TEST(bed_setup_closed, unwatched),
		cmocka_unit_test(every_event_happened),
	};
	char path[40];

	log_fd = memfd_create("log", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", log_fd);
	if (trace_open(path))
		return 1;
	trace_thread("main", -1);
	trace_log(vmbus_events, VMBUS_EVENT_COUNT, "*");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
